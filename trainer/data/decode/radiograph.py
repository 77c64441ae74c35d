"""Decodes image files of any format to grey pixels, or gives the reason why not."""

import io
import math
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from trainer.data.decode import codestream, deep, depth, dicom, orientation, tiff
from trainer.data.decode.depth import OUTLIERS
from trainer.data.decode.limits import MOST_PIXELS, LeftOut, Unreadable, check_size, reading

__all__ = ["Decoded", "Unreadable", "check_not_blank", "decode", "decoded", "shrunk"]

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
JPEGS = ("JPEG", "MPO")  # MPO is one, with others behind it
LANCZOS = Image.Resampling.LANCZOS

# A JPEG is decoded at 1/2 or 1/4 of its size where that leaves it DRAFT_MARGIN times as large as
# it is needed. Mean absolute difference, in grey levels, from full decoding and Lanczos:
#   margin                                   1.0   1.5   2.0   3.0
#   160 radiographs of the Kermany set       3.0   1.1   0.5   0.4   (the worst of them)
#   white noise from 0 to 255, 1/2          14.3   6.9   3.9   1.8
#   checkerboard of 37x29 squares, 1/4       6.4   3.2   2.1   1.1   (at 1/8: 2.5 at 3.0)
# Decoding and shrinking takes 2.0 times less at 1/2 and 2.9 times less at 1/4.
DRAFT_MARGIN = 3
DRAFT_SCALES = (4, 2)

# A coded 8x8 block takes a bit or more (ITU-T T.81); deflate shrinks at most 1032 times, and PNG
# holds up to eight pixels in a byte. A file that declares more pixels is truncated.
MOST_PIXELS_A_BYTE = {"JPEG": 512, "PNG": 8 * 1032}
# Each scan of a progressive JPEG passes over all pixels; encoders write about ten.
MOST_SCANS = 100
START_OF_SCAN = b"\xff\xda"
ARITHMETIC = (b"\xff\xc9", b"\xff\xca")  # frames that few decoders read
JFIF_LENGTH = 14  # of the APP0 segment without a thumbnail

LEAST_CONTRAST = 4  # grey levels between nearly all pixels of an image that is not blank

LFS_POINTER = b"version https://git-lfs"
ARRAYS = {
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF\r\n": "an HDF5 file",
    b"\x1f\x8b": "a gzip file, perhaps NIfTI",
    b"PK\3\4": "a zip archive or .npz",
    b"%PDF": "a PDF",
}
TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r\f"
TEXT_BYTES = 512  # that are inspected


@dataclass(frozen=True)
class Decoded:
    """Grey pixels, and whether their file is a JPEG that holds only these (is plain)."""

    pixels: np.ndarray
    plain: bool = False


def decode(data: bytes, max_side: int, any_view: bool = False) -> np.ndarray:
    """Decodes an image file by its content, whatever its name.

    Formats: those of `FORMATS`, of one frame, DICOM (see `dicom.decode`), and what `deep` reads.

    Orientation: EXIF's (or TIFF's) is applied; one that cannot be read counts as upright. DICOM's
    pixels stay as they are stored.

    Grey: colour becomes luma (ITU-R 601), palettes and CMYK by way of RGB; what is transparent
    lies over black.

    Depth: 1 bit becomes 0 and 255. Of 16 stored bits the upper 8 of those in use are kept: as many
    as TIFF's BitsPerSample says, and where that is 16, or in PNG, the fewest of 8, 10, 12, 14 and
    16 that hold all values but the largest and 0.5 %, see `depth.upper_bits`. So 12 bits stored as
    16 are not black, with a marker of 65535 neither. Floating-point values are refused.

    Size: an image whose longer side exceeds `max_side` is shrunk to it, antialiased (Lanczos).

    Args:
      data: the file's bytes.
      max_side: longest side of the result, pixels.
      any_view: takes DICOM's lateral, oblique and decubitus views too.

    Returns:
      Grey values, [H, W, 1] uint8.

    Raises:
      Unreadable: with the reason, in a few words.
    """
    return decoded(data, max_side, any_view).pixels


