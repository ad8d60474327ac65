"""Shards -> rows: the one step that touches pixels."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.explain.failure_limit import TooManyFailures, why_stopped
    from transforms.explain.finish import UNKNOWN_LABELS
    from transforms.explain.loading import FailedImage, ImageLoader, LoadedImage
    from transforms.explain.rows import explained_rows
    from transforms.explain.settings import ExplainSettings
    from transforms.explain.shard import WAITING, WHOLE, ExplainImages

__all__ = [
    "UNKNOWN_LABELS",
    "WAITING",
    "WHOLE",
    "ExplainImages",
    "ExplainSettings",
    "FailedImage",
    "ImageLoader",
    "LoadedImage",
    "TooManyFailures",
    "explained_rows",
    "why_stopped",
]
__getattr__ = lazy_face(__name__, __file__)
