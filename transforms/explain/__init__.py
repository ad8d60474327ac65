"""Shards -> rows: the one step that touches pixels."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.explain.failure_limit import TooManyFailures, too_many_failures
    from transforms.explain.finish import GUARDED_CHANNELS, UNKNOWN_LABELS
    from transforms.explain.loading import FailedImage, LoadedImage, load_image
    from transforms.explain.rows import explained_rows
    from transforms.explain.settings import ExplainSettings
    from transforms.explain.shard import WAITING, WHOLE, ExplainImages
    from transforms.explain.tally import Tally

__all__ = [
    "GUARDED_CHANNELS",
    "UNKNOWN_LABELS",
    "WAITING",
    "WHOLE",
    "ExplainImages",
    "ExplainSettings",
    "FailedImage",
    "LoadedImage",
    "Tally",
    "TooManyFailures",
    "explained_rows",
    "load_image",
    "too_many_failures",
]
__getattr__ = lazy_face(__name__, __file__)
