"""Files that a cloud takes, filled in from the templates (*.j2) in this folder."""

import math
import shlex
from pathlib import Path

import jinja2
import yaml


def render(template: str, /, **values: object) -> str:
    """Returns the text of a template with its values filled in.

    Templates quote what users may have written: with the filter `shell` in a script, with `yaml` in
    a YAML file.

    Raises:
      jinja2.UndefinedError: if the template has a name that is not among the values.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shell"] = shlex.quote
    environment.filters["yaml"] = _yaml
    return environment.get_template(template).render(**values)


def _yaml(text: str) -> str:
    """Returns a string as YAML, in double quotes and on one line."""
    return yaml.safe_dump(text, default_style='"', width=math.inf).strip()
