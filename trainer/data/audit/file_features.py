"""Features of a radiograph's file that are not the patient: encoding, size, borders, brightness."""

import hashlib
import io
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin
from scipy.fft import dctn

# The name of each group of features in an audit, and the fields of FileFeatures that it holds.
GROUPS: dict[str, tuple[str, ...]] = {
    "EXIF present": ("exif",),
    "file format": ("format",),
    "JPEG quantisation tables": ("quality", "table"),
    "chroma and colour mode": ("chroma", "mode"),
    "file size": ("bytes", "bytes_per_pixel"),
    "width": ("width",),
    "height": ("height",),
    "aspect ratio": ("aspect",),
    "border darkness": ("border", "black"),
    "mean and contrast": ("mean", "contrast"),
    "encoding seen in the pixels": ("quantiser",),
    "fine structure": ("blockiness", "fineness", "slope"),
}

# Sum of the luminance quantisers at quality 50 (ITU-T T.81, table K.1), which libjpeg scales.
QUALITY_50 = 3688
CHROMA = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
BORDER = 0.03
LARGEST_CROP = 1024
LEAST_POWER = 1e-3  # in squared grey levels: far below what 8 bits resolve
BLOCK = 8
# Frequencies (down, across) in which the quantiser is sought, and its possible steps: every
# coefficient lies near a multiple of 1, so 1 would prove nothing.
LOWEST = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
STEPS = range(2, 41)
LEAST_COMB = 0.5
LEAST_BLOCKS = 64


@dataclass(frozen=True)
class FileFeatures:
    """What is measured of one file and its pixels without looking at the patient.

    Attributes:
      format: "JPEG", "PNG" and so on, "other" where Pillow does not know it.
      exif: whether there is EXIF.
      quality: of a JPEG, by libjpeg's scale of 1 to 100, else 0.
      table: short digest of a JPEG's quantisation tables, else "".
      chroma: of a colour JPEG "4:2:0" and so on, else "".
      mode: Pillow's mode, such as "L", "RGB" or "I;16".
      bytes: size of the file.
      bytes_per_pixel: that over width x height.
      width, height: pixels, as stored.
      aspect: width / height.
      border: mean grey of the outer 3 % of the picture, 0 to 255.
      black: share of pixels that are exactly 0.
      mean: mean grey, 0 to 255.
      contrast: standard deviation of grey, 0 to 255.
      quantiser: mean step to which the lowest frequencies of 8 x 8 blocks were once rounded, by
        JPEG at this very size and place; 1 where none is seen. Independent of what is shown.
      blockiness: how much more grey changes across the borders of 8 x 8 blocks than elsewhere,
        natural logarithm; about 0 where no block was quantised.
      fineness: power of the finest structure over the variance, decimal logarithm.
      slope: power of the finest structure over that of structure twice as large, likewise.
    """

    format: str
    exif: bool
    quality: float
    table: str
    chroma: str
    mode: str
    bytes: int
    bytes_per_pixel: float
    width: int
    height: int
    aspect: float
    border: float
    black: float
    mean: float
    contrast: float
    quantiser: float
    blockiness: float
    fineness: float
    slope: float


