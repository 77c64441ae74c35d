"""What a client needs to know of an exported network: metadata.json, and the card."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath

from trainer import __version__
from trainer.export import conformal_table, encodings, parity, similar_images
from trainer.export.conformal_table import ConformalTable
from trainer.export.formats import FILES, OPSET
from trainer.export.parity import Parity
from trainer.export.similar_images import SimilarImages
from trainer.judge import gate
from trainer.judge.ensemble import Ensemble
from trainer.metrics.operating_points import CHOSEN, HALF
from trainer.models import layer_outputs
from trainer.report import model_card
from trainer.training.run_files import RunFiles

FILE = "metadata.json"


def metadata(
    ensemble: Ensemble,
    formats: Iterable[str],
    conformal: ConformalTable | None,
    similar: SimilarImages | None,
) -> dict[str, Any]:
    """Returns the content of metadata.json: a MONAI bundle's fields, and what a server needs."""
    first = RunFiles(ensemble.workdirs[0])
    bundle = model_card.metadata(first)
    if len(ensemble.members) > 1:
        del bundle["eval_metrics"]  # they are the first run's
    return {
        **bundle,
        "changelog": {__version__: "exported from finished runs"},
        "data_source": epath.Path(first.data["source"]).name,
        "network_data_format": _data_format(ensemble, bundle["network_data_format"]),
        "formats": {name: _format(name) for name in formats},
        "runs": [path.name for path in ensemble.workdirs],
        "labels": ensemble.labels,
        "classes": ensemble.classes,
        "exclusive": ensemble.outputs.exclusive,
        "thresholds": {
            name: ensemble.probabilities(np.array(ensemble.points.thresholds[name])).tolist()
            for name in (CHOSEN, HALF)
        },
        "temperatures": list(ensemble.points.temperatures),
        "chosen": ensemble.reason,
        "decoding": asdict(ensemble.decoding),
        "fits": [fit._asdict() for fit in ensemble.fits],
        "heat": {
            "run": first.name,
            "layer": layer_outputs.stages(ensemble.members[0].model)[-1],
            "signature": "explain",
        },
        "gate": _gate(ensemble),
        "conformal": _conformal(conformal),
        "similar": _similar(first, similar),
        "versions": {
            "radiograph-trainer": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    }


def card(ensemble: Ensemble, rows: Mapping[str, Parity], similar: SimilarImages | None) -> str:
    """Returns the card of the first run, with what was exported and how it agrees with the runs."""
    file = ensemble.workdirs[0] / model_card.CARD
    own = file.read_text().rstrip() if file.exists() else "# Model card"
    names = ", ".join(path.name for path in ensemble.workdirs)
    several = "" if len(ensemble.workdirs) == 1 else (
        " as one network, the mean of their calibrated log-odds; the figures above are of the "
        "first alone"
    )  # fmt: skip
    parts = [parity.markdown(rows)]
    for name, row in rows.items():
        if row.encodings:
            parts.append(f"{name}, of the same images encoded otherwise:")
            parts.append(encodings.markdown(row.encodings))
    if note := encodings.without(rows):
        parts.append(note)
    if similar is not None:
        parts.append(
            f"**It holds training images:** `{similar_images.FILE}` has {len(similar.pictures):,} "
            f"of {ensemble.workdirs[0].name}, as pictures of up to {similar_images.SIDE} pixels, "
            "with their labels and features. Whoever gets the export gets them, and a server of it "
            "shows them."
        )
    return (
        f"{own}\n\n## Export\n\nExported from {names}{several}, and compared with `radiograph "
        f"predict` on validation images:\n\n" + "\n\n".join(parts) + "\n"
    )


def _data_format(ensemble: Ensemble, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Returns MONAI's description of what the signature `fitted` takes and gives."""
    image = trained["inputs"]["image"] | {"dtype": "uint8", "value_range": [0, 255]}
    inputs = {
        name: image | {"num_channels": 1, "spatial_shape": [fit.image_size, fit.image_size]}
        for name, fit in zip(input_names(len(ensemble.fits)), ensemble.fits, strict=True)
    }
    prediction = trained["outputs"]["pred"]
    return {"inputs": inputs, "outputs": {"probability": prediction, "calibrated": prediction}}


def input_names(squares: int) -> list[str]:
    """Returns the names of the inputs of fitted images: of each of the ensemble's squares one."""
    return ["fitted", *(f"fitted_{number}" for number in range(2, squares + 1))]


def _format(name: str) -> dict[str, Any]:
    return {"file": FILES[name]} | ({"opset": OPSET} if name == "onnx" else {})


def _gate(ensemble: Ensemble) -> dict[str, Any]:
    """Returns the file of the gate, which takes the output `features` of `features`, or why not."""
    if (ensemble.workdirs[0] / gate.FILE).exists():
        return {"file": gate.FILE, "run": ensemble.workdirs[0].name, "signature": "features"}
    reason = "The run has none, as it is older or has few training images: no image is flagged."
    return {"file": None, "reason": reason}


def _conformal(table: ConformalTable | None) -> dict[str, Any]:
    """Returns the file of the conformal sets, which take log-odds, or why there is none."""
    if table is None:
        reason = "The runs have different validation images: there are no sets."
        return {"file": None, "reason": reason}
    found = {"file": conformal_table.FILE, "images": table.images, "highest": table.highest}
    return found | ({"reason": limit} if (limit := table.limit()) else {})


def _similar(first: RunFiles, images: SimilarImages | None) -> dict[str, Any]:
    """Returns the file of training images, which takes the output `features`, or why not."""
    if images is None:
        reason = "The export was made without --similar: it holds no training image."
        return {"file": None, "reason": reason}
    return {
        "file": similar_images.FILE,
        "run": first.name,
        "images": len(images.pictures),
        "side": similar_images.SIDE,
        "signature": "features",
    }
