"""Verdicts on shortcuts: what predicts a label without being a disease."""

from collections.abc import Iterator, Mapping, Sequence

from trainer.data.audit.explanations import EXPLANATIONS, Explanation, of_column
from trainer.data.audit.shortcuts import COLUMN, TOGETHER
from trainer.data.audit.verdict import DANGER, LOOK, OK, Verdict

# Bounds for the lower end of a shortcut's interval: at 0.55 it is hardly any use to a network, and
# from 0.7 on it predicts about as well as what can be seen in many radiographs. Features that may
# be the patient's are a danger only from 0.9 on, or where they are weaker in test: a disease looks
# the same in both splits.
NOTABLE, STRONG, CERTAIN = 0.55, 0.7, 0.9


def shortcuts(facts: Mapping) -> Iterator[Verdict]:
    """Yields what predicts a label, each explanation once, in the order of EXPLANATIONS."""
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
