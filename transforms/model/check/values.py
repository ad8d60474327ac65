"""The row of a check where the output is a value: there are no classes whose probabilities tell images apart.

What is left is how near the values come to the labels, and to those of the user's own code.
"""

import numpy as np

from transforms.model.check.measures import mcnemar
from transforms.model.check.table import PixelRow
from transforms.model.preprocessing import Preprocessing

_NEAR = 0.05  # of the standard deviation of the values of the user's own arrays


def value_row(
    preprocessing: Preprocessing,
    values: np.ndarray,
    labels: np.ndarray,
    taken: np.ndarray,
) -> PixelRow:
    """How near the values of one preprocessing come to the labels, and how often nearer than those that are taken.

    Args:
        values: float ``[N, C]``.
        labels: float ``[N, C]``, NaN where there is none.
        taken: float ``[N, C]``, the values under the preprocessing that is taken.
    """
    own, others = (np.abs(each.astype(np.float64) - labels) for each in (values, taken))
    known = np.isfinite(labels).all(axis=1)
    own, others = (np.nan_to_num(each[known], nan=np.inf).mean(axis=1) for each in (own, others))
    wins, losses, p_value = mcnemar(others < own, own < others)
    finite = own[np.isfinite(own)]
    return PixelRow(
        name=preprocessing.name,
        scale=preprocessing.scale,
        offset=preprocessing.offset,
        bgr=preprocessing.bgr,
        accuracy=None,
        confidence=0.0,
        mutual_information=0.0,
        spread=0.0,
        same_class=1.0,
        wins=wins,
        losses=losses,
        p_value=p_value if len(own) else None,
        agreement=None,
        error=float(finite.mean()) if len(finite) else None,
    )


def value_agreement(values: np.ndarray, wanted: np.ndarray) -> float:
    """The share of images whose values are those of the user's own arrays, but for a twentieth of their deviation.

    Args:
        values, wanted: float ``[N, C]``.
    """
    near = np.abs(values - wanted) <= _NEAR * wanted.std(axis=0) + 1e-6 * np.abs(wanted)
    return float(near.all(axis=1).mean())
