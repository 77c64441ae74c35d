"""A verdict of an audit: a finding, and how bad it is."""

from dataclasses import dataclass

OK, LOOK, DANGER = "ok", "look", "danger"
SEVERITIES = (DANGER, LOOK, OK)


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