def decoded(data: bytes, max_side: int, any_view: bool = False) -> Decoded:
    """Decodes as `decode` does, and tells whether the file holds nothing else."""
    if not data:
        raise Unreadable("empty file")
    with reading():
        if dicom.is_dicom(data):
            grey = Image.fromarray(dicom.decode(data, any_view))
            return Decoded(_pixels(_shrunk(grey, max_side)))
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError:
            raise Unreadable(f"more than {MOST_PIXELS // 10**6} million pixels") from None
        except UnidentifiedImageError:
            return Decoded(_pixels(_decode_other(data, max_side)))
        with image:
            return _decoded_image(image, data, max_side)


def check_not_blank(pixels: np.ndarray) -> None:
    """Raises LeftOut for an image of one grey value, or nearly so: it is whole and shows nothing.

    Args:
      pixels: [H, W, 1] uint8.
    """
    if _is_clearly_not_blank(pixels):
        return
    counts = np.array(Image.fromarray(pixels[..., 0]).histogram())
    present = np.flatnonzero(counts)
    if len(present) == 1:
        raise LeftOut(f"blank: every pixel is {present[0]} of 255")
    shares = np.cumsum(counts) / counts.sum()
    dark, middle, bright = np.searchsorted(shares, (OUTLIERS, 0.5, 1 - OUTLIERS))
    if bright - dark < LEAST_CONTRAST:
        raise LeftOut(f"blank: nearly every pixel is {middle} of 255")


