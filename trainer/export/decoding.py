"""How the bytes of a JPEG or PNG become a grey image, as in `trainer.data.decode`, as a graph.

What TensorFlow would decode to other pixels is refused, in words that name what reads it.
"""

import tensorflow as tf

from trainer.data.decode.depth import OUTLIERS
from trainer.data.decode.limits import MOST_ELONGATED, SMALLEST_SIDE
from trainer.data.decode.radiograph import DRAFT_MARGIN, DRAFT_SCALES, LEAST_CONTRAST
from trainer.export import resampling
from trainer.export.resampling import DOUBLE, Box

ELSE = "decode it with radiograph predict, or send it as an 8-bit PNG"
LUMA = (19595, 38470, 7471)  # of red, green and blue, 65536 in all: ITU-R 601 as Pillow has it
REDUCING_GAP = 2 * DRAFT_MARGIN  # times the longest side, from which on Pillow first takes means
# What comes before the value of EXIF's orientation, tag 0x0112, a SHORT, one of them, in both byte
# orders, and before that of XMP, which Pillow heeds too.
ORIENTATIONS = (
    b"\x12\x01\x03\x00\x01\x00\x00\x00",
    b"\x01\x12\x00\x03\x00\x00\x00\x01\x00",
    b'tiff:Orientation="',
    b"tiff:Orientation>",
)
UPRIGHT = (b"", b"\0", b"\1", b"0", b"1")
# Where a PNG may have one that is not to be seen: ImageMagick's EXIF in hexadecimal digits, and
# compressed XMP.
HIDDEN = (b"Raw profile type exif", b"XML:com.adobe.xmp\0\1")
ANIMATION = b"\0\0\0\x08acTL"  # the chunk of a PNG of several images
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
DEPTH = 24  # byte of a PNG's header
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
    longest, shortest = tf.reduce_max(size), tf.reduce_min(size)
    fault = f"no radiograph has this size: the sides are at least {SMALLEST_SIDE} pixels"
    fault += f", and one is at most {MOST_ELONGATED} times the other"
    is_usual = (shortest >= SMALLEST_SIDE) & (longest <= MOST_ELONGATED * shortest)
    with tf.control_dependencies([tf.debugging.Assert(is_usual, [fault])]):
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
    longest = tf.reduce_max(size)
    quarter, half = (longest >= scale * DRAFT_MARGIN * max_side for scale in DRAFT_SCALES)

    def luma(ratio: int) -> tf.Tensor:
        decoded = tf.io.decode_jpeg(data, channels=1, ratio=ratio, dct_method="INTEGER_ACCURATE")
        return decoded[..., 0]

    checks = [
        _require(~_is_turned(data), "the file is rotated by EXIF"),
        _require(channels <= COLOURS, "the file is in CMYK"),
    ]
    with tf.control_dependencies(checks):
        grey = tf.case(
            [(quarter, lambda: luma(4)), (half, lambda: luma(2))], default=lambda: luma(1)
        )
    return grey, size


def _decode_png(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the grey values of a PNG of 8 bits or fewer, and its (height, width)."""
    depth = tf.cast(tf.io.decode_raw(tf.strings.substr(data, DEPTH, 1), tf.uint8)[0], tf.int32)
    turned = _is_turned(data) | _holds(data, HIDDEN[0]) | _holds(data, HIDDEN[1])
    checks = [
        _require(depth <= 8, "the file has more than 8 bits a pixel"),
        _require(~turned, "the file is rotated by EXIF"),
        _require(~_holds(data, ANIMATION), "the file has several images"),
    ]
    with tf.control_dependencies(checks):
        colour = tf.io.decode_png(data, channels=4)
    red, green, blue, alpha = tf.unstack(tf.cast(colour, tf.int32), axis=-1)
    # Of a file without alpha it is the largest value of the file's own depth.
    opaque = tf.reduce_all((alpha == 255) | (alpha == tf.bitwise.left_shift(1, depth) - 1))
    with tf.control_dependencies([_require(opaque, "the file has transparent pixels")]):
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


def _is_turned(data: tf.Tensor) -> tf.Tensor:
    """Returns whether a file says that it is not upright."""
    return tf.reduce_any([_follows(data, start) for start in ORIENTATIONS])


def _follows(data: tf.Tensor, start: bytes) -> tf.Tensor:
    """Returns whether another orientation than upright follows some bytes."""
    values = tf.strings.substr(_parts(data, start)[1:], 0, 1)
    return tf.reduce_any(tf.reduce_all(values[:, None] != tf.constant(UPRIGHT), axis=1))


def _holds(data: tf.Tensor, some: bytes) -> tf.Tensor:
    return tf.size(_parts(data, some)) > 1


def _parts(data: tf.Tensor, separator: bytes) -> tf.Tensor:
    """Returns what lies before, between and after some bytes, [n] string."""
    return tf.strings.split(data[tf.newaxis], separator).values


def _require(condition: tf.Tensor, fault: str) -> tf.Operation:
    return tf.debugging.Assert(condition, [f"{fault}: {ELSE}"])
