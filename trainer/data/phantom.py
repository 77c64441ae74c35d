"""Synthetic frontal chest radiographs, for the demo and the tests; none shows a real person.

A patient's parts are drawn upright in torso coordinates: x points to the patient's left (the
image's right), y down, the origin lies between the hemithoraces, and 1 is about half the width
of the rib cage. They add up to a map of attenuation, which a pose and an exposure turn into an
image. The two classes differ in the opacity alone.
"""

import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LABEL = "SYNTHETIC"  # drawn into every phantom's upper left corner, like a side marker
JPEG_QUALITY = 90

Pattern = Literal["focal", "diffuse"]

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

# The torso map: PIXELS a side, 3 torso units wide and high.
PIXELS = 256
PIXELS_PER_UNIT = PIXELS / 3
X = np.linspace(-1.5, 1.5, PIXELS, dtype=np.float32)[None, :]
Y = np.linspace(-1.6, 1.4, PIXELS, dtype=np.float32)[:, None]
U = np.abs(X)  # distance from the midline


@dataclass(frozen=True)
class Anatomy:
    """One patient's build, the same on all of their images; lengths in torso units."""

    cage_width: float
    cage_height: float
    shoulder_width: float
    trunk_width: float
    mediastinum_width: float
    heart_x: float
    heart_width: float
    dome_right: float
    dome_left: float
    dome_height: float
    rib_spacing: float
    rib_phase: float
    rib_slope: float
    rib_contrast: float
    clavicle_y: float
    clavicle_slope: float
    gastric_bubble: float
    hilum: float
    markings: np.ndarray  # [PIXELS, PIXELS] float32, the lungs' fine texture, mean 0


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
    """(name, grayscale JPEG) pairs under the layout and the names of the public archive.

    A file depends on the seed and its place alone: a longer archive begins with the shorter one.

    Args:
      images: number of files.
      seed: at least 0; another seed draws other patients.
    """
    patients, files = Counter(), Counter()
    while files.total() < images:
        index = patients.total()
        series = SERIES[index % len(SERIES)]
        patients[series] += 1
        rng = _generator(seed, index)
        count = int(rng.integers(*IMAGES_PER_PATIENT, endpoint=True))
        person = draw_patient(rng, PATTERN[series])
        for image in range(1, 1 + min(count, images - files.total())):
            files[series] += 1
            name = _name(series, patients[series], image, files[series])
            yield name, _jpeg(radiograph(person, _generator(seed, index, image)))


def draw(rng: np.random.Generator, pneumonia: bool) -> np.ndarray:
    """One radiograph of a new patient: [H, W] uint8, 200 to 340 pixels a side."""
    pattern: Pattern = "focal" if rng.random() < 0.5 else "diffuse"
    return radiograph(draw_patient(rng, pattern if pneumonia else None), rng)


def draw_patient(rng: np.random.Generator, pattern: Pattern | None) -> Patient:
    """A new patient, with pneumonia of the given pattern or, for None, without."""
    anatomy = _anatomy(rng)
    tissue, lungs = _torso(anatomy)
    opacity = np.zeros_like(lungs) if pattern is None else _opacity(rng, anatomy, pattern)
    return Patient(tissue, lungs, opacity)


def radiograph(patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """One image of the patient, posed and exposed anew: [H, W] uint8, 200 to 340 pixels a side."""
    aeration = rng.uniform(0.34, 0.5)
    course = rng.uniform(0.75, 1.15)  # the opacity waxes and wanes between a patient's images
    attenuation = patient.tissue + patient.lungs * (course * patient.opacity - aeration)
    return _labelled(_exposed(_posed(attenuation, rng), rng))


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(entropy))


