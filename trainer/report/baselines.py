"""Baselines without a network: the commonest class, and the strongest shortcut of an audit."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config.references import Reference, without_interval
from trainer.data.audit.explanations import EXPLANATIONS, Explanation


def commonest_class(test: Mapping[str, Any]) -> Reference:
    """Returns the figures of a classifier that always predicts the commonest class.

    Args:
      test: evaluation of one label, or of classes that exclude one another.
    """
    counts = {name: label["positive"] for name, label in test["labels"].items()}
    values = {"auc": without_interval(0.5)}
    if not test.get("exclusive"):
        (label,) = test["labels"].values()
        counts = dict(zip(test["classes"], (label["negative"], label["positive"]), strict=True))
        sensitivity = float(label["positive"] > label["negative"])
        values["sensitivity"] = without_interval(sensitivity)
        values["specificity"] = without_interval(1 - sensitivity)
    name = max(counts, key=lambda each: counts[each])
    values["accuracy"] = without_interval(counts[name] / max(1, sum(counts.values())))
    return Reference(f"Always “{name}”", "the commonest class of the test images", values)


def shortcut(audit: Mapping[str, Any], labels: Sequence[str]) -> Reference | None:
    """Returns how well the strongest file feature predicts a label; None where there is none.

    Only features that a network can see count, by their AUC on the test images after they were
    learnt in training, if that is known.

    Args:
      audit: see `trainer.data.audit.audit`.
      labels: of the run.
    """
    candidates = [
        (relation, explanation, relation["transfer"] or relation["train"] or relation["test"])
        for relation, explanation in _explained(audit["shortcuts"]["relations"])
        if relation["label"] in labels
        and not (explanation.removed_by_prepare and audit["prepared"])
    ]
    if not candidates:
        return None
    relation, explanation, auc = max(candidates, key=lambda candidate: candidate[2]["value"])
    about = relation["traces"]
    if len(labels) > 1:
        about += f", for {relation['label']}"
    if relation["transfer"]:
        about += "; trained on train, measured on test"
    if explanation.may_be_patient:
        about += "; it may also be the disease"
    return Reference("Shortcut without a network", about, {"auc": auc})


def _explained(relations: Sequence[Mapping]) -> Iterator[tuple[Mapping, Explanation]]:
    by_group = {group: found for found in EXPLANATIONS for group in found.groups}
    for relation in relations:
        if relation["traces"] in by_group:
            yield relation, by_group[relation["traces"]]
