"""What chance, and a shortcut without a network, reach on the same images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config.references import Reference, without_interval
from trainer.data.audit.explanations import KINDS


def commoner_class(test: Mapping[str, Any]) -> Reference:
    """Returns what always answering the commoner class gives.

    Args:
      test: evaluation of one label.
    """
    (label,) = test["labels"].values()
    negative, positive = label["negative"], label["positive"]
    share = max(negative, positive) / max(1, negative + positive)
    calls_positive = float(positive > negative)
    values = {
        "accuracy": without_interval(share),
        "sensitivity": without_interval(calls_positive),
        "specificity": without_interval(1 - calls_positive),
        "auc": without_interval(0.5),
    }
    name = test["classes"][positive > negative]
    return Reference(f"Always “{name}”", "the commoner class of the test images", values)


def shortcut(audit: Mapping[str, Any], labels: Sequence[str]) -> Reference | None:
    """Returns how well the strongest trace of something else than the patient tells a label.

    Only traces that a network can see count, and how well they tell the test images after they
    were learnt in training, if that is known.

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
    relation, kind, auc = max(found, key=lambda of: of[2]["value"])
    about = relation["traces"]
    if len(labels) > 1:
        about += f", of {relation['label']}"
    if relation["transfer"]:
        about += "; learnt in train, judged in test"
    if kind.may_be_patient:
        about += "; it may also be the disease"
    return Reference("Shortcut, no network", about, {"auc": auc})


def _relations(audit: Mapping[str, Any]) -> Iterator[tuple[Mapping, Any]]:
    kind_of = {group: kind for kind in KINDS for group in kind.groups}
    for relation in audit["shortcuts"]["relations"]:
        if relation["traces"] in kind_of:
            yield relation, kind_of[relation["traces"]]
