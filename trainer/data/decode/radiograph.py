"""Decodes image files of any format to grey pixels, or gives the reason why not."""

import io
import math
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import Image, ImageFilter, JpegImagePlugin, UnidentifiedImageError

from trainer.data.decode import codestream, dicom
from trainer.data.decode.limits import MOST_PIXELS, Unreadable, check_size, reading

__all__ = ["Unreadable", "check_not_blank", "decode", "recode"]

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
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

# Numbers of bits that may be in use where 16 are stored.
DEPTHS = (8, 10, 12, 14, 16)
BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION = 0x0102, 0x0106, 0x0112  # TIFF tags
WHITE_IS_ZERO = 0
UPRIGHT: dict[int | None, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# How images are encoded alike: blurred until the blocks and the quantisation of the source cannot
# be seen, then quantised once. Measured on 60 fine originals of the
# Kermany set against the same as its other class is encoded (1160 pixels, quality 75), at 512
# pixels: AUC of distinguishing the two by DCT, blockiness and spectrum, cross-validated.
#   shrunk alone 1.00; with quality 75 0.62; blur of 1 and quality 75 0.51; 256 pixels alone 0.61
# The classes themselves stay 0.97 apart by the same features, whether by their lungs or otherwise.
UNIFORM_BLUR = 1.0  # standard deviation, pixels
UNIFORM_QUALITY = 75

LFS_POINTER = b"version https://git-lfs"
TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r\f"
TEXT_BYTES = 512  # that are inspected


@dataclass(frozen=True)
class _Decoded:
    """Grey pixels, and whether their file holds only these (is plain)."""

    pixels: np.ndarray
    plain: bool = False


def decode(data: bytes, max_side: int, any_view: bool = False) -> np.ndarray:
    """Decodes an image file by its content, whatever its name.

    Formats: those of `FORMATS`, of one frame, and DICOM (see `dicom.decode`).

    Orientation: EXIF's (or TIFF's) is applied; one that cannot be read counts as upright. DICOM's
    pixels stay as they are stored.

    Grey: colour becomes luma (ITU-R 601), palettes and CMYK by way of RGB; what is transparent
    lies over black.

    Depth: 1 bit becomes 0 and 255. Of 16 stored bits the upper 8 of those in use are kept: as many
    as TIFF's BitsPerSample says, and where that is 16, or in PNG, the fewest of 8, 10, 12, 14 and
    16 that hold the image's largest value. So 12 bits stored as 16 are not black, and nothing is
    clipped. Colour of 16 bits keeps the upper 8. Floating-point values are refused.

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
    return _decoded(data, max_side, any_view).pixels


def recode(data: bytes, max_side: int, any_view: bool = False, *, uniform: bool = False) -> bytes:
    """Turns an image file into a small one of grey pixels and nothing else.

    Without `uniform` it holds what `decode` returns, without loss: a grey JPEG that is small
    enough and holds nothing but its pixels stays as it is, which is a quarter of the size; all else
    becomes PNG.

    With `uniform` every image, whatever it was, comes out the same way, for data whose encoding
    predicts the class: resampled to a longest side of exactly `max_side`, blurred (`UNIFORM_BLUR`),
    and JPEG of one quality. That removes format, size, metadata, block edges, quantisation and the
    noise that a coarse quantiser had erased. It leaves the aspect ratio, which cropping removes,
    and the blur of images much smaller than `max_side`.

    Raises:
      Unreadable: with the reason, in a few words.
    """
    decoded = _decoded(data, max_side, any_view)
    check_not_blank(decoded.pixels)
    if uniform:
        return _uniform(Image.fromarray(decoded.pixels[..., 0]), max_side)
    if decoded.plain:
        return data
    return _png(decoded.pixels)


def check_not_blank(pixels: np.ndarray) -> None:
    """Raises Unreadable for an image of one grey value."""
    if pixels.min() == pixels.max():
        raise Unreadable(f"blank: every pixel is {pixels.flat[0]} of 255")


def _decoded(data: bytes, max_side: int, any_view: bool) -> _Decoded:
    if not data:
        raise Unreadable("empty file")
    with reading():
        if dicom.is_dicom(data):
            grey = Image.fromarray(dicom.decode(data, any_view))
            return _Decoded(_pixels(_shrunk(grey, max_side)))
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError:
            raise Unreadable(f"more than {MOST_PIXELS // 10**6} million pixels") from None
        except UnidentifiedImageError:
            if not data.startswith(codestream.JPEG_START):
                raise Unreadable(_describe_other(data)) from None
            return _Decoded(_pixels(_decode_other_jpeg(data, max_side)))
        with image:
            return _decoded_image(image, data, max_side)


def _decoded_image(image: Image.Image, data: bytes, max_side: int) -> _Decoded:
    size = image.size
    check_size(*size)
    _check_plausible(image, data)
    plain = max(size) <= max_side and _holds_only_pixels(image, data)
    box = _draft(image, max_side)
    _check_coded_data(image, data)
    image.load()
    # A draft has another size than the file, and Pillow turns TIFF upright when it loads it.
    size = size if box else image.size
    grey = _upright(_shrunk(_to_grey(image), max_side, size, box=box), image)
    return _Decoded(_pixels(grey), plain)


def _decode_other_jpeg(data: bytes, max_side: int) -> Image.Image:
    """Decodes JPEG of 12 bits or lossless, which Pillow does not. Its EXIF is ignored."""
    size = codestream.size(data)
    check_size(*size)
    _check_declared("JPEG", size, data)
    values = codestream.decode_jpeg(data)
    if values.dtype == np.uint16:
        values = _upper_bits(values)
    return _shrunk(Image.fromarray(values).convert("L"), max_side)


def _describe_other(data: bytes) -> str:
    """Returns a description of a file that is not a known image."""
    start = data[:TEXT_BYTES]
    if start.startswith(LFS_POINTER):
        return "a Git LFS pointer instead of the file; run git lfs pull"
    if not start.strip(b"\0"):
        return "nothing but zero bytes"
    if not start.translate(None, TEXT):
        return "text, not an image"
    return "not an image of a known format (" + ", ".join(FORMATS) + ", DICOM)"


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
    if image.format not in ("JPEG", "MPO"):
        return None
    width, height = image.size
    for scale in DRAFT_SCALES:
        if max(width, height) >= scale * DRAFT_MARGIN * max_side:
            drafted = image.draft("L", (width // scale, height // scale))
            return drafted[1] if drafted else None
    image.draft("L", None)
    return None


def _holds_only_pixels(image: Image.Image, data: bytes) -> bool:
    """Returns whether a file is a grey JPEG with nothing in it, or behind it, but its pixels."""
    return (
        isinstance(image, JpegImagePlugin.JpegImageFile)
        and image.format == "JPEG"
        and image.mode == "L"
        and all(kind == "APP0" and len(body) == JFIF_LENGTH for kind, body in image.applist)
        and data.find(codestream.JPEG_END) == len(data) - len(codestream.JPEG_END)
        and not any(marker in data[: data.find(START_OF_SCAN)] for marker in ARITHMETIC)
    )


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("floating-point grey values")
    if image.mode.startswith("I"):
        tags = getattr(image, "tag_v2", {})
        grey = _upper_bits(np.asarray(image), *tags.get(BITS_PER_SAMPLE, ())[:1])
        if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow inverts 8 bits, not 16
            grey = ~grey
        return Image.fromarray(grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode in ("CMYK", "P"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")


def _upper_bits(values: np.ndarray, declared: int = DEPTHS[-1]) -> np.ndarray:
    """Returns the upper 8 of the bits in use, uint8."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 1 << DEPTHS[-1]:
        raise Unreadable(f"grey values from {low} to {high}, not 16 bits")
    if declared >= DEPTHS[-1]:
        declared = next(depth for depth in DEPTHS if high < 1 << depth)
    return (values >> (declared - 8)).astype(np.uint8)


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
    return grey.resize(_fitted(size, max_side), LANCZOS, box, reducing_gap=DRAFT_MARGIN)


def _upright(grey: Image.Image, image: Image.Image) -> Image.Image:
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION))
    except Exception:  # as broad as what Pillow raises on damaged EXIF; the pixels are sound
        return grey
    return grey.transpose(turn) if turn is not None and image.format != "TIFF" else grey


def _png(pixels: np.ndarray) -> bytes:
    """Encodes as PNG. Paeth's filter leaves little but noise of a radiograph.

    So a search for repetitions finds few: without one, encoding takes a third of the time, and
    the file is a tenth smaller than after Pillow's choice of filters at level 2.
    """
    huffman, paeth = imagecodecs.PNG.STRATEGY.HUFFMAN_ONLY, imagecodecs.PNG.FILTER.PAETH
    return bytes(imagecodecs.png_encode(pixels[..., 0], level=1, strategy=huffman, filter=paeth))


def _uniform(grey: Image.Image, side: int) -> bytes:
    grey = grey.resize(_fitted(grey.size, side), LANCZOS)
    file = io.BytesIO()
    grey.filter(ImageFilter.GaussianBlur(UNIFORM_BLUR)).save(file, "JPEG", quality=UNIFORM_QUALITY)
    return file.getvalue()


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    width, height = (max(1, round(length * side / max(size))) for length in size)
    return width, height


def _pixels(grey: Image.Image) -> np.ndarray:
    return np.asarray(grey, np.uint8)[..., None]
