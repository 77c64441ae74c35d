"""A field of the config: its default, its meaning, and the values that it may hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INFINITY = float("inf")


@dataclass(frozen=True)
class Field:
    """One field: its default, what it means, and which values it may hold.

    Attributes:
      default: its type is the field's type.
      meaning: in a few words.
      choices: the only values that are allowed; () for no such limit.
      low, high: the bounds of a number; both are allowed themselves.
      above, below: bounds that are not allowed themselves.
      form: what a text must look like, in words; an empty one need not where the default is.
      has_form: whether a text does.
      known: texts that have the form, for whoever looks for one or mistypes it.
    """

    default: Any
    meaning: str
    choices: tuple = ()
    low: float = -INFINITY
    high: float = INFINITY
    above: float = -INFINITY
    below: float = INFINITY
    form: str = "a text"
    has_form: Callable[[str], bool] = bool
    known: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The values that are allowed, in words."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return self.form
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        if self.above > -INFINITY:
            return f"{kind} above {self.above:g}"
        if self.below < INFINITY:
            return f"{kind} from {self.low} to below {self.below}"
        if self.high < INFINITY:
            return f"{kind} from {self.low} to {self.high}"
        return f"{kind} of at least {self.low}"

    def accepts(self, value: Any) -> bool:
        """Returns whether the field may hold `value`."""
        kinds = (int, float) if isinstance(self.default, float) else type(self.default)
        if not isinstance(value, kinds):
            return False
        if isinstance(value, bool) != isinstance(self.default, bool):  # a bool is an int too
            return False
        if self.choices:
            return value in self.choices
        if isinstance(value, str):
            return value == self.default or self.has_form(value)
        return self.low <= value <= self.high and self.above < value < self.below
