"""The card of a finished run: what it was trained on, how good it is, and what it is not for.

`model_card.md` begins with the YAML that Hugging Face reads, `metadata.json` has the fields of a
MONAI bundle. Both are computed from the run's files alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from etils import epath

import trainer
from trainer.metrics import evaluation_files
from trainer.report import baselines, claim, page
from trainer.report.claim import MET, NOT_APPLICABLE, UNMET
from trainer.system import atomic, json_files
from trainer.training.run_files import SPLITS, RunFiles

CARD, METADATA, REPLAY = "model_card.md", "metadata.json", "replay.json"
CHANCE = 0.5
FEW_PATIENTS = 100  # of a test split, under which intervals are wide
# Hugging Face's names of metrics, by ours.
METRICS = {"auc": "roc_auc", "average_precision": "average_precision", "accuracy": "accuracy"}


def write(workdir: epath.PathLike) -> epath.Path:
    """Writes the card and the metadata of a finished run, in place of older ones.

    Returns:
      The path of the card.

    Raises:
      UsageError: the directory or one of its files is missing or cannot be read.
    """
    run = RunFiles(workdir)
    evaluations = {name: evaluation_files.read(run.workdir, name) for name in _others(run)}
    text = page.template("model_card.md.j2", estimate=estimate, cell=cell, source=_source).render(
        run=run,
        figures=figures,
        head=yaml.safe_dump(head(run), sort_keys=False, allow_unicode=True),
        shortcut=_shortcut(run),
        evaluations={"test": run.test, "validation": run.validation},
        external=evaluations,
        limits=list(limits(run, evaluations)),
        replay=_replay(run),
        checklist=claim.checklist(_answers(run, evaluations)),
    )
    atomic.write_json(run.workdir / METADATA, metadata(run))
    return atomic.write_text(run.workdir / CARD, text)


def head(run: RunFiles) -> dict[str, Any]:
    """Returns the metadata that Hugging Face reads, with the figures of the test split."""
    metrics = []
    for name, found in figures(run.test):
        kind = name.split(", ")[-1]
        if found["value"] is not None:
            kind = METRICS.get(kind, kind)
            metrics.append({"type": kind, "name": name, "value": found["value"]})
    dataset = {"type": "chest-radiographs", "name": _source(run.data["source"]), "split": "test"}
    dataset["revision"] = run.dataset_fingerprint
    task = {"type": "image-classification"}
    result = {"task": task, "dataset": dataset, "metrics": metrics}
    return {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["chest-radiograph", "medical", "radiograph-trainer"],
        "model-index": [{"name": _name(run), "results": [result]}],
    }


def figures(evaluation: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping]]:
    """Yields every figure of an evaluation that has an interval, with its name in words."""
    for name, value in evaluation.items():
        if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
            yield prefix + name, value
        elif name == "operating_points":
            for point in value:
                yield from figures(point, f"{prefix}{point['name']}, ")
        elif isinstance(value, Mapping):
            part = "" if name == "labels" else f"{name}, "
            yield from figures(value, prefix + part)


def limits(run: RunFiles, evaluations: Mapping[str, Mapping]) -> Iterator[str]:
    """Yields what is known to limit the result, a sentence each.

    Args:
      run: a finished run.
      evaluations: those that were made later, by their names.
    """
    test = run.test
    if run.data.get("synthetic"):
        yield "It was trained on synthetic radiographs: the figures say nothing about patients."
    if not _external(run, evaluations):
        yield "It was evaluated on no other data set: how good it is elsewhere is not known."
    if test["patients"] < FEW_PATIENTS:
        yield f"Its test split has {test['patients']} patients, so that intervals are wide."
    for name, label in test["labels"].items():
        low = label["auc"]["low"]
        if low is None or low <= CHANCE:
            yield f"For {name} it is not shown to be better than chance."
    if not run.audit:
        yield "Its data were not audited: shortcuts and copies may be among them."
    for finding in (run.audit or {}).get("findings", []):
        if finding["severity"] != "ok":
            yield f"Audit of the data: {finding['title']}."
    for name, evaluation in evaluations.items():
        if evaluation.get("stress"):
            yield f"Altered images ({name}): {evaluation['stress']['sentence']}"
    if not any(evaluation.get("groups") for evaluation in evaluations.values()):
        yield "Its figures are of the data set as a whole, not of groups by age, sex or view."


def metadata(run: RunFiles) -> dict[str, Any]:
    """Returns the fields of a MONAI bundle's metadata.json."""
    data, model = run.config.get("data", {}), run.config.get("model", {})
    side, versions = data.get("image_size"), run.environment["versions"]
    exclusive = bool(run.test.get("exclusive"))
    label_names = {str(number): name for number, name in enumerate(run.labels)}
    classes = {str(number): name for number, name in enumerate(run.test["classes"])}
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "X-ray",
        "num_channels": model.get("channels", 1),
        "spatial_shape": [side, side],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "grey level"},
    }
    prediction = {
        "type": "probabilities",
        "format": "classes" if exclusive else "labels",
        "num_channels": len(run.labels),
        "spatial_shape": [1],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": label_names,
    }
    return {
        "version": trainer.__version__,
        "changelog": {trainer.__version__: "computed from a finished run"},
        "numpy_version": versions.get("numpy", ""),
        "required_packages_version": versions,
        "task": "Chest radiograph classification",
        "description": f"Predicts {', '.join(run.labels)} in frontal chest radiographs.",
        "data_source": run.data["source"],
        "data_type": "radiographs as JPEG or PNG",
        "image_classes": "one channel of grey levels in 0..1",
        "label_classes": classes or label_names,
        "pred_classes": "probability of each " + ("class" if exclusive else "label"),
        "eval_metrics": {name: found["value"] for name, found in figures(run.test)},
        "intended_use": "Research and education alone; not a medical device.",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": prediction}},
    }


