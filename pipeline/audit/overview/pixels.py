"""How sure we are that the model got the pixels that it was made for."""

import dataclasses
import json
from typing import Any, Literal

from transforms.model.check import PixelCheck, judge

_BASES = {
    "said": "the config says so",
    "contract": "the model's own contract says so",
    "chain": "the constants in front of the network say so",
    "open": "nothing says so: it is a guess",
}
_CERTAIN = 0.01  # of the exact McNemar test
_FEWEST = 16  # labels


@dataclasses.dataclass(frozen=True)
class PixelTrust:
    """A verdict in one word, and why."""

    verdict: Literal["sure", "likely", "in doubt", "not checked"]
    why: str
    check: PixelCheck | None = None  # where it can be read


def trust_in_pixels(check: dict[str, Any] | None, min_agreement: float) -> PixelTrust:
    """What the check of a run came to.

    ``sure``: there is evidence, and labels, predictions or arrays of the user's own agree with it. ``likely``: one of
    the two. ``in doubt``: the check speaks against the pixels, or nothing speaks for them.

    Args:
        check: as the summary has it.
    """
    if check is None:
        return PixelTrust("not checked", "the run was made with model.check: 0, or has not ended")
    try:
        found = PixelCheck.decode(json.dumps(check).encode())
        verdict = judge(found, min_agreement)
        basis = _BASES[found.evidence]
    except (TypeError, ValueError, KeyError, AttributeError, IndexError):
        return PixelTrust("not checked", "the check is of another version")
    taken = f"{found.taken.name}, {basis}"
    if verdict.refusal is not None:
        return PixelTrust("in doubt", f"{taken}; {verdict.refusal.partition('but ')[2].partition('. Say')[0]}", found)
    confirmed = _confirmed(found)
    has_evidence = found.evidence != "open"
    if has_evidence and confirmed:
        return PixelTrust("sure", f"{taken}; {confirmed}", found)
    if has_evidence or confirmed:
        unopposed = f"nothing speaks against it on {found.images} images"
        return PixelTrust("likely", f"{taken}; {confirmed or unopposed}", found)
    return PixelTrust("in doubt", taken, found)


def _confirmed(check: PixelCheck) -> str | None:
    """What of the user's own agrees with the pixels, if anything does."""
    taken = check.taken
    if check.referenced and taken.reference_agreement is not None:
        return f"{taken.reference_agreement:.0%} of the predictions are those of model.reference"
    if check.expected and taken.agreement is not None:
        return f"{taken.agreement:.0%} of the predictions are those expected"
    worse = [
        row for row in check.rows[1:] if row.p_value is not None and row.p_value < _CERTAIN and row.losses > row.wins
    ]
    if check.labelled < _FEWEST or taken.accuracy is None or not worse:
        return None
    return (
        f"{taken.accuracy:.0%} of {check.labelled} labelled images are right, significantly more than with "
        f"{len(worse)} of {len(check.rows) - 1} other ways to read the pixels; no way does better"
    )
