"""What all pages share: templates, number formats, pictures. A page is one self-contained file."""

import base64
import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import jinja2
import markupsafe

from trainer.show.charts.chart import Chart

OPTION = re.compile(r"--[a-z_.]+(=\w+([.,]\w+)*)?\b")


@functools.cache
def template(file: str, **filters: Callable) -> jinja2.Template:
    """Returns a template of this folder, which requires all its variables; in HTML it escapes them.

    Args:
      file: its name in `trainer/report/`.
      filters: more than `percent`, `decimal`, `count`, `duration`, `options` and `breakable`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=not file.endswith(".md.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = (percent, decimal, count, duration, options, breakable)
    environment.filters.update({filter.__name__: filter for filter in shared} | filters)
    return environment.get_template(file)


def data_uri(picture: bytes, kind: str) -> str:
    """Returns a picture as a data URI; `kind` is "png" or "jpeg"."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def svgs(charts: Iterable[Chart]) -> list[markupsafe.Markup]:
    """Returns charts as SVG elements for a template."""
    return [markupsafe.Markup(chart.svg()) for chart in charts]


def percent(share: float | None) -> str:
    """Returns a share as "93.1 %"."""
    return "undefined" if share is None else f"{100 * share:.1f} %"


def decimal(value: float | None) -> str:
    """Returns a value with three places."""
    return "undefined" if value is None else f"{value:.3f}"


def count(number: int) -> str:
    """Returns a whole number with separated thousands: "4,684"."""
    return f"{number:,}"


def duration(seconds: float) -> str:
    """Returns a duration in its two largest units: "1 h 5 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join([f"{value} {unit}" for value, unit in parts if value][:2]) or "0 s"


def options(text: str) -> markupsafe.Markup:
    """Returns the text with command line options marked as code, which may break after a dot."""

    def code(option: re.Match) -> str:
        parts = re.findall(r"[^.]+\.?", option[0])
        return f"<code>{''.join(f'<span>{part}</span><wbr>' for part in parts)}</code>"

    return markupsafe.Markup(OPTION.sub(code, str(markupsafe.escape(text))))


def breakable(name: str) -> markupsafe.Markup:
    """Returns the name of a field, which may be broken behind a dot or "_" but in no word."""
    return markupsafe.Markup(re.sub(r"([._/])", r"\1<wbr>", str(markupsafe.escape(name))))