def estimate(found: Mapping[str, float | None]) -> str:
    """Returns a figure with its interval: "0.974 (0.961 to 0.985)"."""
    if found["low"] is None:
        return page.decimal(found["value"])
    return f"{page.decimal(found['value'])} ({found['low']:.3f} to {found['high']:.3f})"


def cell(text: object) -> str:
    """Returns a text as it may stand in a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _name(run: RunFiles) -> str:
    return run.config.get("name") or run.name


def _source(name: str) -> str:
    """Returns the name of a source without the folders of whoever prepared it."""
    return epath.Path(name).name or name


def _others(run: RunFiles) -> list[str]:
    """Returns the names of the evaluations on other data sets."""
    found = (run.workdir / evaluation_files.FOLDER).glob("*.json")
    return sorted({file.stem for file in found} - {*SPLITS})


def _external(run: RunFiles, evaluations: Mapping[str, Mapping]) -> list[str]:
    """Returns the names of the evaluations on other data than the run's own."""
    own = run.dataset_fingerprint
    return [name for name, found in evaluations.items() if found.get("dataset_fingerprint") != own]


def _shortcut(run: RunFiles) -> dict[str, Any] | None:
    """Returns {name, notes, auc} of the audit's strongest shortcut, None if that is not shown."""
    found = baselines.shortcut(run.audit, run.labels) if run.audit else None
    if found is None or (found.values["auc"]["low"] or 0.0) <= CHANCE:
        return None
    name, _, notes = found.about.partition("; ")
    return {"name": name, "notes": notes, "auc": found.values["auc"]}


def _replay(run: RunFiles) -> dict[str, Any] | None:
    file = run.workdir / REPLAY
    return json_files.read(file) if file.exists() else None


def _answers(run: RunFiles, evaluations: Mapping[str, Mapping]) -> dict[int, tuple[str, str]]:
    """Returns the answers to the items of CLAIM that depend on the run."""
    explained = (run.workdir / "pictures/test/explanations").exists()
    errors = (run.workdir / "pictures/test/errors.png").exists()
    stressed = any(evaluation.get("stress") for evaluation in evaluations.values())
    external = _external(run, evaluations)
    return {
        27: (NOT_APPLICABLE, "a single network"),
        30: (MET, "Limits") if stressed else (UNMET, "radiograph evaluate RUN --stress"),
        31: (MET, "report.html") if explained else (UNMET, "the run drew no explanations"),
        33: (MET, "Later evaluations") if external else (UNMET, "no other data set"),
        34: (NOT_APPLICABLE, "no clinical trial"),
        39: (MET, "report.html, errors") if errors else (UNMET, "the run drew no errors"),
    }
