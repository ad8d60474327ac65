"""Does the map show what the score depends on? Deletion and insertion on a sample of images, by asking the model again.

Petsiuk et al. 2018 (RISE): take away the pixels that the map ranks highest and watch the probability fall; put them
first into a blurred image and watch it rise. A faithful map has a small area under the deletion curve and a large one
under the insertion curve, compared with the same map whose cells have changed places.
"""

import io
from collections.abc import Sequence

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.analysis import Means, group_means
from pipeline.audit.inputs import AuditTable, sampled_images
from pipeline.runs import Run
from transforms.model import GradCamModel
from transforms.records import Box
from transforms.statistics import upsample
from transforms.storage import Storage, not_state, read_state

STEPS = 10
CURVES = ("deletion", "insertion", "deletion_shuffled", "insertion_shuffled")
_BLUR = 8  # the standard deviation of the blur is the longer side divided by this: colours stay, shapes do not
_SEED = 0
_HIGHEST = "coalesce(target_probability, predicted_value)"  # a value has no probability


def write_faithfulness(table: AuditTable, run: Run, count: int, model: GradCamModel, storage: Storage) -> str:
    """Measure up to ``count`` images, each for its most probable explained class, and write a row for each."""
    images = sampled_images(table, run, count, storage)
    best = table.records(
        f"SELECT image_id, arg_max(target_index, {_HIGHEST}) AS target, "
        f"arg_max(cam, {_HIGHEST}) AS cam, "
        f"any_value(cam_height) AS height, any_value(cam_width) AS width FROM {table.name} "
        "WHERE status IN ('OK', 'FLAT') AND image_id IN (SELECT unnest($ids)) GROUP BY image_id",
        {"ids": [image.ref.image_id for image in images]},
    )
    by_id = {row["image_id"]: row for row in best}
    rng = np.random.default_rng(_SEED)
    rows = []
    for image in images:
        row = by_id[image.ref.image_id]
        cam = np.array(row["cam"], np.float32).reshape(row["height"], row["width"])
        shuffled = rng.permutation(cam.ravel()).reshape(cam.shape)
        areas = [
            areas_under_curves(image.model_input, each, row["target"], model, image.inputs) for each in (cam, shuffled)
        ]
        values = dict(zip(CURVES, np.concatenate(areas).tolist(), strict=True))
        rows.append({"image_id": image.ref.image_id, "target_index": row["target"]} | values)
    schema = pa.schema(
        [("image_id", pa.string()), ("target_index", pa.int32()), *((name, pa.float32()) for name in CURVES)]
    )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, compression="zstd")
    storage.put(run.files.faithfulness, buffer.getvalue())
    return run.files.faithfulness


def areas_under_curves(
    pixels: np.ndarray, cam: np.ndarray, target: int, model: GradCamModel, inputs: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Deletion and insertion of one map: mean probability of the class over 0, 10, ... 100 % of the pixels.

    Of those that the model sees: the others are left as they are.

    Args:
        pixels: the model input, uint8 ``[H, W, 3]``.
        cam: the map, ``[h, w]``.
        inputs: the image's row of each other input of the model.

    Returns:
        float64 ``[2]``, 0..1.
    """
    height, width = pixels.shape[:2]
    rows, columns, heatmap = _over_the_input(cam, model.card.seen, height, width)
    rank = np.empty(heatmap.size, np.int64)
    rank[np.argsort(-heatmap, axis=None, kind="stable")] = np.arange(heatmap.size)
    blurred = cv2.GaussianBlur(pixels, (0, 0), max(height, width) / _BLUR)
    limits = np.arange(STEPS + 1) * heatmap.size / STEPS
    top = np.zeros((STEPS + 1, height, width, 1), bool)
    top[:, rows, columns, 0] = rank.reshape(1, *heatmap.shape) < limits[:, None, None]
    changed = np.concatenate([np.where(top, blurred, pixels), np.where(top, pixels, blurred)])
    extra = [np.repeat(row[None], len(changed), axis=0) for row in inputs]
    explanation = model.explain(changed, np.full((len(changed), 1), target, np.int32), *([extra] if extra else []))
    curves = explanation.probabilities[:, target].astype(np.float64).reshape(2, STEPS + 1)
    return (curves[:, 1:] + curves[:, :-1]).mean(axis=1) / 2


def _over_the_input(cam: np.ndarray, seen: Box, height: int, width: int) -> tuple[slice, slice, np.ndarray]:
    """The rows and columns of a model input that a map covers, and the map upsampled over them."""
    left, right = (round(edge * width) for edge in seen[::2])
    top, bottom = (round(edge * height) for edge in seen[1::2])
    heatmap = upsample(cam, max(1, bottom - top), max(1, right - left))
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    return rows, columns, heatmap[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def read_faithfulness(run: Run, storage: Storage) -> Means | None:
    """Means of the curves, then of the advantage over the shuffled map (less deletion, more insertion): ``[1, 6]``."""
    if not storage.exists(run.files.faithfulness):
        return None
    uri = run.files.faithfulness
    content = read_state(uri, storage)
    try:
        rows = pq.read_table(pa.BufferReader(content), columns=list(CURVES))
        values = np.stack([rows[name].to_numpy().astype(np.float64) for name in CURVES], axis=1)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise not_state(uri, "a table of faithfulness", str(error), "remove it") from None
    advantage = np.stack([values[:, 2] - values[:, 0], values[:, 1] - values[:, 3]], axis=1)
    return group_means(np.concatenate([values, advantage], axis=1), np.zeros(len(values), int), 1)
