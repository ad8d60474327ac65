"""What is known of an image beside its pixels -> labels, ground truth, further columns.

They do not depend on the model beyond the map and the prediction that a row has, so rows whose labels or boxes were
corrected in the manifest get them anew without it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from transforms.explain.settings import ExplainSettings
from transforms.model import ModelCard
from transforms.placement import Placement
from transforms.records import Box, ImageRef
from transforms.statistics import TrueMask, ground_truth_statistics
from transforms.targets import label_index_of

Columns = dict[str, Any]
"""Float arrays in which NaN stands for NULL, or lists in which None does; by column name."""


def box_columns(
    refs: Sequence[ImageRef],
    cams: np.ndarray,
    placements: Sequence[Placement],
    status: np.ndarray,
    settings: ExplainSettings,
    masks: Sequence[TrueMask | None] = (),
) -> Columns:
    """Ground-truth columns of rows with a map.

    Args:
        refs: the image of each of N rows.
        cams: float32 ``[N, h, w]``, signed maps, or such that differ by a positive factor.
        placements: N placements of the images in the model input.
        status: object ``[N]``.
        masks: of the N images, where there are any: the boxes of an image with a mask are passed over.
    """
    boxes = [pixel_boxes(ref.boxes, placement.width, placement.height, settings)
             for ref, placement in zip(refs, placements, strict=True)]  # fmt: skip
    for place, mask in enumerate(masks):
        if mask is not None:
            boxes[place] = None
    truth = [masks[place] if masks and masks[place] is not None else own for place, own in enumerate(boxes)]
    return ground_truth_statistics(cams, truth, placements, status) | {
        "gt_boxes": [None if of_image is None else [x for box in of_image for x in box] for of_image in boxes]
    }


def class_label_columns(refs: Sequence[ImageRef], predicted: np.ndarray, card: ModelCard) -> Columns:
    """The true class of each row's image, and whether it is the predicted one.

    Args:
        predicted: float64 ``[N]``, the predicted class; NaN where there is none.
    """
    labels = [label_index_of(ref, card.classes) for ref in refs]
    correct = [
        None if label is None or np.isnan(index) else bool(label == index)
        for label, index in zip(labels, predicted, strict=True)
    ]
    return {"label_index": labels, "is_correct": correct}


def extra_columns_of(refs: Sequence[ImageRef], settings: ExplainSettings) -> Columns:
    """The manifest's further columns."""
    return {name: [ref.extra[position] for ref in refs] for position, name in enumerate(settings.extra_columns)}


def pixel_boxes(
    boxes: tuple[Box, ...] | None, width: int, height: int, settings: ExplainSettings
) -> tuple[Box, ...] | None:
    """Boxes in pixels of an image of ``width`` x ``height``."""
    if boxes is None or not settings.normalized_boxes:
        return boxes
    return tuple((x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in boxes)
