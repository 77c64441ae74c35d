"""An image of any shape becomes a square as asked."""

import numpy as np
import pytest
from PIL import Image

from trainer.data.decode.fit import fit


def circle(width: int, height: int, diameter: int) -> Image.Image:
    """A white disc in the middle of grey."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) < diameter / 2
    return Image.fromarray(np.where(inside, 255, 100).astype(np.uint8))


def extent(fitted: np.ndarray, above: int) -> tuple[int, int]:
    """Rows and columns that hold a pixel above a grey level."""
    rows, columns = np.nonzero(fitted[..., 0] > above)
    return np.ptp(rows) + 1, np.ptp(columns) + 1


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
def test_every_shape_becomes_a_square_of_grey_levels(mode: str):
    for size in ((90, 60), (60, 90), (40, 40), (16, 300), (500, 400)):
        fitted = fit(Image.new("L", size, 100), 40, mode)
        assert fitted.shape == (40, 40, 1) and fitted.dtype == np.uint8
        assert fitted[20, 20] == 100
    stripes = np.tile(np.array([0, 255], np.uint8), (400, 200))  # finer than a pixel
    assert np.ptp(fit(Image.fromarray(stripes), 40, mode)[2:-2, 2:-2]) <= 4


def test_squashed_a_ramp_spans_the_square():
    ramp = np.tile(np.linspace(0, 240, 120).astype(np.uint8), (60, 1))
    expected = np.tile(np.linspace(0, 240, 40), (40, 1))
    np.testing.assert_allclose(fit(Image.fromarray(ramp), 40, "squash")[..., 0], expected, atol=4)


def test_what_is_shrunk_is_averaged():
    stripes = np.zeros((48, 64), np.uint8)
    stripes[:, ::2] = 200
    fitted = fit(Image.fromarray(stripes), 16, "squash")
    np.testing.assert_allclose(fitted[:, 1:-1], 100, atol=2)


@pytest.mark.parametrize(
    ("mode", "seen"), [("squash", (32, 16)), ("pad", (16, 16)), ("crop", (32, 32))]
)
def test_a_circle_stays_round_unless_squashed(mode: str, seen: tuple[int, int]):
    fitted = fit(circle(200, 100, 80), 40, mode)
    np.testing.assert_allclose(extent(fitted, 177), seen, atol=1)


@pytest.mark.parametrize("size", [(200, 100), (100, 200)])
def test_padded_it_is_whole_and_in_the_middle_of_black(size: tuple[int, int]):
    fitted = fit(Image.new("L", size, 100), 40, "pad")[..., 0]
    if size[0] < size[1]:
        fitted = fitted.T
    assert (fitted[10:30] == 100).all()
    assert (fitted[:10] == 0).all() and (fitted[30:] == 0).all()


def test_cropped_the_middle_fills_the_square():
    strip = np.repeat(np.array([0, 100, 100, 200], np.uint8), 50)  # the middle 100 are kept
    fitted = fit(Image.fromarray(np.tile(strip, (100, 1))), 40, "crop")
    assert (fitted == 100).mean() > 0.9


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="squash, pad or crop, not 'stretch'"):
        fit(Image.new("L", (40, 30)), 40, "stretch")
