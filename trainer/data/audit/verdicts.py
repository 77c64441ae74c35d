"""Verdicts of an audit: what its facts mean, how bad that is, and which options help."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.data.audit.explanations import EXPLANATIONS, Explanation, of_column
from trainer.data.audit.shortcuts import COLUMN, TOGETHER

OK, LOOK, DANGER = "ok", "look", "danger"
SEVERITIES = (DANGER, LOOK, OK)

# Bounds for the lower end of a shortcut's interval: at 0.55 it is hardly any use to a network, and
# from 0.7 on it predicts about as well as what can be seen in many radiographs. Features that may
# be the patient's are a danger only from 0.9 on, or where they are weaker in test: a disease looks
# the same in both splits.
NOTABLE, STRONG, CERTAIN = 0.55, 0.7, 0.9
MUCH_DAMAGE = 0.01  # the share of files from which on preparing stops by itself
FEW_DAMAGED = 3  # files that are not many, whatever their share

KINDS_OF_COPIES = {
    "exact": "the same pixels",
    "near": "nearly the same picture",
    "turned": "the same picture, turned or mirrored,",
}


@dataclass(frozen=True)
class Verdict:
    """One thing that the audit found, and what it means.

    Attributes:
      severity: "ok", "look" (it may be harmless) or "danger" (results would be wrong).
      about: the part of the page that shows it.
      title: what was found, in one sentence.
      meaning: what follows from it.
      advice: what to do, a sentence each.
    """

    severity: str
    about: str
    title: str
    meaning: str = ""
    advice: tuple[str, ...] = ()


def judge(facts: Mapping[str, Any]) -> list[Verdict]:
    """Returns what the facts of `audit.audit` mean, the worst first."""
    verdicts = [
        *_damage(facts),
        *_copies(facts),
        *_patients(facts),
        *_shortcuts(facts),
        *_balance(facts),
        *_known(facts),
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


def _shortcuts(facts: Mapping) -> Iterator[Verdict]:
    relations = facts["shortcuts"]["relations"]
    unremarkable = True
    columns = dict.fromkeys(r["traces"] for r in relations if r["traces"].startswith(COLUMN))
    for explanation in (*map(of_column, columns), *EXPLANATIONS):
        predictive = [
            r for r in relations if r["traces"] in explanation.groups and _low(r) > NOTABLE
        ]
        if not predictive:
            continue
        unremarkable = False
        worst = max(predictive, key=_low)
        hidden = explanation.removed_by_prepare and facts["prepared"]
        yield Verdict(
            LOOK if hidden else _severity(explanation, predictive),
            "shortcuts",
            f"{explanation.title} predicts {worst['label']} "
            f"with an AUC of {_with_interval(_best(worst))}"
            + (f", by {worst['traces']}" if len(explanation.groups) > 1 else ""),
            " ".join(
                [
                    _UNSEEN if hidden else explanation.meaning,
                    _transfer(worst),
                    _other_labels(worst, predictive),
                ]
            ),
            explanation.advice(_typical(relations, worst)),
        )
    if facts["shortcuts"]["too_few"]:
        labels = ", ".join(facts["shortcuts"]["too_few"])
        yield Verdict(
            LOOK,
            "shortcuts",
            f"too few images to look for shortcuts to {labels}",
            "It takes at least 10 images of 5 patients with the label, and as many without it.",
        )
    if relations and unremarkable:
        yield Verdict(
            OK, "shortcuts", "encoding, size, fine structure and brightness predict no label"
        )


def _severity(explanation: Explanation, predictive: Sequence[Mapping]) -> str:
    """Returns how bad it is that these relations predict their labels."""
    strong = [r for r in predictive if _low(r) > STRONG]
    if explanation.may_be_patient:
        strong = [r for r in strong if _low(r) > CERTAIN or _fails_in_test(r)]
    return DANGER if strong else LOOK


def _fails_in_test(relation: Mapping) -> bool:
    """Returns whether what was learnt in train is surely worth less in test."""
    return bool(relation["transfer"]) and relation["transfer"]["high"] < _low(relation)


_UNSEEN = (
    "The network does not see the file of a prepared image, and its size follows from what the "
    "picture shows; what counts is the encoding that is seen in the pixels."
)


_WEAKER = "it is weaker there: a network that relies on it does better in validation than in test."
_HOLDS = {
    "holds in test": "it holds there too, so the test split does not warn of it.",
    "reversed in test": "it is reversed there. A network that relies on it does well in validation "
    "and errs in test.",
    "does not hold in test": "it does not hold there. A network that relies on it does well in "
    "validation and errs in test.",
}


def _transfer(relation: Mapping) -> str:
    """Returns a sentence on what becomes of the relation in the test split."""
    if not relation["holds"]:
        return ""
    transfer = relation["transfer"]
    auc = _with_interval(transfer)
    holds = relation["holds"]
    weaker = holds == "holds in test" and _fails_in_test(relation)
    consequence = _WEAKER if weaker else _HOLDS[holds]
    return f"Learnt in train, it has an AUC of {auc} in test: {consequence}"


def _with_interval(auc: Mapping) -> str:
    return f"{auc['value']:.2f} ({auc['low']:.2f} to {auc['high']:.2f})"


def _typical(relations: Sequence[Mapping], worst: Mapping) -> Mapping:
    """Returns the typical values of all features for the label of a relation."""
    of_label = [r for r in relations if r["label"] == worst["label"]]
    return next((r for r in of_label if r["traces"] == TOGETHER), worst).get("typical", {})


def _other_labels(worst: Mapping, predictive: Sequence[Mapping]) -> str:
    others = dict.fromkeys(r["label"] for r in predictive if r["label"] != worst["label"])
    return f"Also for {', '.join(others)}." if others else ""


def _low(relation: Mapping) -> float:
    return _best(relation)["low"]


def _best(relation: Mapping) -> Mapping:
    """Returns the AUC of train, or else of test."""
    return relation["train"] or relation["test"]


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


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
