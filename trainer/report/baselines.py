"""Baselines without a network: chance, and a shortcut that the audit found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config.references import Reference, without_interval
from trainer.data.audit.explanations import KINDS


def commoner_class(test: Mapping[str, Any]) -> Reference:
    """Returns what always predicting the commoner class gives.

    Args:
      test: evaluation of one label.
    """
    (label,) = test["labels"].values()
    negative, positive = label["negative"], label["positive"]
    share = max(negative, positive) / max(1, negative + positive)
    predicts_positive = float(positive > negative)
    values = {
        "accuracy": without_interval(share),
        "sensitivity": without_interval(predicts_positive),
        "specificity": without_interval(1 - predicts_positive),
        "auc": without_interval(0.5),
    }
    name = test["classes"][positive > negative]
    return Reference(f"Always “{name}”", "the commoner class of the test images", values)


def shortcut(audit: Mapping[str, Any], labels: Sequence[str]) -> Reference | None:
    """Returns how well a label is predicted from the strongest trace that is not of the patient.

    Only traces that a network can see count. Their AUC is that on the test images after training
    on the others, where it is known.

    Args:
      audit: see `trainer.data.audit.audit`.
      labels: of the run.
    """
    found = [
        (relation, kind, relation["transfer"] or relation["train"] or relation["test"])
        for relation, kind in _relations(audit)
        if relation["label"] in labels and not (kind.of_file and audit["prepared"])
    ]
    if not found:
        return None
    relation, kind, auc = max(found, key=lambda candidate: candidate[2]["value"])
    about = relation["traces"]
    if len(labels) > 1:
        about += f", for {relation['label']}"
    if relation["transfer"]:
        about += "; trained on train, measured on test"
    if kind.may_be_patient:
        about += "; it may also be the disease"
    return Reference("Shortcut, no network", about, {"auc": auc})


def _relations(audit: Mapping[str, Any]) -> Iterator[tuple[Mapping, Any]]:
    kind_of = {group: kind for kind in KINDS for group in kind.groups}
    for relation in audit["shortcuts"]["relations"]:
        if relation["traces"] in kind_of:
            yield relation, kind_of[relation["traces"]]
