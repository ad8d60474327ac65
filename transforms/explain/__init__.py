"""Shards -> rows: the one step that touches pixels."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.explain.batches import BatchExplainer, ExplainedBatch, explain_batches
    from transforms.explain.corrections import (
        Knowledge,
        asks_for_others,
        columns_to_compare,
        corrected_rows,
        digest_of_ref,
        digests_of_rows,
    )
    from transforms.explain.failure_limit import FailureLimit, TooManyFailures, why_stopped, write_mistake
    from transforms.explain.finish import (
        GUARDED_CHANNELS,
        UNKNOWN_LABELS,
        batch_rows,
        draw_overlay,
        finish_batch,
        overlays_of,
    )
    from transforms.explain.known import pixel_boxes
    from transforms.explain.loading import (
        FailedImage,
        FetchedImage,
        ImageLoader,
        LoadedImage,
        fetch_images,
        load_images,
        patience,
        timed_out,
    )
    from transforms.explain.metrics import report_metrics
    from transforms.explain.reloading import Explained, reload_images
    from transforms.explain.rows import explained_rows, failed_rows
    from transforms.explain.settings import ExplainSettings
    from transforms.explain.shard import WAITING, WHOLE, ExplainImages, explain_shard
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
    "ExplainedBatch",
    "FailedImage",
    "FailureLimit",
    "FetchedImage",
    "ImageLoader",
    "Knowledge",
    "LoadedImage",
    "Tally",
    "TooManyFailures",
    "asks_for_others",
    "batch_rows",
    "columns_to_compare",
    "corrected_rows",
    "digest_of_ref",
    "digests_of_rows",
    "draw_overlay",
    "explain_batches",
    "explain_shard",
    "explained_rows",
    "failed_rows",
    "fetch_images",
    "finish_batch",
    "load_images",
    "overlays_of",
    "patience",
    "pixel_boxes",
    "reload_images",
    "report_metrics",
    "timed_out",
    "why_stopped",
    "write_mistake",
]
__getattr__ = lazy_face(__name__, __file__)
