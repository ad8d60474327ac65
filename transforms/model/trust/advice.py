"""Which method on which layer, and why; or that none is better than a baseline. No TensorFlow here."""

import dataclasses

import numpy as np

from transforms.model.cam import METHODS
from transforms.model.options import ATTENTION_METHODS
from transforms.model.trust.rows import FEWEST, MethodTable, TrustRow, interval

_SAME_AS_SCRAMBLED = 0.5  # correlation: a map that stays when the weights go is none of the model's
_SAME_FOR_CLASSES = 0.9
_EQUAL = 1e-3  # a smaller difference is rounding


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """``row`` is the number of a row of the table; None where none can be recommended."""

    row: int | None
    reasons: tuple[str, ...]


def recommend(table: MethodTable) -> Recommendation:
    """Of the rows that beat both baselines and depend on weights and class, the plainest that is as good as the best.

    To beat a baseline is: insertion less deletion is larger on the same images, the 95 % interval of the difference
    above zero, and ROAD leaves no more than the baseline does, on average. What points into the boxes less often than
    the image's centre is left out too. Ranks are those of insertion less deletion, ROAD, pointing where there are
    boxes, and stability under a flip and a shift; the best has the best mean rank. As good is a row that on the same
    images is not worse than it in insertion less deletion, ROAD or pointing, the 95 % interval of the difference
    reaching zero. The plainest is a single layer before a fusion, the target layer before others, and ``gradcam``
    before the other methods, in the order in which they are listed: what a reader knows, and what costs least.
    """
    if table.images < FEWEST:
        return Recommendation(None, (f"{table.images} images are too few to tell: take {FEWEST} or more",))
    refusals = {i: _refusal(row, table) for i, row in enumerate(table.rows) if not row.is_baseline}
    able = [i for i, refusal in refusals.items() if refusal is None]
    if not able:
        best = max(refusals, key=lambda i: float(np.nanmean(table.rows[i].advantage)))
        return Recommendation(
            None, (f"none beats the baselines; the nearest, {table.rows[best].name}: {refusals[best]}",)
        )
    ranks = _ranks([table.rows[i] for i in able])
    best = able[int(np.argmin(ranks))]
    chosen = min(
        (i for i in able if i == best or _is_as_good(table.rows[i], table.rows[best])),
        key=lambda i: _plainness(table.rows[i], table),
    )
    row = table.rows[chosen]
    plainer = [f"it is as good as {_called(table.rows[best])}, which ranks best: {_against(row, table.rows[best])}"]
    reasons = [*(plainer if chosen != best else ()), *(_against(row, baseline) for baseline in table.baselines)]
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


def _is_as_good(row: TrustRow, best: TrustRow) -> bool:
    """Whether nothing that is measured says that it is worse."""
    less = (row.advantage - best.advantage, best.values["road"] - row.values["road"])
    pointing = row.values["pointing"] - best.values["pointing"]
    return all(not interval(difference)[1] < 0 for difference in (*less, pointing))  # NaN without boxes


def _plainness(row: TrustRow, table: MethodTable) -> tuple:
    names = [*METHODS, *ATTENTION_METHODS]
    is_target = not table.layers or row.layer == table.layers[-1]
    return bool(row.fusion), not is_target, names.index(row.method)


def _called(row: TrustRow) -> str:
    return f"{row.name}, {row.fusion}" if row.fusion else row.name


def _against(row: TrustRow, other: TrustRow) -> str:
    low, high = interval(row.advantage - other.advantage)
    called = f"the {other.method} map" if other.is_baseline else _called(other)
    return (
        f"insertion less deletion is {np.nanmean(row.advantage - other.advantage):+.3f} [{low:+.3f}, {high:+.3f}] "
        f"against {called}, ROAD {row.mean('road') - other.mean('road'):+.3f}"
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
