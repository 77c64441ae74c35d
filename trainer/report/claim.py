"""The checklist CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 2024), for a run.

Items are named in short. What a run's files answer is met, and says in which section of its card;
what only the people behind a study know is unmet.
"""

from collections.abc import Mapping
from typing import NamedTuple

MET, UNMET, NOT_APPLICABLE = "met", "unmet", "not applicable"


class Item(NamedTuple):
    """An item of the checklist.

    Attributes:
      number: of the item.
      topic: what is to be reported.
      status: MET, UNMET or NOT_APPLICABLE.
      where: the section that reports it, or what is missing.
    """

    number: int
    topic: str
    status: str
    where: str


AUTHOR = "the authors of a study have to say"
# By number: the topic, and the section that always has it; "" where only the authors know.
TOPICS = {
    1: ("title names the AI method", "title"),
    2: ("structured summary", ""),
    3: ("background, intended use and role", ""),
    4: ("aims and hypotheses", ""),
    5: ("prospective or retrospective", ""),
    6: ("goal of the study", ""),
    7: ("sources of the data", "Data"),
    8: ("inclusion and exclusion criteria", ""),
    9: ("preprocessing", "Data"),
    10: ("selection of subsets of the data", "Data"),
    11: ("de-identification", ""),
    12: ("missing data", "Data"),
    13: ("image acquisition protocol", ""),
    14: ("definition of the reference standard", ""),
    15: ("rationale for the reference standard", ""),
    16: ("source of the annotations", ""),
    17: ("annotation of the test set", ""),
    18: ("variability between and within raters", ""),
    19: ("assignment of data to partitions", "Data"),
    20: ("level at which partitions are disjoint", "Data"),
    21: ("intended sample size", ""),
    22: ("the model in detail", "Network and training"),
    23: ("software and versions", "How to repeat it"),
    24: ("initialisation of the parameters", "Network and training"),
    25: ("training in detail", "Network and training"),
    26: ("selection of the final model", "Network and training"),
    27: ("ensembling", ""),
    28: ("metrics of performance", "Results"),
    29: ("significance and uncertainty", "Results"),
    30: ("robustness or sensitivity analysis", ""),
    31: ("explainability", ""),
    32: ("evaluation on internal data", "Results"),
    33: ("testing on external data", ""),
    34: ("registration of a clinical trial", ""),
    35: ("patients or examinations included and excluded", "Data"),
    36: ("demographics of each partition", ""),
    37: ("performance with its uncertainty", "Results"),
    38: ("diagnostic accuracy and its precision", "Results"),
    39: ("analysis of failures", ""),
    40: ("limitations", "Limits"),
    41: ("implications for practice", "Intended use"),
    42: ("protocol and further technical details", "How to repeat it"),
    43: ("availability of software, model and data", ""),
    44: ("funding", ""),
}


def checklist(answers: Mapping[int, tuple[str, str]]) -> list[Item]:
    """Returns every item.

    Args:
      answers: status and where, by number, of the items that depend on the run.
    """
    items = []
    for number, (topic, where) in TOPICS.items():
        answer = answers.get(number) or ((MET, where) if where else (UNMET, AUTHOR))
        items.append(Item(number, topic, *answer))
    return items
