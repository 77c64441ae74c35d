"""Radiographs as files of any format, answered as `radiograph predict` answers."""

import asyncio
import base64
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np

from trainer.judge.input_files import TOO_MUCH
from trainer.judge.prediction import SEVERAL
from trainer.metrics.operating_points import CHOSEN
from trainer.serve import heat
from trainer.serve.batching import Batcher
from trainer.serve.decoding import DecodedRadiograph, SentFile
from trainer.serve.gateway import Limits
from trainer.serve.metrics import Metrics
from trainer.serve.multipart import Part
from trainer.serve.network import RADIOGRAPHS, SIZE, Network
from trainer.serve.refusal import Refusal, invalid
from trainer.system.processes import Failed, Pool

EXPLAIN = "explain_fitted"
MOST_SIMILAR = 20  # training images that are shown of one image
COVERAGES = (0.8, 0.9, 0.95)  # that a page offers
WARNING = "For research and teaching; not a medical device."


@dataclass(frozen=True)
class Wanted:
    """What an answer is to have beside the prediction.

    Attributes:
      heat: whether where the evidence lies.
      image: whether the radiograph as it is stored.
      coverage: of the set of classes; None for no set.
      similar: number of the training images most like it; None for none.
    """

    heat: bool = False
    image: bool = False
    coverage: float | None = None
    similar: int | None = None


@dataclass(frozen=True)
class Radiographs:
    """Answers for files.

    Attributes:
      name: of the model.
      network: that answers.
      batcher: through which it does.
      decoders: decode files, see `trainer.serve.decoding`.
      metrics: where what is refused is counted.
    """

    name: str
    network: Network
    batcher: Batcher
    decoders: Pool
    metrics: Metrics

    def facts(self, limits: Limits, *, token: bool) -> dict[str, Any]:
        """Returns what a client needs to know before it sends a file."""
        metadata, exported = self.network.exported.metadata, self.network.exported
        return {
            "model": self.name,
            "labels": metadata["labels"],
            "classes": metadata["classes"],
            "exclusive": metadata["exclusive"],
            "limits": {"bytes": limits.bytes, "files": limits.files},
            "gate": exported.gate is not None,
            "coverages": list(COVERAGES) if exported.conformal else [],
            "heat": True,
            "token": token,
            "similar": exported.similar is not None,
            "not_a_medical_device": WARNING,
        }

    async def answer(self, files: Sequence[Part], wanted: Wanted) -> dict[str, Any]:
        """Returns a row for each file.

        Raises:
          Refusal: 400, there is no such set, or no training image; 422, a single file cannot be
            read; 429.
        """
        self._check(wanted)
        found = await asyncio.gather(*(self._row(file, wanted) for file in files))
        for row in found:
            if row["refused"]:
                self.metrics.refused.labels("file").inc()
        if len(found) == 1 and (refused := found[0]["refused"]):
            sentence = f"The file cannot be used as a radiograph: {refused['reason']}."
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
        return {"radiographs": found}

    def _check(self, wanted: Wanted) -> None:
        if wanted.similar is not None and self.network.exported.similar is None:
            raise invalid(
                "The export has no training images: leave out similar, or export the run with "
                "--similar=N."
            )
        if wanted.coverage is None:
            return
        table = self.network.exported.conformal
        if table is None:
            raise invalid("The export has no conformal sets: leave out coverage.")
        try:
            table.sets(wanted.coverage)
        except ValueError as error:
            raise invalid(f"coverage={wanted.coverage:g} is not there: {error}.") from error

    async def _row(self, file: Part, wanted: Wanted) -> dict[str, Any]:
        decoded = await self._decoded(file, wanted)
        row: dict[str, Any] = {"name": file.name, **dict.fromkeys(FIELDS)}
        if decoded.reason:
            return row | {"refused": {"group": decoded.group, "reason": decoded.reason}}
        squares = dict(zip(self.network.squares, decoded.images, strict=True))
        inputs = {name: image[np.newaxis] for name, image in squares.items()}
        asked = [self.batcher.submit(RADIOGRAPHS, inputs | {SIZE: np.array([decoded.size])})]
        if wanted.heat:
            first = self.network.squares[0]
            asked.append(self.batcher.submit(EXPLAIN, {first: inputs[first]}))
        answer, *evidence = [
            {name: value[0] for name, value in one.items()} for one in await asyncio.gather(*asked)
        ]
        return row | {
            "labels": self._labels(answer),
            "decision": self._decision(answer["decision"]),
            "flagged": answer["finding"],
            "set": self._set(answer["log_odds"], wanted.coverage),
            "similar": await self._similar(answer["features"], wanted.similar),
            "size": list(decoded.size[::-1]),
            "image": _base64(decoded.picture),
            "heat": self._heat(evidence[0]["evidence"], decoded.size) if evidence else None,
        }

    async def _decoded(self, file: Part, wanted: Wanted) -> DecodedRadiograph:
        try:
            sent = SentFile(file.data, wanted.image)
            return await asyncio.wrap_future(self.decoders.submit(sent))
        except Failed as error:
            return DecodedRadiograph(group=TOO_MUCH, reason=str(error))

    def _labels(self, answer: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        metadata = self.network.exported.metadata
        thresholds = metadata["thresholds"][CHOSEN]
        return [
            {
                "label": label,
                "probability": float(answer["probability"][k]),
                "calibrated": float(answer["calibrated"][k]),
                "threshold": None if metadata["exclusive"] else thresholds[k],
                "decision": bool(answer["decision"][k]),
                "class": self._class(label, bool(answer["decision"][k])),
            }
            for k, label in enumerate(metadata["labels"])
        ]

    def _class(self, label: str, decided: bool) -> str:
        classes = self.network.exported.metadata["classes"]
        if classes:
            return classes[decided]
        return label if decided else f"no {label}"

    def _decision(self, decided: np.ndarray) -> str:
        metadata = self.network.exported.metadata
        if metadata["classes"]:
            return metadata["classes"][int(decided[0])]
        return SEVERAL.join(itertools.compress(metadata["labels"], decided))

    def _set(self, log_odds: np.ndarray, coverage: float | None) -> list[str] | None:
        table, metadata = self.network.exported.conformal, self.network.exported.metadata
        if coverage is None or table is None:
            return None
        sets = table.sets(coverage)
        return sets.names(log_odds[np.newaxis], metadata["labels"], metadata["classes"])[0]

    async def _similar(
        self, features: np.ndarray, count: int | None
    ) -> list[dict[str, Any]] | None:
        images, metadata = self.network.exported.similar, self.network.exported.metadata
        if count is None or images is None:
            return None
        return [
            {
                "labels": image.shows(metadata["labels"], metadata["classes"]),
                "unknown": image.unknown(metadata["labels"]),
                "distance": image.distance,
                "picture": _base64(image.picture),
            }
            for image in await asyncio.to_thread(images.nearest, features, count)
        ]

    def _heat(self, evidence: np.ndarray, size: tuple[int, int]) -> dict[str, str | None]:
        metadata = self.network.exported.metadata
        mode = metadata["fits"][0]["mode"]
        pictures = [_base64(heat.picture(one, size, mode)) for one in evidence]
        return dict(zip(metadata["labels"], pictures, strict=True))


FIELDS = ("labels", "decision", "flagged", "set", "similar", "size", "image", "heat", "refused")


def _base64(data: bytes | None) -> str | None:
    return base64.b64encode(data).decode() if data else None
