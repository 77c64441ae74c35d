"""The config that a run was begun with: `--config=RUN/config.json`, local or gs://.

`trainer.config.parse_flags` leads such a file to here, as ml_collections reads Python alone.
"""

import json

from etils import epath
from ml_collections import ConfigDict

from trainer import bucket
from trainer.config import default
from trainer.entry import Refusal


def get_config(file: str) -> ConfigDict:
    """Returns the config that is written in `file`; fields that it lacks have their default.

    Raises:
      Refusal: if it is no JSON.
    """
    with bucket.told(file):
        text = epath.Path(file).read_text()
    try:
        saved = json.loads(text)
    except ValueError as error:
        raise Refusal(f"--config={file} is no JSON ({error}): name a run's config.json.") from error
    config = default()
    config.update(saved)
    return config
