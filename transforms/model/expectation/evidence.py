"""Why a preprocessing was taken. No TensorFlow here."""

import dataclasses
from typing import Literal

EvidenceKind = Literal["said", "contract", "chain", "open"]
"""The user said it; a known contract (keras.applications, TF Hub, integer pixels); the constants in front of the
network; nothing says it."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was seen in a model, and what it is worth."""

    kind: EvidenceKind
    seen: str  # for a person

    @property
    def is_open(self) -> bool:
        """Nothing says what the model expects: it is a guess."""
        return self.kind == "open"
