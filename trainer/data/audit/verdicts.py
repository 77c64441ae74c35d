"""Verdicts of an audit: what its facts mean, how bad that is, and which options help."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.data.audit import suspected_labels
from trainer.data.audit.shortcut_verdicts import shortcuts
from trainer.data.audit.verdict import DANGER, LOOK, OK, SEVERITIES, Verdict

MUCH_DAMAGE = 0.01  # the share of files from which on preparing stops by itself
FEW_DAMAGED = 3  # files that are not many, whatever their share

KINDS_OF_COPIES = {
    "exact": "the same pixels",
    "near": "nearly the same picture",
    "turned": "the same picture, turned or mirrored,",
}


def judge(facts: Mapping[str, Any]) -> list[Verdict]:
    """Returns what the facts of `audit.audit` mean, the worst first."""
    verdicts = [
        *_damage(facts),
        *_copies(facts),
        *_patients(facts),
        *shortcuts(facts),
        *_balance(facts),
        *_known(facts),
        *_label_errors(facts),
    ]
    return sorted(verdicts, key=lambda verdict: SEVERITIES.index(verdict.severity))


def overall(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Returns the worst severity and one sentence about the whole."""
    worst = [v for v in verdicts if v.severity == DANGER] or [
        v for v in verdicts if v.severity == LOOK
    ]
    if not worst:
        return OK, "Nothing was found that speaks against these data."
    rest = len(worst) - 1
    others = f", and {_number(rest, 'more finding')} of the same severity" if rest else ""
    if worst[0].severity == DANGER:
        return DANGER, f"Do not trust results on these data as they are: {worst[0].title}{others}."
    return LOOK, f"Usable, but look at this first: {worst[0].title}{others}."


def _damage(facts: Mapping) -> Iterator[Verdict]:
    damage = facts["damage"]["count"]
    total = damage + sum(split["images"] for split in facts["splits"].values())
    if left_out := facts["left_out"]["count"]:
        reason = max(facts["left_out"]["reasons"].items(), key=lambda item: item[1])[0]
        yield Verdict(OK, "damage", f"{_number(left_out, 'image')} left out by choice ({reason})")
    if not damage:
        yield Verdict(OK, "damage", f"all {total:,} files can be read")
        return
    few = damage / total <= MUCH_DAMAGE or (damage <= FEW_DAMAGED and 10 * damage < total)
    yield Verdict(
        OK if few and damage == 1 else LOOK if few else DANGER,
        "damage",
        f"{_number(damage, 'file')} of {total:,} cannot be used",
        "Preparing skips and lists them. What is missing may not be missing at random.",
        (
            "Fetch these files again, or prepare with --max_skipped=SHARE if they may be missing.",
            "--strict stops preparing at the first of them.",
        ),
    )


def _copies(facts: Mapping) -> Iterator[Verdict]:
    for kind, text in KINDS_OF_COPIES.items():
        copies = facts["duplicates"][kind]
        if copies["across"]:
            yield Verdict(
                DANGER,
                "duplicates",
                f"{text} in two splits, {_number(copies['across'], 'group')}",
                "Images that are trained on are also evaluated, so results come out too good.",
                (
                    "Put all copies of an image into one split. Preparing moves exact copies "
                    "together; near ones only where the patient is not known, turned ones never.",
                ),
            )
        if copies["conflicts"]:
            yield Verdict(
                DANGER if kind == "exact" else LOOK,
                "duplicates",
                f"{text} with different labels, {_number(copies['conflicts'], 'group')}",
                "At least one of the labels is wrong, or the same image was read twice.",
                ("Look at the pairs below and correct the labels at their source.",),
            )
        if inside := sum(copies["within"].values()):
            yield Verdict(
                OK if copies["one_patient"] == copies["groups"] else LOOK,
                "duplicates",
                f"{text} inside one split, {_number(inside, 'group')}",
                "They count more than once, and a split by image instead of by patient would "
                f"separate them. In {copies['one_patient']} of {copies['groups']} groups all "
                "images are of one patient.",
                ("Split by patient, as preparing does.",),
            )
    if not any(facts["duplicates"][kind]["groups"] for kind in KINDS_OF_COPIES):
        yield Verdict(OK, "duplicates", "no image occurs twice")


def _patients(facts: Mapping) -> Iterator[Verdict]:
    patients = facts["patients"]
    if across := patients["across"]:
        yield Verdict(
            DANGER,
            "patients",
            f"{_number(len(across), 'patient')} in more than one split",
            "The network can recognise a person it was trained on. Preparing refuses this.",
            (
                "Move all images of a patient into one folder.",
                "If these are not the same people, say how to find the patient: --patient_regex or "
                "--patient_column.",
            ),
        )
    if patients["known"] == 0:
        yield Verdict(
            LOOK,
            "patients",
            "the patients are not known",
            "Images of one patient may come into two splits. Preparing keeps near copies together, "
            "but other radiographs of the same patient are no copies.",
            ("Say how to find the patient: --patient_regex, or --patient_column of a table.",),
        )
    elif patients["known"] < 1:
        yield Verdict(
            LOOK,
            "patients",
            f"{1 - patients['known']:.1%} of the images are of an unknown patient",
            "They may belong to patients of another split.",
            ("Widen --patient_regex, or fill the --patient_column.",),
        )
    elif not across and len(facts["splits"]) > 1:
        yield Verdict(OK, "patients", "no patient is in two splits")
    if shared := patients["shared_numbers"]:
        yield Verdict(
            OK,
            "patients",
            f"{_number(shared, 'number')} in more than one split, but of different series",
            "Series such as person1_virus and person1_bacteria count their patients by themselves. "
            "Read without the series, these would look like patients in two splits: a false alarm.",
        )


def _known(facts: Mapping) -> Iterator[Verdict]:
    splits = facts["splits"].values()
    images = sum(split["images"] for split in splits)
    for label in facts["labels"]:
        unknown = sum(split["per_label"][label]["unknown"] for split in splits)
        if unknown:
            yield Verdict(
                OK,
                "counts",
                f"{label} is known of {images - unknown:,} of {images:,} images",
                "The others are not counted for that label, in training or in results.",
            )


def _balance(facts: Mapping) -> Iterator[Verdict]:
    if len(facts["splits"]) < 2:
        return
    for split, counts in facts["splits"].items():
        for label, count in counts["per_label"].items():
            if counts["images"] and not (count["positive"] and count["negative"]):
                missing = "with" if not count["positive"] else "without"
                yield Verdict(
                    LOOK,
                    "counts",
                    f"{split} has no image {missing} {label}",
                    "Nothing can be measured of that label there.",
                )


def _label_errors(facts: Mapping) -> Iterator[Verdict]:
    for label, counts in (facts["label_errors"] or {"labels": {}})["labels"].items():
        suspected, expected = counts["suspected"], counts["expected"]
        excess = suspected_labels.is_excess(suspected, expected)
        labels = _number(suspected, f"{label} label".strip())
        one = suspected == 1
        seem = f"{'is' if one else 'are'} probably" if excess else f"look{'s' * one}"
        yield Verdict(
            LOOK if excess else OK,
            "label_errors",
            f"{labels} {seem} wrong; if all were right, {expected:,.1f} would look so",
            "Networks that were not trained on these images predict another class with confidence. "
            + ("Chance alone does not explain so many." if excess else "Chance explains as many."),
            ("Let a reader look at them, and correct the wrong ones at their source.",),
        )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
