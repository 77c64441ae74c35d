"""How a trained network sees single images: a self-contained HTML page for each."""

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
from etils import epath
from PIL import Image, UnidentifiedImageError

from trainer.data.decode import deep, dicom, radiograph
from trainer.metrics import classification
from trainer.metrics.label_result import UNNAMED_CLASSES, threshold_logit
from trainer.models import layer_outputs
from trainer.report import page
from trainer.report.album import embedded
from trainer.report.evidence import evidence
from trainer.show.pictures import canvas
from trainer.show.pictures.activations import activation_montage
from trainer.system import atomic
from trainer.system.errors import UsageError
from trainer.system.printable import printable
from trainer.training.trained_model import TrainedModel, read_file

SHOWN = 3  # labels in a line
EXPLAINED = 2  # labels, those of the highest probability
SMALLEST = 0.001  # probability that is shown as a number
NOTED_RATIO = 1.02  # by which one side of a squashed image shrinks more than the other
MODES = {"1": "black and white", "L": "grey", "LA": "grey", "RGB": "colour", "P": "palette"}
CONVOLUTIONS = {
    "Conv2D": "convolution",
    "SeparableConv2D": "separable convolution",
    "DepthwiseConv2D": "depthwise convolution",
}
POOLINGS = {"MaxPooling2D": "max pooling", "AveragePooling2D": "average pooling"}
FITS = {
    "squash": "squashed to {side} x {side} pixels",
    "pad": "the whole image within {side} x {side} pixels, on black",
    "crop": "its middle as {side} x {side} pixels; the network does not see the rest",
}


class InputImage(NamedTuple):
    """One file on its way to the network.

    Attributes:
      name: of the file.
      file: its content.
      stored: what preparation stores of it, in its own shape.
      fitted: what the network sees, [S, S, 1] uint8.
    """

    name: str
    file: bytes
    stored: Image.Image
    fitted: np.ndarray


class LabelPrediction(NamedTuple):
    """The prediction of one label for one image.

    Attributes:
      label: its name.
      number: of the output.
      logit: its log-odds.
      probability: of it, not calibrated.
      calibrated: the same at the run's temperature.
      temperature: of the run for this label.
      points: operating points with `name`, `threshold`, `predicted` (the class), and
        `sensitivity` and `specificity` on the test images; none where the likeliest class is
        predicted.
      prevalence: share of positives among the validation images, None where none is known.
    """

    label: str
    number: int
    logit: float
    probability: float
    calibrated: float
    temperature: float
    points: list[dict]
    prevalence: float | None


class ImagePages(NamedTuple):
    """What was written.

    Attributes:
      pages: what each page predicts, by its file, which is named after the image; in their order.
      refused: images that cannot be used, with the reason.
    """

    pages: dict[epath.Path, list[LabelPrediction]]
    refused: list[str]


def write(
    workdir: epath.PathLike, images: Sequence[epath.PathLike], out: epath.PathLike | None = None
) -> ImagePages:
    """Writes a page for each image: what the network predicts, and why.

    Args:
      workdir: of a finished run.
      images: files of radiographs, of any kind that preparation reads.
      out: folder for the pages; by default `images/` in the work directory.

    Raises:
      UsageError: there is no finished run, or no image can be used.
    """
    trained = TrainedModel.load(workdir)
    inputs, refused = _read_images(trained, images)
    folder = epath.Path(out) if out else epath.Path(workdir) / "images"
    template = page.template("image.html.j2", likely=likely)
    files = [folder / name for name in _page_names([image.name for image in inputs])]
    written = {}
    for file, image in zip(files, inputs, strict=True):
        content = _content(trained, image)
        atomic.write_text(file, template.render(content))
        written[file] = content["predictions"]
    return ImagePages(written, refused)


def _read_images(
    trained: TrainedModel, images: Sequence[epath.PathLike]
) -> tuple[list[InputImage], list[str]]:
    """Returns the images, and those that cannot be used, with the reason."""
    inputs, refused = [], []
    for path in images:
        try:
            file = read_file(path)
            stored = trained.stored_image(file)
        except radiograph.Unreadable as reason:
            refused.append(f"{path} ({reason})")
            continue
        name = printable(epath.Path(path).name)
        inputs.append(InputImage(name, file, stored, trained.fitted_image(stored)))
    if not inputs:
        which = "none of the images can" if len(images) > 1 else "the image cannot"
        raise UsageError(f"{which} be used, and nothing was written: {'; '.join(refused)}.")
    return inputs, refused


def sentence(predictions: Sequence[LabelPrediction]) -> str:
    """Returns the probabilities of an image in a line, the likeliest label first."""
    ordered = sorted(predictions, key=lambda prediction: -prediction.logit)
    shown = [
        f"{prediction.label} {likely(prediction.probability)}"
        + (f" (calibrated {likely(prediction.calibrated)})" if prediction.temperature != 1 else "")
        for prediction in ordered[:SHOWN]
    ]
    return ", ".join(shown) + (", ..." if len(ordered) > SHOWN else "")


def _page_names(names: Sequence[str]) -> Iterator[str]:
    """Yields a page's name for each file, all distinct even where case does not count."""
    taken: set[str] = set()
    for name in names:
        chosen, number = f"{name}.html", 1
        while chosen.lower() in taken:
            number += 1
            chosen = f"{name}-{number}.html"
        taken.add(chosen.lower())
        yield chosen


