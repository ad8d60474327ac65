"""Which tokens a heatmap is drawn on: the last that the scores still read. Imports TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from transforms.model.plan.tokens.layout import TokenTensor

_LITTLE_BEHIND = 0.1  # of the network's multiply-adds


class Candidate(Protocol):
    """A feature map of the network, on a grid or of tokens."""

    @property
    def name(self) -> str: ...
    @property
    def tensor(self) -> str: ...
    @property
    def share_behind(self) -> float: ...
    @property
    def tokens(self) -> TokenTensor | None: ...


C = TypeVar("C", bound=Candidate)


class Probe(Protocol[C]):
    """What gradients on made-up images tell."""

    def reached(self, maps: Sequence[C]) -> Mapping[str, bool]:
        """Whether the gradient of the scores reaches the cells of each, by tensor."""
        ...

    def carrier(self, start: C, end: C) -> C | None:
        """The last tokens between two cuts that carry all that the scores read of the first one's cells."""
        ...


def last_tokens(candidates: Sequence[C], probe: Probe[C]) -> tuple[C, str] | None:
    """The last cut of tokens whose patches the scores depend on, and why it is that one.

    Where that is not the last of all, since the scores read the class token alone: what the last attention reads, the
    norm in front of it. There every path of the patches' comes together, and before it a map by gradient times
    activation would be nothing: what a norm makes of tokens does not change with their length, so that their gradient
    is at a right angle to them.

    None where the last grid is as good: no tokens come behind it, or next to none of the network's work does, as where
    attention pools a convolution's features.

    Args:
        candidates: the cuts, from the image to the scores.
    """
    grids = [i for i, candidate in enumerate(candidates) if candidate.tokens is None]
    if grids and candidates[grids[-1]].share_behind <= _LITTLE_BEHIND:
        return None
    tokens = candidates[grids[-1] + 1 :] if grids else candidates
    if not tokens:
        return None
    is_reached = probe.reached(tokens)
    number = max((i for i, candidate in enumerate(tokens) if is_reached[candidate.tensor]), default=None)
    if number is None:
        return None
    if number == len(tokens) - 1:
        return tokens[number], "the last tokens that every path to the scores goes through"
    chosen = probe.carrier(tokens[number], tokens[number + 1]) or tokens[number]
    return chosen, (
        f"the last tokens whose patches the scores depend on: of {tokens[-1].name} they read only tokens that lie "
        "nowhere in the image, such as the class token"
    )
