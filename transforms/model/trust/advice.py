"""Which method on which layer, and why; or that none is better than a baseline. No TensorFlow here."""

import dataclasses

import numpy as np

from transforms.model.trust.rows import MethodTable, TrustRow, interval

_SAME_AS_SCRAMBLED = 0.5  # correlation: a map that stays when the weights go is none of the model's
_SAME_FOR_CLASSES = 0.9
_FEWEST = 10  # images
_EQUAL = 1e-3  # a smaller difference is rounding


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """``row`` is the number of a row of the table; None where none can be recommended."""

    row: int | None
    reasons: tuple[str, ...]


def recommend(table: MethodTable) -> Recommendation:
    """Of the rows that beat both baselines and depend on weights and class, the one of the best mean rank.

    To beat a baseline is: insertion less deletion is larger on the same images, the 95 % interval of the difference
    above zero, and ROAD leaves no more than the baseline does, on average. What points into the boxes less often than
    the image's centre is left out too. Ranks are those of insertion less deletion, ROAD, pointing where there are
    boxes, and stability under a flip and a shift.
    """
    if table.images < _FEWEST:
        return Recommendation(None, (f"{table.images} images are too few to tell: take {_FEWEST} or more",))
    refusals = {i: _refusal(row, table) for i, row in enumerate(table.rows) if not row.is_baseline}
    able = [i for i, refusal in refusals.items() if refusal is None]
    if not able:
        best = max(refusals, key=lambda i: float(np.nanmean(table.rows[i].advantage)))
        return Recommendation(
            None, (f"none beats the baselines; the nearest, {table.rows[best].name}: {refusals[best]}",)
        )
    ranks = _ranks([table.rows[i] for i in able])
    chosen = able[int(np.argmin(ranks))]
    row = table.rows[chosen]
    reasons = [_against(row, baseline) for baseline in table.baselines]
    reasons.append(
        f"its maps depend on the weights (correlation with those of scrambled weights {row.mean('scrambled'):.2f}) and "
        f"on the class (with those of a class in the middle of the ranking {row.mean('classes'):.2f})"
    )
    if table.with_boxes:
        reasons.append(f"it points into the boxes {row.mean('pointing'):+.1%} more often than the centre does")
    return Recommendation(chosen, tuple(reasons))


def _refusal(row: TrustRow, table: MethodTable) -> str | None:
    """Why a row is not to be trusted; None where it is."""
    if row.method == "attention_rollout":
        return "the same map for every class"
    for baseline in table.baselines:
        low, _ = interval(row.advantage - baseline.advantage)
        if not low > 0 or row.mean("road") > baseline.mean("road"):
            return _against(row, baseline)
    if interval(row.values["pointing"])[1] < 0:
        return f"it points into the boxes less often than the centre does ({row.mean('pointing'):+.1%})"
    if row.mean("scrambled") > _SAME_AS_SCRAMBLED:
        return f"its maps hardly change when the weights are scrambled (correlation {row.mean('scrambled'):.2f})"
    if row.mean("classes") > _SAME_FOR_CLASSES:
        return f"its maps hardly depend on the class (correlation {row.mean('classes'):.2f})"
    return None


def _against(row: TrustRow, baseline: TrustRow) -> str:
    difference = row.advantage - baseline.advantage
    low, high = interval(difference)
    return (
        f"insertion less deletion is {np.nanmean(difference):+.3f} [{low:+.3f}, {high:+.3f}] against the "
        f"{baseline.method} map, ROAD {row.mean('road') - baseline.mean('road'):+.3f}"
    )


def _ranks(rows: list[TrustRow]) -> np.ndarray:
    """Mean rank of each, 0 the best."""
    columns = [
        [-float(np.nanmean(row.advantage)) for row in rows],
        [row.mean("road") for row in rows],
        *([-row.mean(name) for row in rows] for name in ("pointing", "flip", "shift")),
    ]
    known = [np.array(column) for column in columns if not np.isnan(column).any()]
    # Equal rows share a rank, and the first of them is taken: the plainest method.
    return np.mean([(column[None, :] < column[:, None] - _EQUAL).sum(axis=1) for column in known], axis=0)