def _content(trained: TrainedModel, image: InputImage) -> dict[str, Any]:
    """Returns the variables of the template."""
    inputs = trained.inputs(image.fitted[None])
    predictions = _predictions(trained, trained.logits(image.fitted[None])[0])
    likeliest = sorted(predictions, key=lambda prediction: -prediction.logit)[:EXPLAINED]
    return {
        "name": image.name,
        "config": trained.config,
        "classes": trained.labels if trained.outputs.exclusive else trained.classes,
        "exclusive": trained.outputs.exclusive,
        "data": trained.data,
        "test": trained.evaluation,
        "radiograph": embedded(
            canvas.png(canvas.tile(np.asarray(image.stored), *image.stored.size))
        ),
        "predictions": predictions,
        "is_calibrated": any(prediction.temperature != 1 for prediction in predictions),
        "evidence": [
            evidence(
                trained.model,
                image.fitted,
                inputs,
                label=prediction.label,
                output=prediction.number,
            )
            for prediction in likeliest
        ],
        "layers": list(_layers(trained, inputs)),
        "facts": _facts(trained, image),
    }


def _predictions(trained: TrainedModel, logits: np.ndarray) -> list[LabelPrediction]:
    names = trained.classes or UNNAMED_CLASSES
    log_odds = logits[None].astype(np.float64)
    at_temperature = trained.outputs.calibrated(log_odds, trained.temperatures)
    pairs = np.concatenate([classification.probabilities(x) for x in (log_odds, at_temperature)])
    predictions = []
    for number, label in enumerate(trained.labels):
        logit, temperature = float(logits[number]), trained.temperatures[number]
        points = [
            {**point, "predicted": names[int(logit >= threshold_logit(point))]}
            for point in trained.evaluation["labels"][label]["operating_points"]
            if not trained.outputs.exclusive
        ]
        probability, calibrated = map(float, pairs[:, number])
        prevalence = _prevalence(trained.data, label)
        predictions.append(
            LabelPrediction(
                label, number, logit, probability, calibrated, temperature, points, prevalence
            )
        )
    return predictions


def _prevalence(data: Mapping[str, Any], label: str) -> float | None:
    counts = data["splits"]["validation"]["per_label"][label]
    known = counts["positive"] + counts["negative"]
    return counts["positive"] / known if known else None


def _layers(trained: TrainedModel, inputs: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yields a description of each inner layer, with pictures of its activations."""
    shown, colours = trained.config.summaries.channels, trained.config.summaries.colour_map
    maps = layer_outputs.activation_maps(trained.model, inputs)
    for name, values in maps.items():
        montage = partial(activation_montage, name, values, [""], colour_map=colours)
        full = None
        if values.shape[-1] > shown:
            full = embedded(montage(max_channels=None).png())
        yield {
            "name": name,
            "description": _description(trained.model.get_layer(name)),
            "shape": " x ".join(map(str, values.shape[1:])),
            "channels": values.shape[-1],
            "few": embedded(montage(max_channels=shown).png()),
            "full": full,
        }


def _description(layer: keras.Layer) -> str:
    """Returns what a layer does, in words."""
    kind = type(layer).__name__
    if kind in POOLINGS:
        words = f"{POOLINGS[kind]} {_by(layer.pool_size)}"
        return words + ("" if layer.strides == layer.pool_size else _stride(layer))
    words = f"{CONVOLUTIONS[kind]} {_by(layer.kernel_size)}{_stride(layer)}"
    words += f", {layer.output.shape[-1]} filters"
    activation = keras.activations.serialize(layer.activation)
    return words + (f", {activation}" if activation != "linear" else "")


def _by(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"


def _stride(layer: keras.Layer) -> str:
    return f", stride {layer.strides[0]}" if max(layer.strides) > 1 else ""


def _facts(trained: TrainedModel, image: InputImage) -> list[tuple[str, str]]:
    """Returns what is known about a file, and how it reached the network."""
    kind, (columns, rows) = _kind(image.file)
    width, height = image.stored.size
    kept = f"{width:,} x {height:,} pixels with 8 bits"
    if trained.decoding.uniform:
        kept += ", blurred and encoded like all images of the run"
    fit, side = trained.config.data.fit, trained.config.data.image_size
    fitted = FITS[fit].format(side=side)
    ratio = max(width, height) / min(width, height)
    if fit == "squash" and ratio >= NOTED_RATIO:
        more, less = ("width", "height") if width > height else ("height", "width")
        fitted += f": its {more} shrinks {ratio:.2f} times as much as its {less}"
    return [
        ("File", image.name),
        ("Kind", kind),
        ("Size", f"{columns:,} x {rows:,} pixels, {len(image.file) / 1000:,.0f} kB"),
        ("Stored as", kept),
        ("Fitted", fitted),
    ]


def _kind(data: bytes) -> tuple[str, tuple[int, int]]:
    """Returns what kind of file it is, in words, and its size, (width, height) in pixels."""
    if dicom.is_dicom(data):
        header = dicom.header(data)
        view = f"{header.view} view" if header.view else "view not given"
        kind = f"DICOM, {header.modality}, {view}, {header.photometric}"
        return kind, (header.columns, header.rows)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return f"{image.format}, {MODES.get(image.mode, image.mode)}", image.size
    except UnidentifiedImageError:  # what is decoded without Pillow
        return deep.kind(data), deep.size(data)


def likely(probability: float) -> str:
    """Returns a probability in per cent, never as 0 or 100, which no probability is."""
    if probability < SMALLEST:
        return f"below {100 * SMALLEST:g} %"
    if probability > 1 - SMALLEST:
        return f"above {100 * (1 - SMALLEST):g} %"
    return page.percent(probability)
