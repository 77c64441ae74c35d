"""The page of an audit: one HTML file that holds everything it shows."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import markupsafe
import numpy as np
from PIL import Image

from trainer.data.audit import shortcuts
from trainer.data.audit.inspection import InspectedFile
from trainer.data.decode import radiograph
from trainer.data.sources.image_record import NEGATIVE, POSITIVE, UNKNOWN, ImageRecord, Source
from trainer.report import page
from trainer.show.charts.chart import BLUE, INK, ORANGE, PURPLE, Chart, chart, plain

GROUPS_SHOWN = 8  # of copies, with pictures
COPIES_SHOWN = 4  # of one group
LABELS_CHARTED = 6
IMAGES_SHOWN = 8  # of a class
NO_LABEL = "none of them"
SUSPECTS_SHOWN = 24
PICTURE_SIDE = 160  # pixels
COLUMNS = (
    ("train", "in train (cross-validated)", BLUE, "o"),
    ("test", "in test (cross-validated)", ORANGE, "s"),
    ("transfer", "learnt in train, evaluated in test", PURPLE, "D"),
)


def render(facts: Mapping[str, Any], files: Sequence[InspectedFile], source: Source) -> str:
    """Returns the page.

    Args:
      facts: see `trainer.data.audit.audit`.
      files: as they were inspected.
      source: read once more for the pictures, which an identifying source does not show.
    """
    template = page.template("audit.html.j2", auc=_auc, typical=_typical)
    text = template.render(
        facts=facts,
        size_charts=_size_charts(facts, files),
        shortcut_charts=_shortcut_charts(facts),
        by_label=_by_label(facts),
        sheets=_sheets(facts, files, source),
        suspects=[] if facts["identifying"] else _suspects(facts, files, source),
        copies=[] if facts["identifying"] else list(_pictures(facts, files, source)),
        least_images=shortcuts.LEAST_IMAGES,
    )
    # A file's name need not be valid Unicode.
    return text.encode(errors="backslashreplace").decode()


def _by_label(facts: Mapping) -> dict[str, list[Mapping]]:
    """Returns the relations of each label, in the order of the facts."""
    result: dict[str, list[Mapping]] = {}
    for relation in facts["shortcuts"]["relations"]:
        result.setdefault(relation["label"], []).append(relation)
    return result


def _shortcut_charts(facts: Mapping) -> dict[str, markupsafe.Markup]:
    by_label = list(_by_label(facts).items())[:LABELS_CHARTED]
    return {
        label: markupsafe.Markup(_intervals(label, relations, f"AUC chart {number}"))
        for number, (label, relations) in enumerate(by_label, 1)
    }


def _intervals(label: str, relations: Sequence[Mapping], name: str) -> str:
    """Returns a chart with a row for each group of features: the AUCs and their intervals."""
    title = f"AUC for {plain(label)}"
    columns = [column for column in COLUMNS if any(r[column[0]] for r in relations)]
    below = 0.7 + 0.17 * len(columns)  # inches
    height = below + 0.3 + 0.24 * len(relations)
    with chart(title, "AUC (0.5 is chance)", "", size=(4.8, height)) as (figure, axes):
        figure.subplots_adjust(left=0.39, right=0.98, bottom=below / height, top=1 - 0.3 / height)
        places = np.arange(len(relations))[::-1]
        shifts = 0.22 * (np.arange(len(columns))[::-1] - (len(columns) - 1) / 2)
        axes.axvline(0.5, color=INK, alpha=0.5, ls=":", lw=1.4)
        for shift, (column, meaning, colour, marker) in zip(shifts, columns, strict=True):
            low, value, high = (
                np.array([relation[column][bound] for relation in relations])
                for bound in ("low", "value", "high")
            )
            axes.hlines(places + shift, low, high, color=colour, lw=1.6)
            axes.plot(value, places + shift, marker, color=colour, label=meaning)
        axes.set_yticks(places, [relation["traces"] for relation in relations], fontsize=9)
        axes.set_xlim(right=1.01)
        figure.legend(loc="lower center", fontsize=8.5)
        return Chart(figure, name).svg()


def _size_charts(facts: Mapping, files: Sequence[InspectedFile]) -> list[markupsafe.Markup]:
    """Returns histograms of width and height by class; none where all have one size."""
    usable = [file for file in files if not file.reason]
    if not usable or facts["sizes"]["different"] == 1:
        return []
    kinds = [("all images", usable, BLUE)]
    if facts["classes"]:
        values = (NEGATIVE, POSITIVE)
        kinds = [
            (name, [file for file in usable if file.record.labels[0] == value], colour)
            for name, value, colour in zip(facts["classes"], values, (BLUE, ORANGE), strict=True)
        ]
    return [markupsafe.Markup(_histogram(side, kinds)) for side in ("width", "height")]


def _histogram(side: str, kinds: Sequence[tuple[str, Sequence[InspectedFile], str]]) -> str:
    with chart(side.capitalize(), "pixels", "share of images") as (figure, axes):
        values = [np.array([getattr(f.features, side) for f in files]) for _, files, _ in kinds]
        edges = np.histogram_bin_edges(np.concatenate(values), 30)
        for (name, _, colour), lengths in zip(kinds, values, strict=True):
            if len(lengths):
                axes.hist(
                    lengths,
                    edges.tolist(),
                    weights=np.full(len(lengths), 1 / len(lengths)),
                    histtype="stepfilled",
                    alpha=0.35,
                    color=colour,
                    ec=colour,
                    label=plain(name),
                )
        axes.locator_params(axis="x", nbins=7, prune="upper")  # whose label would leave the chart
        axes.legend(fontsize=8.5)
        return Chart(figure, side).svg()


def _sheets(
    facts: Mapping, files: Sequence[InspectedFile], source: Source
) -> dict[str, list[tuple[str, str]]]:
    """Returns for each class (name, picture as a data URI) of some images of different patients."""
    if facts["identifying"]:
        return {}
    labels = facts["labels"][:LABELS_CHARTED]
    found: dict[str, dict[str, ImageRecord]] = {
        name: {} for name in facts["classes"] or [*labels, NO_LABEL]
    }
    for file in files:
        record = file.record
        if file.reason or UNKNOWN in record.labels[: len(labels)]:
            continue
        if facts["classes"]:
            names = [facts["classes"][record.labels[0]]]
        else:
            positive = [n for n, v in zip(labels, record.labels, strict=False) if v == POSITIVE]
            names = positive or ([] if POSITIVE in record.labels else [NO_LABEL])
        for name in names:
            found[name].setdefault(record.patient or record.name, record)
    return {
        name: [(r.name, _picture(source.read(r))) for r in _spread(list(records.values()))]
        for name, records in found.items()
        if records
    }


def _suspects(
    facts: Mapping, files: Sequence[InspectedFile], source: Source
) -> list[tuple[Mapping, str]]:
    """Returns (image, picture as a data URI) of those whose label is most probably wrong."""
    records = {file.record.name: file.record for file in files if not file.reason}
    images = (facts["label_errors"] or {"images": []})["images"][:SUSPECTS_SHOWN]
    shown = [image for image in images if image["name"] in records]
    return [(image, _picture(source.read(records[image["name"]]))) for image in shown]


def _spread(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Returns a few records at equal distances, since neighbours may be of one kind."""
    count = min(IMAGES_SHOWN, len(records))
    return [records[number * len(records) // count] for number in range(count)]


def _pictures(
    facts: Mapping, files: Sequence[InspectedFile], source: Source
) -> Iterator[tuple[str, list[tuple[Mapping, str]]]]:
    """Yields (kind, [(member, picture as a data URI)]) of the first groups of each kind."""
    records = {file.record.name: file.record for file in files}
    for kind in ("exact", "near", "turned"):
        for group in facts["duplicates"][kind]["members"][:GROUPS_SHOWN]:
            shown = group[:COPIES_SHOWN]
            yield kind, [(image, _picture(source.read(records[image["name"]]))) for image in shown]


def _picture(data: bytes) -> str:
    image = Image.fromarray(radiograph.decode(data, PICTURE_SIDE)[..., 0])
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return page.data_uri(file.getvalue(), "jpeg")


def _auc(auc: Mapping | None) -> str:
    return f"{auc['value']:.2f}" if auc else "–"


def _typical(values: Mapping[str, Any]) -> str:
    """Returns the features of one group in words: "quality 74.8, table 071f0329"."""
    return ", ".join(
        f"{name.replace('_', ' ')} {_value(name, value)}"
        for name, value in values.items()
        if value != ""
    )


def _value(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if name in ("exif", "black"):
        return f"{value:.1%}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
