"""Which map to trust: every method on the last layers of a model, held to what the model does and to baselines."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.trust.advice import Recommendation, recommend
    from transforms.model.trust.measure import TrustImages, measure_methods
    from transforms.model.trust.rows import MEASURES, MethodTable, TrustRow

__all__ = [
    "MEASURES",
    "MethodTable",
    "Recommendation",
    "TrustImages",
    "TrustRow",
    "measure_methods",
    "recommend",
]
__getattr__ = lazy_face(__name__, __file__)
