"""Shards -> rows: the one step that touches pixels."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.explain.failure_limit import TooManyFailures, too_many_failures
    from transforms.explain.finish import UNKNOWN_LABELS
    from transforms.explain.loading import FailedImage, LoadedImage
    from transforms.explain.reloading import Explained, reload_images
    from transforms.explain.rows import explained_rows
    from transforms.explain.settings import ExplainSettings
    from transforms.explain.shard import WAITING, WHOLE, ExplainImages
    from transforms.explain.tally import Tally

__all__ = [
    "UNKNOWN_LABELS",
    "WAITING",
    "WHOLE",
    "ExplainImages",
    "ExplainSettings",
    "Explained",
    "FailedImage",
    "LoadedImage",
    "Tally",
    "TooManyFailures",
    "explained_rows",
    "reload_images",
    "too_many_failures",
]
__getattr__ = lazy_face(__name__, __file__)
