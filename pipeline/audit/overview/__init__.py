"""The first screen of the report: what was run, how sure we are of the pixels, how good the model is."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.overview.accuracy import Accuracy, measure_accuracy, share_interval
    from pipeline.audit.overview.class_rows import ClassRow, ClassRows, best_and_worst
    from pipeline.audit.overview.pixels import PixelTrust, trust_in_pixels

__all__ = [
    "Accuracy",
    "ClassRow",
    "ClassRows",
    "PixelTrust",
    "best_and_worst",
    "measure_accuracy",
    "share_interval",
    "trust_in_pixels",
]
__getattr__ = lazy_face(__name__, __file__)
