"""An extra that is missing is answered with the command that installs it."""

import pytest

from trainer.system import extras
from trainer.system.errors import UsageError


def test_a_missing_extra_is_named_with_the_command_that_installs_it():
    extras.require("serve", "json", purpose="radiograph serve")
    sentence = (
        r"radiograph serve needs nosuch, which is not installed: give pip install "
        r"'radiograph-trainer\[serve\]', or scripts/setup.sh --serve in a checkout\."
    )
    with pytest.raises(UsageError, match=sentence):
        extras.require("serve", "json", "nosuch", purpose="radiograph serve")
