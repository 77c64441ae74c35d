"""The table of `scripts/benchmark.py`, from what its measures answered in each turn."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

PAIRS = (
    ("job", "article_script", "whole epochs : the article's script, batch 8"),
    ("job", "bare_step", "whole epochs : bare step of Keras, compiled"),
    ("loop_plain", "bare_step", "training loop, no augmentation : bare step"),
    ("loop_augmented", "bare_step", "training loop, augmentation : bare step"),
    ("loop_plain", "torch_plain", "training loop, no augmentation : PyTorch"),
    ("loop_augmented", "torch_augmented", "training loop, augmentation : PyTorch"),
    ("pipeline_host", "image_dataset_from_directory", "cache=host : image_dataset_from_directory"),
    ("pipeline_host", "image_data_generator", "cache=host : ImageDataGenerator"),
    ("pipeline_disk", "pipeline_host", "cache=disk : cache=host (ours, too)"),
    ("pipeline_none", "image_dataset_from_directory", "cache=none : image_dataset_from_directory"),
    ("pipeline_none", "image_data_generator", "cache=none : ImageDataGenerator"),
)


def table(found: Mapping[str, list[dict]]) -> list[str]:
    """Returns the lines of the table: a row for each pair that was measured."""
    rows = [
        "| images/s, ours : theirs | ours | theirs | ratio | lowest | highest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for ours, theirs, what in PAIRS:
        if {ours, theirs} <= found.keys():
            rates = [rate(name, found[name]) for name in (ours, theirs)]
            rounds = zip(found[ours], found[theirs], strict=True)
            ratios = [rate(ours, [one]) / rate(theirs, [other]) for one, other in rounds]
            cells = [what, *(f"{each:,.0f}" for each in rates), f"{rates[0] / rates[1]:.2f}"]
            rows.append(f"| {' | '.join(cells)} | {min(ratios):.2f} | {max(ratios):.2f} |")
    return rows


def rate(name: str, turns: Sequence[Mapping]) -> float:
    """Returns the images/s of a measure: the median of its turns, of the job all together.

    For some of its epochs draw pictures, and others do not.
    """
    if name == "job":
        return sum(turn["images"] for turn in turns) / sum(turn["seconds"] for turn in turns)
    return statistics.median(turn["images"] / turn["seconds"] for turn in turns)


def account(turns: Sequence[Mapping]) -> str:
    """Returns what share of the job's time went where."""
    spent: dict[str, float] = defaultdict(float)
    for turn in turns:
        for purpose, seconds in turn["spent"].items():
            spent[purpose] += seconds
    total = sum(spent.values())
    shares = sorted(((seconds / total, name) for name, seconds in spent.items()), reverse=True)
    return ", ".join(f"{name} took {share:.1%}" for share, name in shares if share)
