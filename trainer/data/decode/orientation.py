"""The orientation that EXIF and TIFF give an image."""

from PIL import Image

TAG = 274
UPRIGHT: dict[int | None, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image, orientation: int | None) -> Image.Image:
    """Returns the image turned upright; an orientation that does not exist counts as that."""
    turn = UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)
