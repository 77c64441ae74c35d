"""What the facts of an audit mean, how bad it is, and which options help."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.data.audit.explanations import KINDS, Kind

OK, LOOK, DANGER = "ok", "look", "danger"
SEVERITIES = (DANGER, LOOK, OK)

# A shortcut counts from where the lower end of its interval is: 0.55 is hardly any use to a
# network, and from 0.7 on it is about as good as what there is to see in many radiographs.
# What may be the patient is a danger only from 0.9 on, or where it is weaker in test: a disease
# looks the same in both splits.
NOTABLE, STRONG, CERTAIN = 0.55, 0.7, 0.9
MUCH_DAMAGE = 0.01  # the share of files from which on preparing stops by itself


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

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


def judge(facts: Mapping[str, Any]) -> list[Finding]:
    """Returns what the facts of `audit.audit` mean, the worst first."""
    found = [
        *_damage(facts),
        *_copies(facts),
        *_patients(facts),
        *_shortcuts(facts),
        *_balance(facts),
    ]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def verdict(findings: Sequence[Finding]) -> tuple[str, str]:
    """Returns the worst severity and one sentence about the whole."""
    worst = [f for f in findings if f.severity == DANGER] or [
        f for f in findings if f.severity == LOOK
    ]
    if not worst:
        return OK, "Nothing speaks against trusting these data."
    rest = len(worst) - 1
    others = f", and {_number(rest, 'more finding')} as grave" if rest else ""
    if worst[0].severity == DANGER:
        return DANGER, f"Do not trust results on these data as they are: {worst[0].title}{others}."
    return LOOK, f"Usable, but look at this first: {worst[0].title}{others}."


def _damage(facts: Mapping) -> Iterator[Finding]:
    damage = facts["damage"]["count"]
    total = damage + sum(split["images"] for split in facts["splits"].values())
    if not damage:
        yield Finding(OK, "damage", f"all {total:,} files can be read")
        return
    yield Finding(
        LOOK if damage / total <= MUCH_DAMAGE else DANGER,
        "damage",
        f"{_number(damage, 'file')} of {total:,} cannot be used",
        "Preparing skips and lists them. What is missing may not be missing at random.",
        (
            "Fetch these files again, or prepare with --max_skipped=SHARE if they may be missing.",
            "--strict stops preparing at the first of them.",
        ),
    )


def _copies(facts: Mapping) -> Iterator[Finding]:
    for kind, text in (("exact", "the same pixels"), ("near", "nearly the same picture")):
        copies = facts["duplicates"][kind]
        if copies["across"]:
            yield Finding(
                DANGER,
                "duplicates",
                f"{text} in two splits, {_number(copies['across'], 'group')}",
                "What is trained on is also judged on, so results come out too good.",
                (
                    "Put all copies of an image into one split. Preparing moves exact copies "
                    "together; near ones only where nothing tells the patient.",
                ),
            )
        if copies["conflicts"]:
            yield Finding(
                DANGER if kind == "exact" else LOOK,
                "duplicates",
                f"{text} with different labels, {_number(copies['conflicts'], 'group')}",
                "At least one of the labels is wrong, or the same image was read twice.",
                ("Look at the pairs below and correct the labels at their source.",),
            )
        if inside := sum(copies["within"].values()):
            yield Finding(
                OK if copies["one_patient"] == copies["groups"] else LOOK,
                "duplicates",
                f"{text} inside one split, {_number(inside, 'group')}",
                "They count more than once, and a split by image instead of by patient would tear "
                f"them apart. In {copies['one_patient']} of {copies['groups']} groups all are of "
                "one patient.",
                ("Split by patient, as preparing does.",),
            )
    if not facts["duplicates"]["exact"]["groups"] + facts["duplicates"]["near"]["groups"]:
        yield Finding(OK, "duplicates", "no image is there twice")


def _patients(facts: Mapping) -> Iterator[Finding]:
    patients = facts["patients"]
    if across := patients["across"]:
        yield Finding(
            DANGER,
            "patients",
            f"{_number(len(across), 'patient')} in more than one split",
            "The network can recognise a person it was trained on. Preparing refuses this.",
            (
                "Move all images of a patient into one folder.",
                "If these are not the same people, say how names tell the patient: "
                "--patient_regex or --patient_column.",
            ),
        )
    if patients["known"] == 0:
        yield Finding(
            LOOK,
            "patients",
            "nothing tells which images are of one patient",
            "Without it a patient may come into two splits. Preparing then keeps near copies "
            "together, which other radiographs of the same patient are not.",
            ("Say how to tell: --patient_regex, or --patient_column of a table.",),
        )
    elif patients["known"] < 1:
        yield Finding(
            LOOK,
            "patients",
            f"{1 - patients['known']:.1%} of the images are of an unknown patient",
            "They may belong to patients of another split.",
            ("Widen --patient_regex, or fill the --patient_column.",),
        )
    elif not across and len(facts["splits"]) > 1:
        yield Finding(OK, "patients", "no patient is in two splits")
    if shared := patients["shared_numbers"]:
        yield Finding(
            OK,
            "patients",
            f"{_number(shared, 'number')} in more than one split, but of different series",
            "Series such as person1_virus and person1_bacteria count their patients by themselves. "
            "Read without the series, these would look like patients in two splits: a false alarm.",
        )


def _shortcuts(facts: Mapping) -> Iterator[Finding]:
    relations = facts["shortcuts"]["relations"]
    unremarkable = True
    for kind in KINDS:
        told = [r for r in relations if r["traces"] in kind.groups and _low(r) > NOTABLE]
        if not told:
            continue
        unremarkable = False
        worst = max(told, key=_low)
        hidden = kind.of_file and facts["prepared"]
        yield Finding(
            LOOK if hidden else _gravity(kind, told),
            "shortcuts",
            f"{kind.title} tells {worst['label']} with an AUC of {_best(worst)['value']:.2f}"
            + (f" ({worst['traces']})" if len(kind.groups) > 1 else ""),
            " ".join([_UNSEEN if hidden else kind.meaning, _transfer(worst), _also(worst, told)]),
            kind.advice,
        )
    if facts["shortcuts"]["too_few"]:
        labels = ", ".join(facts["shortcuts"]["too_few"])
        yield Finding(
            LOOK,
            "shortcuts",
            f"too few images to look for shortcuts to {labels}",
            "It takes at least 10 images of 5 patients with the label, and as many without it.",
        )
    if relations and unremarkable:
        yield Finding(
            OK, "shortcuts", "encoding, size, fine structure and brightness do not tell the labels"
        )


def _gravity(kind: Kind, told: Sequence[Mapping]) -> str:
    """How bad it is that these relations tell their labels."""
    strong = [r for r in told if _low(r) > STRONG]
    if kind.may_be_patient:
        strong = [r for r in strong if _low(r) > CERTAIN or _fails_in_test(r)]
    return DANGER if strong else LOOK


def _fails_in_test(relation: Mapping) -> bool:
    """Whether what was learnt in train is surely worth less in test."""
    return bool(relation["transfer"]) and relation["transfer"]["high"] < _low(relation)


_UNSEEN = (
    "The network does not see the file of a prepared image, and how large it is follows from what "
    "the picture shows; the encoding that is seen in the pixels is what counts."
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
    """What became of the relation in the test split."""
    if not relation["holds"]:
        return ""
    transfer = relation["transfer"]
    auc = f"{transfer['value']:.2f} ({transfer['low']:.2f} to {transfer['high']:.2f})"
    holds = relation["holds"]
    weaker = holds == "holds in test" and _fails_in_test(relation)
    consequence = _WEAKER if weaker else _HOLDS[holds]
    return f"Learnt in train, it has an AUC of {auc} in test: {consequence}"


def _also(worst: Mapping, told: Sequence[Mapping]) -> str:
    others = dict.fromkeys(r["label"] for r in told if r["label"] != worst["label"])
    return f"Also for {', '.join(others)}." if others else ""


def _low(relation: Mapping) -> float:
    return _best(relation)["low"]


def _best(relation: Mapping) -> Mapping:
    """The AUC of train, or else of test."""
    return relation["train"] or relation["test"]


def _balance(facts: Mapping) -> Iterator[Finding]:
    if len(facts["splits"]) < 2:
        return
    for split, counts in facts["splits"].items():
        for label, of in counts["per_label"].items():
            if counts["images"] and not (of["positive"] and of["negative"]):
                missing = "with" if not of["positive"] else "without"
                yield Finding(
                    LOOK,
                    "counts",
                    f"{split} has no image {missing} {label}",
                    "Nothing can be measured of that label there.",
                )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
