"""The same images in encodings that decoders treat differently: an export answers alike or not."""

import io
import re
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from PIL import Image, ImageCms

from trainer.export.parity import MOST_DIFFERENCE, Encoded, Files, NotAlike, Parity
from trainer.judge.ensemble import Ensemble

ORIENTATION = 0x0112  # EXIF's tag
QUARTER_TURN = 6
END_OF_HEADER = 33  # of a PNG
IMAGES = 4  # that are encoded anew
REFUSAL = re.compile(r"assertion failed: \[(.+?)\]")


def compare(
    ensemble: Ensemble, files: Files, answer: Callable[[list[bytes]], np.ndarray]
) -> dict[str, Encoded]:
    """Returns what an export makes of each of `ENCODINGS`.

    Args:
      ensemble: the runs.
      files: whose first images are encoded anew.
      answer: returns the probabilities, [n, K], that the export gives for the bytes of files.

    Raises:
      NotAlike: it answers, and otherwise than `radiograph predict`.
    """
    found = {}
    images = [ensemble.members[0].stored_image(data) for data in files.contents[:IMAGES]]
    for name, encode in ENCODINGS.items():
        encoded = Files.predict(
            ensemble, [encode(image) for image in images], files.labels[:IMAGES]
        )
        try:
            difference = np.abs(answer(encoded.contents) - encoded.probability).max()
        except tf.errors.InvalidArgumentError as error:
            found[name] = Encoded(None, refusal(error))
            continue
        if difference > MOST_DIFFERENCE:
            raise NotAlike(
                f"the export does not read {name} as radiograph predict does: probabilities "
                f"differ by up to {difference:.2g}; nothing was exported: please report this."
            )
        found[name] = Encoded(float(difference))
    return found


def refusal(error: tf.errors.InvalidArgumentError) -> str:
    """Returns in words why a graph refuses a file."""
    words = REFUSAL.search(error.message)
    return words[1] if words else error.message.splitlines()[0]


def table(outcomes: Mapping[str, Encoded]) -> str:
    """Returns the outcomes as a table for a terminal."""
    width = max(map(len, outcomes)) + 2
    return "\n".join(f"{name:<{width}}{_words(one)}" for name, one in outcomes.items())


def markdown(outcomes: Mapping[str, Encoded]) -> str:
    """Returns the outcomes as a table in Markdown."""
    rows = "".join(f"\n| {name} | {_words(one)} |" for name, one in outcomes.items())
    return f"| encoding | largest difference |\n| --- | --- |{rows}"


def without(rows: Mapping[str, Parity]) -> str:
    """Returns in a sentence which formats take no files, so that none has an encoding; or ""."""
    names = ", ".join(name for name, row in rows.items() if not row.encodings)
    return names and f"{names}: from the fitted image on, as its client decodes the file."


def _words(one: Encoded) -> str:
    if one.largest is None:
        return f"refused: {one.refused.partition(':')[0]}"
    return f"{one.largest:.1e}"


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _jpeg(image: Image.Image, **options: object) -> bytes:
    return _file(image, "JPEG", quality=90, **options)


def _sixteen_bits(image: Image.Image) -> bytes:
    return _file(Image.fromarray(np.asarray(image).astype(np.uint16) * 257), "PNG")


def _rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN
    return _jpeg(image, exif=exif)


def _tinted(image: Image.Image) -> Image.Image:
    """Returns the image in colours, whose red and blue are not those of a grey image."""
    grey = np.asarray(image).astype(int)
    return Image.fromarray(np.stack([grey, 255 - (255 - grey) // 2, grey // 2], -1).astype("u1"))


def _transparent(image: Image.Image) -> bytes:
    clear = image.convert("LA")
    clear.putalpha(image.point(lambda value: 255 - value // 2))
    return _file(clear, "PNG")


def _enlarged(image: Image.Image) -> bytes:
    return _jpeg(image.resize((6 * image.width, 6 * image.height)))


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _with_gamma(png: bytes) -> bytes:
    """Returns a PNG that declares a gamma of 1, which decoders may apply."""
    chunk = b"gAMA" + struct.pack(">I", 100_000)
    chunk = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:END_OF_HEADER] + chunk + png[END_OF_HEADER:]


ENCODINGS: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG": lambda image: _file(image, "PNG"),
    "PNG with a palette": lambda image: _file(_tinted(image).quantize(200), "PNG"),
    "PNG in colour": lambda image: _file(_tinted(image), "PNG"),
    "PNG with a gamma": lambda image: _with_gamma(_file(image, "PNG")),
    "PNG of 4 bits": lambda image: _file(image.quantize(16), "PNG", bits=4),
    "PNG of 16 bits": _sixteen_bits,
    "PNG with transparency": _transparent,
    "JPEG": _jpeg,
    "JPEG, progressive": lambda image: _jpeg(image, progressive=True),
    "JPEG in colour": lambda image: _jpeg(_tinted(image)),
    "JPEG in colour, not subsampled": lambda image: _jpeg(_tinted(image), subsampling=0),
    "JPEG with a colour profile": lambda image: _jpeg(_tinted(image), icc_profile=_profile()),
    "JPEG in RGB": lambda image: _jpeg(_tinted(image), keep_rgb=True),
    "JPEG in CMYK": lambda image: _jpeg(_tinted(image).convert("CMYK")),
    "JPEG, six times as large": _enlarged,
    "JPEG rotated by EXIF": _rotated,
    "TIFF": lambda image: _file(image, "TIFF"),
    "BMP": lambda image: _file(image, "BMP"),
    "WebP": lambda image: _file(image, "WEBP", lossless=True),
}
