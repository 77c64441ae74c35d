"""How the bytes of a JPEG or PNG become a grey image, as in `trainer.data.decode`, as a graph.

What TensorFlow would decode to other pixels is refused, in words that name what reads it.
"""

import tensorflow as tf

from trainer.data.decode.depth import OUTLIERS
from trainer.data.decode.radiograph import DRAFT_MARGIN, DRAFT_SCALES, LEAST_CONTRAST
from trainer.export import resampling
from trainer.export.resampling import DOUBLE, Box

ELSE = "decode it with radiograph predict, or send it as an 8-bit PNG"
LUMA = (19595, 38470, 7471)  # of red, green and blue, 65536 in all: ITU-R 601 as Pillow has it
REDUCING_GAP = 2 * DRAFT_MARGIN  # times the longest side, from which on Pillow first takes means
HEADER = 2**16  # bytes that are searched for EXIF's orientation
# Tag 0x0112, a SHORT, one of them: up to its value, in both byte orders.
LITTLE_ENDIAN = (0x12, 0x01, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00)
BIG_ENDIAN = (0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00)
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
DEPTH, COLOUR = 24, 25  # bytes of a PNG's header
GREY_ALPHA, COLOUR_ALPHA = 4, 6
COLOURS = 3  # of a JPEG that is not in CMYK


def decode(data: tf.Tensor, max_side: int) -> tf.Tensor:
    """Returns the grey image that preparation stores of a file, [H, W] uint8.

    Args:
      data: the bytes of a JPEG or PNG file, a scalar.
      max_side: longest side of the result, pixels.

    Raises:
      InvalidArgumentError: when it runs, if the file is none of these, is damaged, or would be
        decoded to other pixels than in training.
    """
    is_jpeg = _starts_with(data, JPEG_START)
    known = tf.logical_or(is_jpeg, _starts_with(data, PNG_START))
    with tf.control_dependencies([_require(known, "the file is neither a JPEG nor a PNG")]):
        grey, size = tf.cond(
            is_jpeg, lambda: _decode_jpeg(data, max_side), lambda: _decode_png(data)
        )
    return not_blank(shrunk(grey, max_side, size))


def shrunk(grey: tf.Tensor, max_side: int, size: tf.Tensor | None = None) -> tf.Tensor:
    """Shrinks a grey image to the longest side allowed.

    Args:
      grey: [H, W] uint8.
      max_side: longest side of the result, pixels.
      size: (height, width) of its file, where that was decoded reduced.
    """
    size = tf.shape(grey) if size is None else size
    longest = tf.reduce_max(size)
    return tf.cond(longest > max_side, lambda: _shrink(grey, size, max_side), lambda: grey)


def not_blank(grey: tf.Tensor) -> tf.Tensor:
    """Returns an image [H, W] uint8 as it is, unless it is of nearly one grey value."""
    shares = tf.cumsum(tf.math.bincount(tf.cast(grey, tf.int32), minlength=256))
    shares = tf.cast(shares, DOUBLE) / tf.cast(tf.size(grey), DOUBLE)
    dark, bright = tf.unstack(
        tf.searchsorted(shares, tf.constant([OUTLIERS, 1 - OUTLIERS], DOUBLE))
    )
    fault = "the image is blank: send one that shows something"
    with tf.control_dependencies([tf.debugging.Assert(bright - dark >= LEAST_CONTRAST, [fault])]):
        return tf.identity(grey)


def _decode_jpeg(data: tf.Tensor, max_side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the luma of a JPEG, large ones at 1/2 or 1/4, and the (height, width) of the file."""
    *size, channels = tf.unstack(tf.image.extract_jpeg_shape(data))
    size = tf.stack(size)
    header = tf.io.decode_raw(tf.strings.substr(data, 0, HEADER), tf.uint8)
    turned = tf.logical_or(
        tf.reduce_any(_after(header, LITTLE_ENDIAN) > 1),
        tf.reduce_any(_after(header, BIG_ENDIAN) > 1),
    )
    longest = tf.reduce_max(size)
    quarter, half = (longest >= scale * DRAFT_MARGIN * max_side for scale in DRAFT_SCALES)

    def luma(ratio: int) -> tf.Tensor:
        decoded = tf.io.decode_jpeg(data, channels=1, ratio=ratio, dct_method="INTEGER_ACCURATE")
        return decoded[..., 0]

    checks = [
        _require(~turned, "the file is rotated by EXIF"),
        _require(channels <= COLOURS, "the file is in CMYK"),
    ]
    with tf.control_dependencies(checks):
        grey = tf.case(
            [(quarter, lambda: luma(4)), (half, lambda: luma(2))], default=lambda: luma(1)
        )
    return grey, size


def _decode_png(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the grey values of a PNG of 8 bits or fewer, and its (height, width)."""
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, COLOUR + 1), tf.uint8), tf.int32)
    has_alpha = tf.logical_or(header[COLOUR] == GREY_ALPHA, header[COLOUR] == COLOUR_ALPHA)
    checks = [
        _require(header[DEPTH] <= 8, "the file has more than 8 bits a pixel"),
        _require(~has_alpha & ~_has_chunk(data, b"tRNS"), "the file has transparent pixels"),
    ]
    with tf.control_dependencies(checks):
        colour = tf.io.decode_png(data, channels=3)
    red, green, blue = tf.unstack(tf.cast(colour, tf.int32), axis=-1)
    luma = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 2**15) // 2**16
    return tf.cast(luma, tf.uint8), tf.shape(colour)[:2]


def _shrink(grey: tf.Tensor, size: tf.Tensor, max_side: int) -> tf.Tensor:
    now, lengths = tf.cast(tf.shape(grey), DOUBLE), tf.cast(size, DOUBLE)
    reduced = tf.round(tf.reduce_max(lengths / now))
    bottom, right = tf.unstack(lengths / reduced)  # the last pixels may lie partly outside
    height, width = tf.unstack(
        tf.maximum(tf.round(lengths * max_side / tf.reduce_max(lengths)), 1.0)
    )
    is_fine = tf.reduce_max(now) < REDUCING_GAP * max_side
    zero = tf.zeros([], DOUBLE)
    fault = f"the image is {REDUCING_GAP} times as long as the {max_side} pixels of training"
    with tf.control_dependencies([_require(is_fine, fault)]):
        return resampling.lanczos(grey, height, width, Box(zero, zero, right, bottom))


def _starts_with(data: tf.Tensor, start: bytes) -> tf.Tensor:
    return tf.strings.substr(data, 0, len(start)) == start


def _after(header: tf.Tensor, pattern: tuple[int, ...]) -> tf.Tensor:
    """Returns the byte that follows each occurrence of a pattern, and 0 for all else."""
    places = tf.maximum(tf.size(header) - len(pattern), 0)
    found = tf.ones([places], tf.bool)
    for offset, byte in enumerate(pattern):
        found &= header[offset : offset + places] == byte
    return tf.where(found, header[len(pattern) : len(pattern) + places], tf.zeros([], tf.uint8))


def _has_chunk(data: tf.Tensor, name: bytes) -> tf.Tensor:
    """Returns whether a PNG has a chunk before its pixels."""
    header = tf.strings.split(tf.reshape(data, [1]), b"IDAT")[0][0]
    return tf.size(tf.strings.split(header, name)) > 1


def _require(condition: tf.Tensor, fault: str) -> tf.Operation:
    return tf.debugging.Assert(condition, [f"{fault}: {ELSE}"])