def _is_clearly_not_blank(pixels: np.ndarray) -> bool:
    """Returns whether every eighth row shows it, as most do in a third of the time."""
    rows = pixels[::8]
    middle, few = int(rows.mean()), 2 * OUTLIERS * pixels.size
    dark = np.count_nonzero(rows <= middle - LEAST_CONTRAST // 2)
    bright = np.count_nonzero(rows >= middle + LEAST_CONTRAST // 2)
    return bool(min(dark, bright) > few)


def _decoded_image(image: Image.Image, data: bytes, max_side: int) -> Decoded:
    size = image.size
    check_size(*size)
    _check_plausible(image, data)
    if deep.has_deep_colour(image, data):
        return _decoded_deep(image, data, max_side)
    if max(size) <= max_side and _holds_only_pixels(image, data):
        in_colour = image.mode != "L"  # as many are that show none
        luma = codestream.decode_greys(data) if in_colour else codestream.decode_luma(data)
        if luma is not None:
            return Decoded(luma, plain=True)
    box = _draft(image, max_side)
    grey = _decode_grey(image, data, is_whole=box is None)
    # A draft has another size than the file, and Pillow turns TIFF upright when it loads it.
    size = size if box else image.size
    return Decoded(_pixels(_upright(_shrunk(grey, max_side, size, box=box), image)))


def _decode_grey(image: Image.Image, data: bytes, *, is_whole: bool) -> Image.Image:
    """Decodes an image, or the draft of one, whose coded data are whole."""
    if is_whole and image.format in JPEGS and image.mode == "L":
        luma = codestream.decode_luma(data)
        if luma is not None:
            return Image.fromarray(luma[..., 0])
    else:
        _check_coded_data(image, data)
    image.load()
    return _to_grey(image)


def _decoded_deep(image: Image.Image, data: bytes, max_side: int) -> Decoded:
    return Decoded(_pixels(_upright(_shrunk(_to_grey(deep.decode(data)), max_side), image)))


def _decode_other(data: bytes, max_side: int) -> Image.Image:
    """Decodes what Pillow does not. EXIF is ignored."""
    if not deep.kind(data):
        raise Unreadable(_describe_other(data))
    size = deep.size(data)
    check_size(*size)
    if data.startswith(codestream.JPEG_START):
        _check_declared("JPEG", size, data)
    return _shrunk(_to_grey(deep.decode(data)), max_side)


def _describe_other(data: bytes) -> str:
    """Returns a description of a file that is not a known image."""
    start = data[:TEXT_BYTES]
    if start.startswith(LFS_POINTER):
        return "a Git LFS pointer instead of the file; run git lfs pull"
    if not start.strip(b"\0"):
        return "nothing but zero bytes"
    for magic, name in ARRAYS.items():
        if start.startswith(magic):
            return f"{name}, not an image: save each image as PNG"
    if not start.translate(None, TEXT):
        return "text, not an image"
    return "not an image of a known format (" + ", ".join(FORMATS) + ", JPEG-LS, DICOM)"


def _check_plausible(image: Image.Image, data: bytes) -> None:
    """Raises Unreadable for what would cost much memory or time to find damaged."""
    if getattr(image, "is_animated", False) and image.format != "MPO":  # its first is the image
        raise Unreadable(f"several images in one {image.format} file; one is allowed")
    is_jpeg = data.startswith(codestream.JPEG_START)  # MPO is one too, with others behind it
    _check_declared("JPEG" if is_jpeg else image.format or "", image.size, data)
    if is_jpeg and data.count(START_OF_SCAN) > MOST_SCANS:
        raise Unreadable(f"a JPEG of more than {MOST_SCANS} scans")


def _check_coded_data(image: Image.Image, data: bytes) -> None:
    """Raises Unreadable where coded data end early, which Pillow fills with grey or black."""
    if image.format == "PNG":
        imagecodecs.png_decode(data)
    elif data.startswith(codestream.JPEG_START):
        codestream.check_jpeg(data)


def _check_declared(kind: str, size: tuple[int, int], data: bytes) -> None:
    if math.prod(size) > MOST_PIXELS_A_BYTE.get(kind, math.inf) * len(data):
        declared = "x".join(map(str, size))
        raise Unreadable(f"damaged: {declared} pixels declared in {len(data)} bytes")


def _draft(image: Image.Image, max_side: int) -> tuple[float, float, float, float] | None:
    """Has a JPEG decoded as luma alone, and reduced where `DRAFT_MARGIN` allows.

    Returns:
      The part of what is then decoded that is the image: its edges may be fractions of a pixel.
    """
    if image.format not in JPEGS:
        return None
    width, height = image.size
    for scale in DRAFT_SCALES:
        if max(width, height) >= scale * DRAFT_MARGIN * max_side:
            drafted = image.draft("L", (width // scale, height // scale))
            return drafted[1] if drafted else None
    image.draft("L", None)
    return None


def _holds_only_pixels(image: Image.Image, data: bytes) -> bool:
    """Returns whether a file is a JPEG with nothing in it, or behind it, but its pixels."""
    return (
        isinstance(image, JpegImagePlugin.JpegImageFile)
        and image.format == "JPEG"
        and (image.mode == "L" or (image.mode == "RGB" and "jfif" in image.info))
        and all(kind == "APP0" and len(body) == JFIF_LENGTH for kind, body in image.applist)
        and data.find(codestream.JPEG_END) == len(data) - len(codestream.JPEG_END)
        and not any(marker in data[: data.find(START_OF_SCAN)] for marker in ARITHMETIC)
    )


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("floating-point grey values")
    if image.mode.startswith("I"):
        tags = getattr(image, "tag_v2", {})
        grey = depth.upper_bits(np.asarray(image), *tags.get(tiff.BITS, ())[:1])
        if tags.get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO:  # Pillow inverts 8 bits, not 16
            grey = ~grey
        return Image.fromarray(grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode in ("CMYK", "P"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")


def _shrunk(
    grey: Image.Image,
    max_side: int,
    size: tuple[int, int] | None = None,
    *,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Shrinks to the longest side allowed; `size` is the file's, and `box` that part of a draft."""
    size = size or grey.size
    if max(size) <= max_side:
        return grey
    return grey.resize(fitted_size(size, max_side), LANCZOS, box, reducing_gap=DRAFT_MARGIN)


def _upright(grey: Image.Image, image: Image.Image) -> Image.Image:
    try:
        turn = image.getexif().get(orientation.TAG)
    except Exception:  # as broad as what Pillow raises on damaged EXIF; the pixels are sound
        return grey
    return grey if image.format == "TIFF" else orientation.upright(grey, turn)


def fitted_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Returns (width, height) of the same aspect whose longer side is `side`."""
    width, height = (max(1, round(length * side / max(size))) for length in size)
    return width, height


def shrunk(pixels: np.ndarray, max_side: int) -> np.ndarray:
    """Returns what `decode` makes of a lossless file of grey pixels, [H, W, 1] uint8."""
    return _pixels(_shrunk(Image.fromarray(pixels[..., 0]), max_side))


def _pixels(grey: Image.Image) -> np.ndarray:
    return np.asarray(grey, np.uint8)[..., None]
