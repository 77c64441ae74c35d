"""Images that Pillow does not read, or not all bits of: deep colour, JPEG-LS, odd TIFFs."""

import struct

import imagecodecs
from PIL import Image

from trainer.data.decode import codestream, tiff
from trainer.data.decode.depth import eight_bits
from trainer.data.decode.limits import Unreadable

PNG_START = b"\x89PNG\r\n\x1a\n"
JP2_START = b"\0\0\0\x0cjP  \r\n\x87\n"


def kind(data: bytes) -> str:
    """Returns the format, as far as `decode` reads it, or ""."""
    if data.startswith(codestream.JPEG_START):
        return "JPEG-LS" if codestream.is_jpeg_ls(data) else "JPEG of 12 bits or lossless"
    if data.startswith((JP2_START, codestream.J2K_START)):
        return "JPEG 2000"
    if data.startswith(tiff.STARTS):
        return "TIFF"
    return "PNG" if data.startswith(PNG_START) else ""


def size(data: bytes) -> tuple[int, int]:
    """Returns (width, height) as the file declares them.

    Raises:
      Unreadable: if it declares none.
    """
    match kind(data):
        case "TIFF":
            tags = tiff.tags(data)
            return tags[tiff.WIDTH], tags[tiff.HEIGHT]
        case "PNG":
            return struct.unpack(">II", data[16:24])
    return codestream.size(data)


def has_deep_colour(image: Image.Image, data: bytes) -> bool:
    """Returns whether an opened image has several components of more than 8 bits.

    Of these Pillow keeps the upper 8 of the bits that are stored, not of those in use, and it takes
    separate planes of a TIFF for bytes.
    """
    if image.mode.startswith("I"):
        return False
    if image.format == "PNG":
        return data[24] > 8
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        return (
            max(tags.get(tiff.BITS, (1,))) > 8 and tags.get(tiff.PHOTOMETRIC) in tiff.COMPONENTS_OF
        )
    return image.format == "JPEG2000" and codestream.precision(data) > 8


def decode(data: bytes) -> Image.Image:
    """Decodes a file of one of these formats whose size was checked: 8 bits, grey or RGB.

    Raises:
      Unreadable: if its depth or its colours are of another kind.
    """
    match kind(data):
        case "TIFF":
            return tiff.decode(data)
        case "PNG":
            return eight_bits(imagecodecs.png_decode(data))
        case "JPEG-LS":
            return eight_bits(codestream.decode_jpeg_ls(data))
        case "JPEG 2000":
            return eight_bits(codestream.decode_jpeg_2000(data))
    values = codestream.decode_jpeg(data)
    if values.ndim == 3 and values.shape[-1] != 3:
        raise Unreadable(f"a JPEG of {values.shape[-1]} components of more than 8 bits")
    return eight_bits(values)
