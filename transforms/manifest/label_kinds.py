"""What the labels of a manifest look like, all of them together: evidence for what the output of a model means."""

import dataclasses
import math
from typing import Literal

from transforms.manifest.cells import Labels

LabelKind = Literal["none", "zero_one", "indices", "names", "several", "numbers", "lists_of_numbers"]
"""No labels; nothing but 0 and 1; whole numbers from 0 on; some names; several labels of one image, or flags; numbers
with a fraction or a sign; several such numbers for one image."""


@dataclasses.dataclass
class LabelTally:
    """Looks at one label after the other and keeps nothing of them but what they have been."""

    names: bool = False
    fractions: bool = False
    beyond_one: bool = False
    several: bool = False
    any: bool = False

    def see(self, label: str | None, labels: Labels | None) -> None:
        if label is None and labels is None:
            return
        self.any = True
        self.several = self.several or labels is not None
        for text in (label,) if labels is None else labels:
            number = _number(str(text))
            if number is None:
                self.names = True
            else:
                self.fractions = self.fractions or number < 0 or not number.is_integer()
                self.beyond_one = self.beyond_one or number > 1

    @property
    def kind(self) -> LabelKind:
        if not self.any:
            return "none"
        if self.several:
            return "lists_of_numbers" if self.fractions and not self.names else "several"
        if self.names:
            return "names"
        if self.fractions:
            return "numbers"
        return "indices" if self.beyond_one else "zero_one"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
