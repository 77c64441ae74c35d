"""The stored values of a DICOM radiograph, native or compressed (PS3.3 C.7.6.3, PS3.5 A.4)."""

import struct
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image
from pydicom import FileDataset, uid
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.pixels import pixel_array

from trainer.data.decode import codestream
from trainer.data.decode.limits import Unreadable

MOST_BITS = 16
LONGEST_CODE = 16  # of DICOM's code strings

# pydicom's own plugins, by name, or a function of one frame. GDCM, which pydicom would take where
# it is installed, crashes on damaged files.
DECODERS: dict[uid.UID, Any] = {
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: codestream.decode_jpeg,
    uid.JPEGLossless: codestream.decode_jpeg,
    uid.JPEGLosslessSV1: codestream.decode_jpeg,
    uid.JPEGLSLossless: codestream.decode_jpeg_ls,
    uid.JPEGLSNearLossless: codestream.decode_jpeg_ls,
    uid.JPEG2000Lossless: codestream.decode_jpeg_2000,
    uid.JPEG2000: codestream.decode_jpeg_2000,
    uid.HTJ2KLossless: codestream.decode_jpeg_2000,
    uid.HTJ2KLosslessRPCL: codestream.decode_jpeg_2000,
    uid.HTJ2K: codestream.decode_jpeg_2000,
}
RLE_HEADER = 64


def stored(dataset: FileDataset) -> np.ndarray:
    """Returns the stored values, [H, W] of up to 16 bits, or colours, [H, W, 3] uint8.

    Raises:
      Unreadable: if there are none, of a kind that is not read, or that contradict the header.
    """
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data")
    bits = dataset.BitsStored
    if bits > MOST_BITS:
        raise Unreadable(f"{bits} bits a pixel; up to {MOST_BITS} are allowed")
    photometric = dataset.PhotometricInterpretation
    if (dataset.SamplesPerPixel != 1 and bits > 8) or photometric == "PALETTE COLOR":
        raise Unreadable(
            f"{photometric[:LONGEST_CODE]!r} of {bits} bits; grey, or colour of 8 bits, is allowed"
        )
    unused = _bits_below(dataset)
    dataset.BitsStored = bits + unused
    values = _values(dataset)
    if not unused:
        return values
    signed = dataset.PixelRepresentation
    beyond = values >> (bits - signed)
    if beyond.max() <= 0 and beyond.min() >= -signed:
        raise Unreadable(f"a high bit of {dataset.HighBit}, which no pixel reaches")
    return values >> unused


def _bits_below(dataset: FileDataset) -> int:
    """Returns how many bits lie below the stored ones, in which old files keep overlays."""
    if dataset.SamplesPerPixel != 1 or dataset.get("HighBit") is None:
        return 0
    below = dataset.HighBit + 1 - dataset.BitsStored
    if below < 0 or dataset.HighBit >= dataset.BitsAllocated:
        raise Unreadable(
            f"a high bit of {dataset.HighBit} contradicts {dataset.BitsStored} bits stored in "
            f"{dataset.BitsAllocated}"
        )
    return below


def _values(dataset: FileDataset) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return pixel_array(dataset)
    if syntax not in DECODERS:
        raise Unreadable(f"pixel data as {syntax.name[:64]!r}, which cannot be decoded")
    # One frame is all that there is, whatever the offset tables say.
    _, *fragments = generate_fragments(dataset.PixelData)
    frame = b"".join(fragments)
    _check_frame(frame, dataset)
    if isinstance(DECODERS[syntax], str):
        dataset.PixelData = encapsulate([frame])
        for table in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            dataset.pop(table, None)
        return pixel_array(dataset, decoding_plugin=DECODERS[syntax])
    return _decompressed(frame, dataset)


def _check_frame(frame: bytes, dataset: FileDataset) -> None:
    """Raises Unreadable for compressed pixels of another size than in the header.

    The decoders allocate memory by the size in the frame, and nothing else bounds that.
    """
    if dataset.file_meta.TransferSyntaxUID == uid.RLELossless:
        _check_runs(frame, dataset.Rows * dataset.Columns)
        return
    declared = codestream.size(frame)
    if declared != (dataset.Columns, dataset.Rows):
        width, height = declared
        raise Unreadable(
            f"damaged: {width}x{height} compressed pixels under a header of "
            f"{dataset.Columns}x{dataset.Rows}"
        )
    if dataset.file_meta.TransferSyntaxUID == uid.JPEGBaseline8Bit:
        codestream.check_jpeg(frame)


def _check_runs(frame: bytes, pixels: int) -> None:
    """Raises Unreadable if a segment (PS3.5 G.3) has more than a byte a pixel, and padding."""
    segments, *starts = struct.unpack("<16L", frame[:RLE_HEADER])
    for place, end in pairwise([*starts[:segments], len(frame)]):
        size = 0
        while place < end:
            head = frame[place]
            size += 257 - head if head > 128 else (head + 1) % 129  # a run, a literal, nothing
            place += 2 if head > 128 else (head + 1) % 129 + 1
            if size > 2 * pixels:
                raise Unreadable("damaged: more RLE data than pixels")


def _decompressed(frame: bytes, dataset: FileDataset) -> np.ndarray:
    decode = DECODERS[dataset.file_meta.TransferSyntaxUID]
    if dataset.SamplesPerPixel != 1:
        if decode is not codestream.decode_jpeg_2000:
            raise Unreadable(f"colour as {dataset.file_meta.TransferSyntaxUID.name}")
        return _colours(decode(frame), dataset)
    values = decode(frame)
    if values.ndim != 2:
        raise Unreadable(f"damaged: {values.shape[-1]} components under a header of 1")
    values = values.view(f"{'i' if dataset.PixelRepresentation else 'u'}{values.itemsize}")
    unused = 8 * values.itemsize - dataset.BitsStored
    return values << unused >> unused if unused > 0 else values


def _colours(values: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """Returns RGB; only the transforms of JPEG 2000 itself are undone by its decoder."""
    if values.ndim != 3 or values.shape[-1] != 3 or values.dtype != np.uint8:
        raise Unreadable(f"damaged: {values.dtype} {values.shape} under a header of 8-bit colour")
    if dataset.PhotometricInterpretation.startswith("YBR_FULL"):
        return np.asarray(Image.fromarray(values, "YCbCr").convert("RGB"))
    return values