def measure(data: bytes, pixels: np.ndarray) -> FileFeatures:
    """Returns the features of one file, of which only the header is read again.

    Args:
      data: the file.
      pixels: what `radiograph.decode` made of it, [H, W, 1] uint8, best at its full size.
    """
    grey = pixels[..., 0]
    encoding = _encoding(data) or _unknown_encoding(grey)
    width, height = encoding["width"], encoding["height"]
    return FileFeatures(
        **encoding,
        bytes=len(data),
        bytes_per_pixel=len(data) / (width * height),
        aspect=width / height,
        border=_border(grey),
        black=float(np.mean(grey == 0)),
        mean=float(grey.mean()),
        contrast=float(grey.std(dtype=np.float32)),
        quantiser=_quantiser(_crop(grey, LARGEST_CROP // 2)),
        **_fine_structure(_crop(grey, LARGEST_CROP)),
    )


def _encoding(data: bytes) -> dict | None:
    """Returns the features in the file's header; None where Pillow cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                tables = getattr(image, "quantization", None) or {}
                return {
                    "format": image.format or "other",
                    "exif": bool(image.info.get("exif")) or bool(image.getexif()),
                    "quality": _quality(tables.get(0)),
                    "table": _digest(tables),
                    "chroma": _chroma(image),
                    "mode": image.mode,
                    "width": image.width,
                    "height": image.height,
                }
    except Exception:  # a damaged header raises anything; the pixels were decoded without it
        return None


def _unknown_encoding(grey: np.ndarray) -> dict:
    height, width = grey.shape
    return {
        **{"format": "other", "exif": False, "quality": 0.0, "width": width, "height": height},
        **dict.fromkeys(["table", "chroma", "mode"], ""),
    }


def _quality(luminance: list[int] | None) -> float:
    """Returns a JPEG's quality, 1 to 100: libjpeg's `jpeg_quality_scaling` inverted."""
    if not luminance:
        return 0.0
    scale = 100 * sum(luminance) / QUALITY_50
    return (200 - scale) / 2 if scale <= 100 else 5000 / scale


def _digest(tables: dict[int, list[int]]) -> str:
    return hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:8] if tables else ""


def _chroma(image: Image.Image) -> str:
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode == "L":
        return ""
    return CHROMA.get(JpegImagePlugin.get_sampling(image), "other")


def _border(grey: np.ndarray) -> float:
    height, width = grey.shape
    down, across = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    sides = [grey[:down], grey[-down:], grey[down:-down, :across], grey[down:-down, -across:]]
    return float(np.concatenate([side.ravel() for side in sides]).mean())


def _crop(grey: np.ndarray, largest: int) -> np.ndarray:
    """Returns the middle, at most `largest` a side, aligned to the blocks, as float32."""
    top, left = (max(0, side - largest) // 2 // BLOCK * BLOCK for side in grey.shape)
    return grey[top : top + largest, left : left + largest].astype(np.float32)


def _quantiser(grey: np.ndarray) -> float:
    """Returns the mean step of the lowest frequencies of the 8 x 8 blocks.

    The coefficients of a decoded JPEG lie close to the multiples of its quantisers, like a comb
    (Fan and de Queiroz, IEEE Trans. Image Processing 12:230, 2003): for the right step, and those
    that divide it, the mean of cos(2 pi c / step) is near 1, and else about 0.
    """
    down, across = (side // BLOCK for side in grey.shape)
    blocks = grey[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    frequencies = dctn(blocks, axes=(1, 3), norm="ortho")
    lowest = np.stack([frequencies[:, v, :, u].ravel() for v, u in LOWEST])
    size, steps = np.abs(lowest), np.ones(len(LOWEST))
    for step in STEPS:  # the largest step that shows a comb is kept
        large = size > step / 2
        count = large.sum(1)
        comb = np.sum(np.cos((2 * math.pi / step) * lowest), axis=1, where=large)
        steps[(count >= LEAST_BLOCKS) & (comb > LEAST_COMB * count)] = step
    return float(steps.mean())


def _fine_structure(grey: np.ndarray) -> dict[str, Any]:
    finest, variance = _finest_power(grey), float(grey.var())
    height, width = (side // 2 * 2 for side in grey.shape)
    halved = grey[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return {
        "blockiness": (_blockiness(grey) + _blockiness(grey.T)) / 2,
        "fineness": math.log10(finest / (variance + LEAST_POWER)),
        "slope": math.log10(finest / _finest_power(halved)),
    }


def _finest_power(grey: np.ndarray) -> float:
    """Returns the mean square of the diagonal Haar wavelet: differences of diagonal neighbours."""
    difference = np.diff(np.diff(grey, axis=0), axis=1) / 2
    return float(np.mean(difference**2)) + LEAST_POWER


def _blockiness(grey: np.ndarray) -> float:
    """Returns the log ratio of the largest to the median change between columns, by phase modulo 8.

    Any phase counts, since a crop or a rotation shifts the grid of blocks.
    """
    steps = np.abs(np.diff(grey, axis=1)).mean(0)
    phases = [steps[phase::BLOCK].mean() + LEAST_POWER for phase in range(BLOCK)]
    return math.log(max(phases) / float(np.median(phases)))