def _name(series: str, number: int, image: int, file: int) -> str:
    """A file's name; a patient is in one split, every fifth of a series in test."""
    split = "test" if number % 5 == 2 else "train"
    if PATTERN[series] is None:
        return f"chest_xray/{split}/NORMAL/{series}-{number:04d}-{image:04d}.jpeg"
    return f"chest_xray/{split}/PNEUMONIA/person{number}_{series}_{file}.jpeg"


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _anatomy(rng: np.random.Generator) -> Anatomy:
    return Anatomy(
        cage_width=rng.uniform(0.82, 0.96),
        cage_height=rng.uniform(1.15, 1.3),
        shoulder_width=rng.uniform(1.1, 1.45),
        trunk_width=rng.uniform(1.0, 1.15),
        mediastinum_width=rng.uniform(0.15, 0.23),
        heart_x=rng.uniform(0.08, 0.2),
        heart_width=rng.uniform(0.32, 0.46),
        dome_right=rng.uniform(0.42, 0.56),
        dome_left=rng.uniform(0.48, 0.64),
        dome_height=rng.uniform(0.1, 0.22),
        rib_spacing=rng.uniform(0.17, 0.21),
        rib_phase=rng.uniform(0, 1),
        rib_slope=rng.uniform(0.2, 0.45),
        rib_contrast=rng.uniform(0.05, 0.11),
        clavicle_y=rng.uniform(-0.8, -0.68),
        clavicle_slope=rng.uniform(0.05, 0.35),
        gastric_bubble=max(0.0, rng.uniform(-0.2, 0.25)),
        hilum=rng.uniform(0.1, 0.22),
        markings=0.035 * _smooth_noise(rng, 0.075) + 0.015 * _smooth_noise(rng, 0.15),
    )


def _smooth_noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Noise of mean 0, about unit variance and this grain in torso units."""
    cells = round(3 / scale)
    coarse = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    return 1.3 * np.asarray(coarse.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))


def _opacity(rng: np.random.Generator, anatomy: Anatomy, pattern: Pattern) -> np.ndarray:
    """What pneumonia adds to the lungs' attenuation: one focus, or patches over both lungs."""
    if pattern == "focal":
        spots = int(rng.integers(5, 10))
        centres = _in_the_lungs(rng, anatomy, 1) + rng.normal(0, 0.1, (spots, 2))
        radii = rng.uniform(0.07, 0.125, spots)
        strength = rng.uniform(0.35, 0.65)
    else:
        spots = int(rng.integers(18, 32))
        centres = _in_the_lungs(rng, anatomy, spots)
        radii = rng.uniform(0.04, 0.07, spots)
        strength = rng.uniform(0.25, 0.5)  # many, hence found while fainter
    return strength * np.tanh(_blobs(centres, radii))


def _in_the_lungs(rng: np.random.Generator, anatomy: Anatomy, points: int) -> np.ndarray:
    """Points of either lung field, mostly clear of the heart: [points, 2] float64, x and y."""
    x = rng.uniform(0.37, 0.77, points) * anatomy.cage_width * rng.choice([-1, 1], points)
    return np.stack([x, rng.uniform(-0.55, 0.37, points)], axis=1)


