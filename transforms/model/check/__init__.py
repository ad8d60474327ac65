"""Do a model's pixels suit it? Its scores of a few images say so, labels, and the user's own code."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.check.images import CheckedImages
    from transforms.model.check.measure import measure_pixels
    from transforms.model.check.reference import reference_arrays
    from transforms.model.check.table import PixelCheck, PixelRow
    from transforms.model.check.verdict import Verdict, judge

__all__ = [
    "CheckedImages",
    "PixelCheck",
    "PixelRow",
    "Verdict",
    "judge",
    "measure_pixels",
    "reference_arrays",
]
__getattr__ = lazy_face(__name__, __file__)
