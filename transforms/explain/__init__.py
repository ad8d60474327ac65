"""Shards -> rows: the one step that touches pixels."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.explain.batches import BatchExplainer, explain_batches
    from transforms.explain.corrections import (
        Knowledge,
        asks_for_others,
        columns_to_compare,
        corrected_rows,
        digest_of_ref,
        digests_of_rows,
    )
    from transforms.explain.failure_limit import TooManyFailures, why_stopped, write_mistake
    from transforms.explain.finish import GUARDED_CHANNELS, UNKNOWN_LABELS, finish_batch
    from transforms.explain.loading import FailedImage, FetchedImage, ImageLoader, LoadedImage, load_images
    from transforms.explain.metrics import report_metrics
    from transforms.explain.reloading import Explained, reload_images
    from transforms.explain.rows import explained_rows
    from transforms.explain.settings import ExplainSettings
    from transforms.explain.shard import WAITING, WHOLE, ExplainImages
    from transforms.explain.tally import Tally

__all__ = [
    "GUARDED_CHANNELS",
    "UNKNOWN_LABELS",
    "WAITING",
    "WHOLE",
    "BatchExplainer",
    "ExplainImages",
    "ExplainSettings",
    "Explained",
    "FailedImage",
    "FetchedImage",
    "ImageLoader",
    "Knowledge",
    "LoadedImage",
    "Tally",
    "TooManyFailures",
    "asks_for_others",
    "columns_to_compare",
    "corrected_rows",
    "digest_of_ref",
    "digests_of_rows",
    "explain_batches",
    "explained_rows",
    "finish_batch",
    "load_images",
    "reload_images",
    "report_metrics",
    "why_stopped",
    "write_mistake",
]
__getattr__ = lazy_face(__name__, __file__)
