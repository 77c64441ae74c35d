"""A chart fits into a page and into TensorBoard, whatever its texts are."""

import re

import numpy as np
import pytest

from trainer.show.charts.chart import (
    INK,
    Chart,
    chart,
    ends_width,
    legend_below,
    legend_height,
    name_ends,
    plain,
)


def drawn(name="A chart", title="Title", label="curve", rows=1):
    with chart(title, "x", "y", subtitle="about it", legend=legend_height(rows)) as (figure, axes):
        lines = [axes.plot([0, 1], [0, k])[0] for k in range(rows)]
        legend_below(figure, lines, [label] * rows)
        return Chart(figure, name)


def test_the_svg_has_every_text_and_takes_the_colour_of_the_page(texts):
    svg = drawn().svg()
    assert {"Title", "about it", "x", "y", "curve"} <= set(texts(drawn()))
    assert svg.startswith('<svg role="img" aria-label="A chart"')
    assert "currentColor" in svg and INK not in svg


def test_charts_of_one_page_share_no_ids_and_load_nothing():
    svgs = [drawn(name).svg() for name in ("ROC curve, test", "ROC curve, validation")]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in svgs]
    assert all(ids) and not ids[0] & ids[1]
    for svg, own in zip(svgs, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own
        assert not re.search(r'href="(?!#)', svg)


def test_the_same_chart_gives_the_same_files():
    assert drawn().svg() == drawn().svg()
    assert drawn().pdf() == drawn().pdf() and drawn().pdf().startswith(b"%PDF")


def test_names_at_the_ends_of_lines_are_in_their_order_and_apart():
    with chart("AUC", "epoch", "AUC", right=ends_width(["x" * 24])) as (_, axes):
        levels = [0.9, 0.2, np.nan, 0.9, 0.9, 0.5, 0.9]
        lines = [axes.plot([1, 2], [level, level])[0] for level in levels]
        axes.set_ylim(0, 1)
        name_ends(axes, lines, list("abcdefg"))
    texts = {text.get_text(): text.xy[1] for text in axes.texts}
    gaps = np.diff(sorted(texts.values()))
    assert gaps.min() > 0.05 and max(texts.values()) < 1
    assert texts["c"] < texts["b"] < texts["f"] < min(texts[name] for name in "adeg")


def test_a_name_cannot_become_markup_nor_a_formula(texts):
    name = '"><script>$x^{'
    svg = drawn(name, title=name, label=name).svg()
    assert "<script>" not in svg
    assert texts(drawn(name, title=name, label=name)).count(name) == 2


@pytest.mark.parametrize("width", [360, 720, 1001])
def test_pixels_are_as_wide_as_asked_and_on_white(width):
    pixels = drawn().pixels(width)
    assert pixels.shape[1:] == (width, 3) and pixels.dtype == np.uint8
    assert (pixels[[0, -1]] == 255).all() and (pixels < 100).any()


def test_pixels_before_it_change_no_svg():
    before = drawn()
    before.pixels(300)
    assert before.svg() == drawn().svg()


@pytest.mark.parametrize("rows", [1, 5, 12])
def test_the_legend_lies_below_the_axes_and_within_the_figure(rows):
    figure = drawn(rows=rows).figure
    figure.canvas.draw()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_tightbbox()
    assert legend.y1 <= axes.y0 and legend.y0 >= -1
    assert axes.y0 - legend.y1 < 20


def test_a_long_name_is_cut_and_a_hidden_one_shown():
    assert plain("_Mass") == "Mass"
    assert len(plain("x" * 100)) == 40 and plain("x" * 100).endswith("…")
