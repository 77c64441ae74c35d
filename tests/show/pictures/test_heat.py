"""Behaviour of the sheet of evidence: where the heat lies, and what stays visible below it."""

import numpy as np
import pytest

from trainer.show.pictures import canvas
from trainer.show.pictures.heat import heat_sheet, overlay


def sheet(images, maps, captions=None):
    captions = [" \n "] * len(images) if captions is None else captions
    return heat_sheet("Evidence for PNEUMONIA", images, maps, captions=captions).pixels


def flat(count=2, height=48, width=48, level=100):
    return np.full((count, height, width, 1), level, np.uint8)


def spots(*places, size=6):
    """Maps of one hot pixel each."""
    maps = np.zeros((len(places), size, size), np.float32)
    for number, place in enumerate(places):
        maps[number][place] = 2.0
    return maps


def tiles(picture, level=100):
    """Corners (top, left, bottom, right) of the tiles of flat images, from the top left."""
    grey = (picture == level).all(axis=-1)
    rows, columns = runs(grey.sum(axis=1) > 60), runs(grey.sum(axis=0) > 60)
    return [(t, x, b, r) for t, b in rows for x, r in columns]


def runs(flags):
    """First and last places of the runs of True longer than 60."""
    edges = np.flatnonzero(np.diff(flags.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return [(start, end - 1) for start, end in edges if end - start > 60]


def test_the_brightest_place_lies_where_the_map_is_largest():
    places = [(1, 4), (4, 1), (2, 2)]
    with_heat = sheet(flat(3), {"Grad-CAM": spots(*places)})

    boxes = tiles(with_heat)[3:]

    assert len(boxes) == 3
    for place, (top, left, bottom, right) in zip(places, boxes, strict=True):
        tile = with_heat[top : bottom + 1, left : right + 1].astype(int)
        red = tile[..., 0] - tile[..., 2]
        hottest = np.argwhere(red > red.max() / 2).mean(axis=0)
        cell = np.array(tile.shape[:2]) / 6
        assert (np.array(hottest) // cell).astype(int).tolist() == list(place)


def test_the_radiograph_is_untouched_where_there_is_no_evidence():
    image = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype(np.uint8)
    empty = {"Grad-CAM": np.zeros((2, 6, 6), np.float32)}
    hot = sheet(image, {"Grad-CAM": spots((0, 0), (0, 0))})
    cold = sheet(image, empty)

    rows = np.flatnonzero((hot != cold).any(axis=(1, 2)))

    # Of the second row: the heat above on the left, and the words below.
    assert len(rows)
    below, height = rows.min(), 240
    middle = slice(below + height // 2, below + height - 40)
    np.testing.assert_array_equal(hot[middle], cold[middle])


def test_anatomy_stays_visible_below_the_hottest_place():
    image = flat(2)
    image[:, ::8] = 180
    everywhere = np.ones((2, 6, 6), np.float32)

    picture = sheet(image, {"Grad-CAM": everywhere}).astype(int)

    column = picture[:, 300]
    hot = column[(column[:, 0] - column[:, 2] > 40)]
    assert np.ptp(hot[:, 0]) > 25 and np.ptp(hot[:, 2]) > 25


def test_small_maps_are_enlarged_smoothly():
    opacity = overlay(spots((2, 2), size=4)[0], 240, 240)[..., 3].astype(int)

    steps = np.abs(np.diff(np.where(opacity == 255, 0, opacity), axis=1))
    line = np.diff(opacity == 255, axis=1)
    assert 0 < steps[~line].max() < 16


def test_each_map_has_its_own_scale():
    maps = spots((2, 2), (2, 2))
    scaled = maps * np.array([0.001, 1000.0], np.float32)[:, None, None]

    np.testing.assert_array_equal(
        sheet(flat(), {"Grad-CAM": maps}), sheet(flat(), {"Grad-CAM": scaled})
    )


def test_a_few_hot_pixels_do_not_darken_the_others():
    values = np.ones((2, 48, 48), np.float32)
    spiked = values.copy()
    spiked[:, 7, 7] = 1e6

    difference = sheet(flat(), {"m": values}) != sheet(flat(), {"m": spiked})

    assert difference.mean() < 0.01


def test_a_single_pixel_of_a_large_map_is_evidence():
    picture = sheet(flat(), {"m": spots((7, 7), (40, 40), size=48)})

    boxes = tiles(picture)[2:]

    assert len(boxes) == 2
    for top, left, bottom, right in boxes:
        tile = picture[top : bottom + 1, left : right + 1].astype(int)
        assert (tile[..., 0] - tile[..., 2]).max() > 60


def test_a_map_of_zeros_is_the_plain_image_with_words():
    maps = spots((2, 2), (2, 2))
    maps[1] = 0

    picture = sheet(flat(), {"Grad-CAM": maps})

    _, (top, left, bottom, right) = tiles(picture)[-2:]
    tile = picture[top : bottom + 1, left : right + 1]
    plain, words = tile[:-22], tile[-22:]
    assert (plain == 100).all()
    assert (words[0] == 25).all() and (words > 200).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -3.0])
def test_what_is_no_evidence_counts_as_zero(bad):
    maps = spots((2, 2), (2, 2))
    spoilt = maps.copy()
    spoilt[:, 5, 5] = bad

    with np.errstate(all="raise"):
        picture = sheet(flat(), {"Grad-CAM": spoilt})

    np.testing.assert_array_equal(picture, sheet(flat(), {"Grad-CAM": maps}))


def test_examples_are_columns_and_methods_are_rows():
    images = np.stack([np.full((48, 48, 1), level, np.uint8) for level in (90, 120, 150)])
    maps = {name: np.zeros((3, 6, 6), np.float32) for name in ("Grad-CAM", "gradients")}

    picture = sheet(images, maps)

    places = [np.nonzero((picture == level).all(axis=-1)) for level in (90, 120, 150)]
    columns = [(columns.min(), columns.max()) for _, columns in places]
    assert columns[0][1] < columns[1][0] and columns[1][1] < columns[2][0]
    assert [len(runs(np.bincount(rows) > 60)) for rows, _ in places] == [3, 3, 3]


def test_names_of_layers_stand_in_front_and_keep_clear_of_the_tiles():
    names = [f"Grad-CAM stage{n}_block1_out 23 x 23" for n in range(1, 6)]
    ones = np.ones((2, 6, 6), np.float32)

    picture = sheet(flat(), dict.fromkeys(names, ones) | {"x" * 100: ones})

    text = (picture[100:-60] != canvas.BACKGROUND).any(axis=-1)
    left = tiles(picture)[0][1]
    assert left < 200 and text[:, canvas.MARGIN : left - canvas.GAP].any()
    assert not text[:, left - canvas.GAP : left].any() and not text[:, : canvas.MARGIN].any()


@pytest.mark.parametrize("methods", [1, 2, 5, 8])
def test_a_lone_example_has_its_tiles_side_by_side(methods):
    maps = {f"Grad-CAM layer {n} 3 x 3": spots((2, 2)) for n in range(methods)}

    picture = sheet(flat(1), maps, ["PNEUMONIA\nperson1 0.98"])

    boxes = tiles(picture)
    rows = {box[0] for box in boxes}
    assert len(rows) == -(-(methods + 1) // 4)
    assert len(boxes) >= methods + 1 and picture.shape[1] <= canvas.MAX_WIDTH


def test_the_bar_names_none_and_most_and_has_room_for_its_words():
    picture = sheet(flat(), {"Grad-CAM": spots((2, 2), (2, 2))})

    legend = picture[-canvas.MARGIN - canvas.LINE :].astype(int)
    colourful = np.flatnonzero((legend[..., 0] - legend[..., 2] > 60).any(axis=0))
    words = (legend == canvas.MUTED).all(axis=-1).any(axis=0)
    assert words[: colourful.min() - 60].any() and words[colourful.max() + 1 :].any()
    assert (legend[:, -canvas.MARGIN // 2 :] == canvas.BACKGROUND).all()  # nothing is cut off


def test_heat_is_clear_below_40_percent_grows_to_the_maximum_and_is_outlined_at_half():
    ramp = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (60, 1))

    opacity = overlay(ramp, 600, 600)[300, :, 3].astype(int)

    share = np.linspace(0, 1, 600)
    assert not opacity[share < 0.39].any()
    (line,) = np.flatnonzero((opacity == 255) & (share < 0.9))
    assert abs(share[line] - 0.5) < 0.02
    covered = np.delete(opacity[(share > 0.41) & (share < 0.99)], line - np.argmax(share > 0.41))
    assert (np.diff(covered) >= 0).all() and covered[0] < 10 and 115 < covered[-1] <= 128


def test_a_map_of_single_pixels_has_no_outlines_and_one_of_zeros_no_heat():
    fine = np.random.default_rng(0).random((180, 180)).astype(np.float32)
    assert overlay(fine, 180, 180)[..., 3].max() <= 128
    assert overlay(np.zeros((6, 6)), 180, 180) is None


def test_each_example_is_a_group_with_a_tile_for_each_method():
    levels = np.stack([np.full((48, 48, 1), level, np.uint8) for level in (90, 120)])
    maps = {"Grad-CAM": np.zeros((2, 6, 6)), "gradients": np.zeros((2, 6, 6))}
    for images, captions in ((levels, ["a", "b"]), (levels[:1], ["a"])):
        drawn = heat_sheet(
            "t", images, {name: m[: len(images)] for name, m in maps.items()}, captions=captions
        )
        assert [group.title for group in drawn.groups] == captions
        for group, level in zip(drawn.groups, (90, 120), strict=False):
            assert [tile.caption for tile in group.tiles] == ["radiograph", *maps]
            for left, top, width, height in (tile.box for tile in group.tiles):
                tile = drawn.pixels[top : top + height - 22, left : left + width]
                assert (tile == level).all()


@pytest.mark.parametrize(
    "images, maps, captions",
    [(0, 0, 0), (2, 1, 2), (2, 2, 1)],
)
def test_numbers_that_do_not_agree_are_refused(images, maps, captions):
    with pytest.raises(ValueError, match="need a caption each"):
        heat_sheet("t", flat(images), {"m": np.ones((maps, 3, 3))}, captions=["x"] * captions)
