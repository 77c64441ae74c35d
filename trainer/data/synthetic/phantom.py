"""Synthetic frontal chest radiographs, for the demo and the tests; none shows a real person.

The parts of `trainer.data.synthetic.anatomy` add up to a map of attenuation, which a pose and an
exposure turn into an image. The two classes differ in the opacity alone.
"""

import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trainer.data.synthetic.anatomy import (
    PIXELS,
    PIXELS_PER_UNIT,
    Pattern,
    draw_anatomy,
    draw_opacity,
    torso,
)

LABEL = "SYNTHETIC"  # drawn into every phantom's upper left corner, like a side marker
JPEG_QUALITY = 90

# The public archive's file series and the opacities drawn for them.
PATTERN: dict[str, Pattern | None] = {
    "IM": None,
    "NORMAL2-IM": None,
    "bacteria": "focal",
    "virus": "diffuse",
}
# The series of one patient after the other: 4 in 7 are sick.
SERIES = ("IM", "bacteria", "NORMAL2-IM", "virus", "bacteria", "IM", "virus")
IMAGES_PER_PATIENT = (1, 3)


@dataclass(frozen=True)
class Patient:
    """A phantom's torso maps, each [PIXELS, PIXELS] float32.

    Attributes:
      tissue: attenuation with airless lungs; 0 for air, about 0.6 for soft tissue.
      lungs: 1 in the lungs, 0 outside.
      opacity: what pneumonia adds to the lungs' attenuation, 0 where there is none.
    """

    tissue: np.ndarray
    lungs: np.ndarray
    opacity: np.ndarray


def archive(images: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yields (name, grayscale JPEG) with the layout and the names of the public archive.

    A file depends on the seed and its place alone: a longer archive begins with the shorter one.

    Args:
      images: number of files.
      seed: at least 0; another seed draws other patients.
    """
    patients: Counter[str] = Counter()
    files: Counter[str] = Counter()
    while files.total() < images:
        index = patients.total()
        series = SERIES[index % len(SERIES)]
        patients[series] += 1
        rng = _generator(seed, index)
        count = int(rng.integers(*IMAGES_PER_PATIENT, endpoint=True))
        person = draw_patient(rng, PATTERN[series])
        for image in range(1, 1 + min(count, images - files.total())):
            files[series] += 1
            name = _name(series, patients[series], image, file=files[series])
            yield name, _jpeg(radiograph(person, _generator(seed, index, image)))


def draw_patient(rng: np.random.Generator, pattern: Pattern | None) -> Patient:
    """Returns a new patient, with pneumonia of the given pattern or, for None, without."""
    anatomy = draw_anatomy(rng)
    tissue, lungs = torso(anatomy)
    opacity = np.zeros_like(lungs) if pattern is None else draw_opacity(rng, anatomy, pattern)
    return Patient(tissue, lungs, opacity)


def radiograph(patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Returns an image of the patient, newly posed and exposed: [H, W] uint8, 200 to 340 pixels."""
    aeration = rng.uniform(0.34, 0.5)
    course = rng.uniform(0.75, 1.15)  # the opacity waxes and wanes between a patient's images
    attenuation = patient.tissue + patient.lungs * (course * patient.opacity - aeration)
    return _labelled(_exposed(_posed(attenuation, rng), rng))


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(entropy))


def _name(series: str, number: int, image: int, *, file: int) -> str:
    """A file's name; a patient is in one split, every fifth of a series in test."""
    split = "test" if number % 5 == 2 else "train"
    if PATTERN[series] is None:
        return f"chest_xray/{split}/NORMAL/{series}-{number:04d}-{image:04d}.jpeg"
    return f"chest_xray/{split}/PNEUMONIA/person{number}_{series}_{file}.jpeg"


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _posed(attenuation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The torso map as one exposure's detector sees it: [H, W] float32."""
    height = int(rng.integers(200, 261))
    width = int(height * rng.uniform(1.0, 1.3))
    scale = min(width / 2.2, height / 2.1) * rng.uniform(0.9, 1.1) / PIXELS_PER_UNIT
    angle = math.radians(rng.normal(0, 4))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    left, top = PIXELS / 2 + PIXELS_PER_UNIT * rng.normal(0, 0.06, 2)
    matrix = (
        *(cos, sin, left - (cos * width + sin * height) / 2),
        *(-sin, cos, top - (cos * height - sin * width) / 2),
    )
    image = Image.fromarray(attenuation)
    posed = image.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(posed)


def _exposed(attenuation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey levels [H, W] uint8; automatic exposure hides the opacity from their mean."""
    height, width = attenuation.shape
    level, contrast = rng.uniform(0.38, 0.66), rng.uniform(0.7, 1.2)
    # The beam is not quite even over the detector.
    tilt_y, tilt_x = rng.normal(0, 0.05, 2).astype(np.float32)
    beam = np.linspace(-tilt_y, tilt_y, height)[:, None] + np.linspace(-tilt_x, tilt_x, width)
    grain = rng.standard_normal(attenuation.shape, np.float32) * rng.uniform(0.01, 0.03)
    sensed = attenuation[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4].mean()
    film = (attenuation - sensed + beam.astype(np.float32)) * contrast + grain + level
    return (255 * np.clip(film, 0, 1)).astype(np.uint8)


def _labelled(pixels: np.ndarray) -> np.ndarray:
    """The image with LABEL in its corner, white on black."""
    image = Image.fromarray(pixels)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default_imagefont()
    left, top, right, bottom = pen.textbbox((4, 4), LABEL, font=font)
    pen.rectangle((left - 2, top - 1, right + 1, bottom), fill=0)
    pen.text((4, 4), LABEL, fill=255, font=font)
    return np.asarray(image)
