"""A finding: one sentence, how strong it is, and the rows that it is about."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

MOST_FINDINGS = 10

Kind = Literal["health", "class", "cluster", "correlate", "slice", "neighbours"]


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of the table: SQL of our own over its columns, whose values are parameters."""

    where: str
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    order: str = "image_id"  # SQL; what shows the finding best comes first


@dataclasses.dataclass(frozen=True)
class Finding:
    """One sentence with its numbers; the rest is for who asks further."""

    kind: Kind
    text: str
    numbers: Mapping[str, float | int | str | list[str]]
    images: int = 0  # that it is about
    strength: float = 0.0  # 0..1, see each kind
    test: str = ""  # how it was found, and against what chance
    caveat: str = ""  # what else it may be
    rows: Rows | None = None  # None: there is nothing to look at


def rank(findings: Iterable[Finding], most: int = MOST_FINDINGS) -> list[Finding]:
    """The ``most`` gravest: by how many images times how strong."""
    return sorted(findings, key=lambda found: -found.images * found.strength)[:most]
