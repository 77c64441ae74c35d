"""Runs a command of the package: `python -m trainer COMMAND --help` tells of its flags.

prepare  prepares a data set: archives, folders, tables, DICOM
audit    tells whether data can be trusted
train    trains a network and evaluates it; python -m trainer.task is the same
launch   trains with several workers on this machine
tune     runs a config's sweep, one trial after the other
report   writes pages about finished runs
submit   sends a run to a cloud
jobs     lists, shows, cancels and fetches a cloud's jobs
"""

import runpy
import sys

COMMANDS = ("prepare", "audit", "train", "launch", "tune", "report", "submit", "jobs")


def main() -> None:
    """Runs the program that the first argument names with the arguments after it."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command.strip("-") in ("h", "help"):
        print(__doc__)
    elif command in COMMANDS:
        del sys.argv[1]
        module = "trainer.task" if command == "train" else f"trainer.commands.{command}"
        # As python -m does: what absl's --help shows are the flags of the module __main__.
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        what = f"{command!r} is no command" if command else "the command is missing"
        print(f"error: {what}: give one of {', '.join(COMMANDS)}.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