def _blobs(centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Sum of Gaussian bumps of height 1."""
    centres, radii = centres.astype(np.float32), radii.astype(np.float32)
    across = np.exp(-(((X.T - centres[:, 0]) / radii) ** 2))
    down = np.exp(-(((Y - centres[:, 1]) / radii) ** 2))
    return down @ across.T


def _step(signed: np.ndarray, blur: float) -> np.ndarray:
    """Soft edge: 0 where `signed` is below -blur, 1 above blur."""
    t = signed * (0.5 / blur)
    t += 0.5
    np.clip(t, 0, 1, out=t)
    return t * t * (3 - 2 * t)


def _bump(signed: np.ndarray, width: float) -> np.ndarray:
    """Bell of height 1 about 0 that ends at +-2 widths."""
    t = signed * (0.5 / width)
    t *= t
    np.minimum(t, 1, out=t)
    t -= 1
    return t * t


def _ellipse(x: float, y: float, width: float, height: float) -> np.ndarray:
    """1 at the centre, 0 on the ellipse with these half-axes, negative outside."""
    return (1 - ((X - x) / width) ** 2) - ((Y - y) / height) ** 2


def _torso(a: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """The patient's tissue and lungs."""
    cage = _ellipse(0, 0.3, a.cage_width, a.cage_height)
    heart, abdomen = _heart(a), _abdomen(a)
    mediastinum = np.maximum(_step(a.mediastinum_width - U, 0.06), heart)
    lungs = _step(cage, 0.1) * (1 - abdomen) * (1 - mediastinum)
    hila = a.hilum * _bump(U - 0.25, 0.15) * _bump(Y + 0.08, 0.2)
    tissue = 0.62 * _soft_tissue(a) + 0.06 * heart + _spine() + _clavicles(a)
    tissue += lungs * (hila + a.markings)
    tissue += a.rib_contrast * _step(cage + 0.1, 0.15) * (1 - 0.7 * abdomen) * _ribs(a, cage)
    tissue += abdomen * (0.1 - _gastric_bubble(a))
    return tissue, lungs


def _soft_tissue(a: Anatomy) -> np.ndarray:
    """Neck, shoulders and trunk, thinner towards the skin."""
    neck = 0.34
    shoulders = (a.shoulder_width - neck) * _step(Y + 1.0, 0.22)
    armpits = (a.trunk_width - a.shoulder_width) * _step(Y + 0.35, 0.25)
    half_width = neck + shoulders + armpits
    return _step(half_width - U, 0.05) * (1 - 0.25 * np.minimum(U / half_width, 1) ** 2)


def _heart(a: Anatomy) -> np.ndarray:
    """The heart, its apex down to the patient's left, and the great vessels above it."""
    x, y = X - a.heart_x, Y - 0.24
    along, across = 0.77 * x + 0.64 * y, 0.77 * y - 0.64 * x
    heart = 1 - (along / (1.25 * a.heart_width)) ** 2 - (across / (0.85 * a.heart_width)) ** 2
    aortic_arch = _ellipse(0.06, -0.2, 0.2, 0.26)
    return np.maximum(_step(heart, 0.2), _step(aortic_arch, 0.4))


def _abdomen(a: Anatomy) -> np.ndarray:
    """1 below the diaphragm, whose two domes fall off to the costophrenic angles."""
    dome = np.where(X < 0, a.dome_right, a.dome_left) + a.dome_height * ((U - 0.32) / 0.5) ** 2
    return _step(Y - dome.astype(np.float32), 0.03)


def _gastric_bubble(a: Anatomy) -> np.ndarray:
    return a.gastric_bubble * _step(_ellipse(0.45, a.dome_left + 0.2, 0.28, 0.14), 0.3)


def _ribs(a: Anatomy, cage: np.ndarray) -> np.ndarray:
    """Posterior ribs fall outwards; anterior ones fall inwards, end at their cartilage, faint."""
    posterior = Y - a.rib_slope * U * (2 * U - 0.6)
    anterior = Y + 0.75 * U - 0.25 * U**2
    end_on = 1 + 0.8 * _bump(cage, 0.12)
    ribs = _rib_rows(posterior, a) * end_on
    return ribs + 0.6 * _rib_rows(anterior, a) * _step(U - 0.4, 0.15)


def _rib_rows(y: np.ndarray, a: Anatomy) -> np.ndarray:
    """A rib in every spacing along y, with a brighter cortex at its borders."""
    phase = y * (1 / a.rib_spacing) + a.rib_phase
    off = np.abs(phase - np.floor(phase) - 0.5)
    return 0.7 * _step(0.21 - off, 0.06) + _bump(off - 0.17, 0.04)


def _spine() -> np.ndarray:
    """Vertebral bodies with their disc spaces, and the trachea's air column before them."""
    discs = _bump((Y / 0.17) % 1 - 0.5, 0.1)
    column = _step(0.13 - U, 0.03) * (0.13 - 0.06 * discs)
    trachea = _bump(X + 0.02, 0.04) * _step(-0.35 - Y, 0.1)
    return column - 0.1 * trachea


def _clavicles(a: Anatomy) -> np.ndarray:
    off = np.abs(Y - (a.clavicle_y - a.clavicle_slope * U - 0.04 * np.sin(6 * U)))
    bone = 0.1 * _step(0.045 - off, 0.015) + 0.08 * _bump(off - 0.035, 0.012)
    return bone * (_step(U - 0.1, 0.03) * _step(1.0 - U, 0.05))


def _posed(attenuation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The torso map as one exposure's detector sees it: [H, W] float32."""
    height = int(rng.integers(200, 261))
    width = int(height * rng.uniform(1.0, 1.3))
    scale = min(width / 2.2, height / 2.1) * rng.uniform(0.9, 1.1) / PIXELS_PER_UNIT
    angle = math.radians(rng.normal(0, 4))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    left, top = PIXELS / 2 + PIXELS_PER_UNIT * rng.normal(0, 0.06, 2)
    matrix = (cos, sin, left - (cos * width + sin * height) / 2)
    matrix += (-sin, cos, top - (cos * height - sin * width) / 2)
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
