"""Runs a command: `python -m trainer COMMAND --help` lists its flags.

prepare  prepares a data set from archives, folders, tables or DICOM files
audit    shows whether a data set can be trusted
train    trains and evaluates a network; python -m trainer.task is the same
launch   trains with several workers on this machine
tune     searches hyperparameters, one trial after the other
report   writes pages about finished runs
submit   submits a run to a cloud
jobs     lists, shows, cancels and fetches jobs in a cloud
"""

import runpy
import sys

COMMANDS = ("prepare", "audit", "train", "launch", "tune", "report", "submit", "jobs")


def main() -> None:
    """Runs the command that the first argument names, with the arguments after it."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command.strip("-") in ("h", "help"):
        print(__doc__)
    elif command in COMMANDS:
        del sys.argv[1]
        module = "trainer.task" if command == "train" else f"trainer.commands.{command}"
        # As python -m does: absl's --help shows the flags of the module __main__.
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        mistake = f"{command!r} is not a command" if command else "the command is missing"
        print(f"error: {mistake}: give one of {', '.join(COMMANDS)}.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
