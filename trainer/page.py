"""What the pages that a person opens share: one file, which holds everything that it shows."""

import base64
from collections.abc import Callable
from pathlib import Path

import jinja2


def template(file: str, **filters: Callable) -> jinja2.Template:
    """Returns a template of the package; what it is given is escaped, and nothing may be missing.

    Args:
      file: its path below `trainer/`.
      filters: what it may call.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(file)


def data_uri(picture: bytes, kind: str) -> str:
    """Returns a picture as an address that holds it; `kind` is "png" or "jpeg"."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()
