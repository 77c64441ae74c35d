"""The body of a synthetic radiograph: what X-rays pass on their way through a torso.

Parts are drawn upright in torso coordinates: x points to the patient's left (the image's right),
y down, the origin lies between the hemithoraces, and 1 is about half the width of the rib cage.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

Pattern = Literal["focal", "diffuse"]

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


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draws a patient's build."""
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


def torso(a: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """The patient's tissue and lungs."""
    cage = _ellipse(0, 0.3, width=a.cage_width, height=a.cage_height)
    heart, abdomen = _heart(a), _abdomen(a)
    mediastinum = np.maximum(_step(a.mediastinum_width - U, 0.06), heart)
    lungs = _step(cage, 0.1) * (1 - abdomen) * (1 - mediastinum)
    hila = a.hilum * _bump(U - 0.25, 0.15) * _bump(Y + 0.08, 0.2)
    tissue = 0.62 * _soft_tissue(a) + 0.06 * heart + _spine() + _clavicles(a)
    tissue += lungs * (hila + a.markings)
    tissue += a.rib_contrast * _step(cage + 0.1, 0.15) * (1 - 0.7 * abdomen) * _ribs(a, cage)
    tissue += abdomen * (0.1 - _gastric_bubble(a))
    return tissue, lungs


def draw_opacity(rng: np.random.Generator, anatomy: Anatomy, pattern: Pattern) -> np.ndarray:
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
    aortic_arch = _ellipse(0.06, -0.2, width=0.2, height=0.26)
    return np.maximum(_step(heart, 0.2), _step(aortic_arch, 0.4))


def _abdomen(a: Anatomy) -> np.ndarray:
    """1 below the diaphragm, whose two domes fall off to the costophrenic angles."""
    dome = np.where(X < 0, a.dome_right, a.dome_left) + a.dome_height * ((U - 0.32) / 0.5) ** 2
    return _step(Y - dome.astype(np.float32), 0.03)


def _gastric_bubble(a: Anatomy) -> np.ndarray:
    return a.gastric_bubble * _step(_ellipse(0.45, a.dome_left + 0.2, width=0.28, height=0.14), 0.3)


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


def _ellipse(x: float, y: float, *, width: float, height: float) -> np.ndarray:
    """1 at the centre, 0 on the ellipse with these half-axes, negative outside."""
    return (1 - ((X - x) / width) ** 2) - ((Y - y) / height) ** 2
