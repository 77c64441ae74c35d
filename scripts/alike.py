"""Whether two finished runs are alike, and the second has left nothing behind that it should not.

TensorFlow is imported late: by the trainer, which sets how much it writes.
"""

import json
from pathlib import Path

import numpy as np
from etils import epath

from trainer.checkpoint import checkpoint
from trainer.show.curves import CURVES

ENDS = {f"metrics/{name}" for name in CURVES}
BEFORE = (
    *("config", "environment", "data", "model", "custom_scalars__config__"),
    *("radiographs/samples", "radiographs/augmented"),
)


def differences(unbroken: Path, killed: Path, total: int, tolerance: float) -> list[str]:
    """Returns what is not alike in two finished runs, or not as it should be in the second."""
    found = []
    ours, theirs = (final_variables(workdir) for workdir in (unbroken, killed))
    if ours.keys() != theirs.keys():
        found.append("the final checkpoints have other variables")
    else:
        apart = max(float(np.max(np.abs(ours[n] - theirs[n]), initial=0.0)) for n in ours)
        if not apart <= tolerance:
            found.append(f"the final variables are up to {apart:.3g} apart")
    if history(unbroken) != history(killed):
        found.append("history.json")
    between = [evaluations(workdir) for workdir in (unbroken, killed)]
    if between[0] != between[1]:
        found.append("evaluations.json")
    scores = "evaluation/test.csv"
    if (unbroken / scores).read_text() != (killed / scores).read_text():
        found.append(scores)
    ends = [row["step"] for row in history(unbroken)]
    evaluated = sorted([*ends, *(row["step"] for row in between[0])])
    for part, steps in {"train": ends, "validation": evaluated}.items():
        found += [f"{part}/{tag}" for tag in wrong_tags(killed, part, steps, total)]
    for folder in (killed / "checkpoints").iterdir():
        if not folder.name.startswith("step-") or not (folder / checkpoint.MANIFEST).exists():
            found.append(f"left over: {folder.name}")
    return found + [f"left over: {file.name}" for file in killed.rglob("*.tmp")]


def wrong_tags(workdir: Path, part: str, ends: list[int], total: int) -> list[str]:
    """Returns the tags of TensorBoard whose steps are missing, double or out of order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = str(workdir / "tensorboard" / part)
    events = EventAccumulator(folder, {"tensors": 0}, purge_orphaned_data=False).Reload()
    steps = {tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}

    def right(tag: str) -> bool:
        if tag in ENDS:
            return steps[tag] == ends
        if tag in BEFORE:
            return steps[tag] == [0]
        # Loops end where they are told to, and pictures are drawn while there is time.
        if tag.startswith("training/") and steps[tag][-1] != total:
            return False
        if (
            tag == "speed/checkpoint_seconds"
        ):  # a step may be saved before and after its epoch's end
            return steps[tag] == sorted(steps[tag])
        return steps[tag] == sorted(set(steps[tag]))

    return [tag for tag in steps if not right(tag)] + sorted(
        {"metrics/loss", "metrics/auc"} - steps.keys()
    )


def final_variables(workdir: Path) -> dict[str, np.ndarray]:
    """Returns what the newest checkpoint of a run holds."""
    return checkpoint.read(checkpoint.newest(epath.Path(workdir) / "checkpoints"))


def evaluations(workdir: Path) -> list[dict]:
    """Returns the evaluations of a run within its epochs."""
    file = workdir / "evaluations.json"
    return json.loads(file.read_text()) if file.exists() else []


def history(workdir: Path) -> list[dict]:
    """Returns the history of a run without its timings."""
    rows = json.loads((workdir / "history.json").read_text())
    for row in rows:
        del row["seconds"], row["train"]["images_per_second"], row["train"]["input_wait"]
    return rows
