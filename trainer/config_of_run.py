"""The config that a run was begun with: `--config=RUN/config.json`, local or gs://.

`trainer.config.parse_flags` leads such a file to here, as ml_collections reads Python alone.
"""

import json

from etils import epath
from ml_collections import ConfigDict

from trainer import bucket
from trainer.config import default


def get_config(file: str) -> ConfigDict:
    """Returns the config that is written in `file`; fields that it lacks have their default."""
    with bucket.told(file):
        saved = json.loads(epath.Path(file).read_text())
    config = default()
    config.update(saved)
    return config
