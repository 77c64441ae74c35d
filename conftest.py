"""Sets the tests' process up as a command's, before tests/conftest.py imports TensorFlow."""

from trainer.commands.set_up import set_up

set_up()
