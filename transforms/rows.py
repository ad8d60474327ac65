"""Explained or failed images -> rows of the statistics table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.ground_truth import ground_truth_statistics
from transforms.covariates import covariates
from transforms.loading import LoadedImage
from transforms.model.explanation import BatchExplanation, ModelCard
from transforms.records import ImageFailure, Status
from transforms.settings import ExplainSettings
from transforms.statistics import map_statistics, region_statistics
from transforms.targets import Classes, label_index_of

_MESSAGE_LENGTH = 500

Columns = Mapping[str, Any]


def explained_rows(
    images: Sequence[LoadedImage], explanation: BatchExplanation, card: ModelCard, settings: ExplainSettings
) -> pa.Table:
    """One row per image and target class, in the order of both."""
    counts = [len(image.targets.codes) for image in images]
    image_of = np.repeat(np.arange(len(images)), counts)
    target_of = np.concatenate([np.arange(count) for count in counts])
    of_rows = [images[i] for i in image_of]
    placements = [image.placement for image in of_rows]
    cams = explanation.cams[image_of, target_of]
    columns = map_statistics(cams, explanation.finite[image_of, target_of], placements)  # type: ignore[arg-type]
    status = columns["status"]
    if settings.regions:
        columns |= region_statistics(cams, dict(settings.regions), status)
    columns |= ground_truth_statistics(cams, [image.ref.boxes for image in of_rows], placements, status)  # type: ignore[arg-type]
    evidence = explanation.evidence[image_of, target_of].astype(np.float64)
    columns["evidence_sum"] = np.where(status == Status.NONFINITE, np.nan, evidence)
    prediction = _prediction(explanation, image_of, target_of, card)
    columns |= prediction
    measured = covariates(np.stack([image.model_input for image in images]), [image.placement for image in images])
    columns |= {name: values[image_of] for name, values in measured.items()}
    target_indices = explanation.classes[image_of, target_of]
    columns["overlay_uri"] = [
        None if row_status == Status.NONFINITE else settings.overlay_uri(image.ref.image_id, int(target))
        for image, target, row_status in zip(of_rows, target_indices, status, strict=True)
    ]
    classes = Classes(card.class_count, card.class_names)
    labels = [label_index_of(image.ref, classes) for image in of_rows]
    columns["label_index"] = labels
    columns["target_reason"] = [image.targets.reason for image in of_rows]
    predicted = prediction["predicted_index"]
    columns["is_correct"] = [
        None if label is None or np.isnan(index) else bool(label == index)
        for label, index in zip(labels, predicted, strict=True)
    ]
    return _table(columns | _identity(of_rows, settings), len(of_rows), settings.schema)


def failed_rows(failures: Sequence[tuple[LoadedImage, ImageFailure]], settings: ExplainSettings) -> pa.Table:
    """One row per failed image: what is known of it, where it failed and why."""
    columns: dict[str, Any] = {
        "status": [failure.status.value for _, failure in failures],
        "error_stage": [failure.stage.value for _, failure in failures],
        "error_type": [failure.error_type for _, failure in failures],
        "error_message": [failure.message[:_MESSAGE_LENGTH] for _, failure in failures],
    }
    return _table(columns | _identity([image for image, _ in failures], settings), len(failures), settings.schema)


def _identity(images: Sequence[LoadedImage], settings: ExplainSettings) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "run_id": [settings.table.run_id] * len(images),
        "fingerprint": [settings.table.fingerprint] * len(images),
        "uri": [image.ref.uri for image in images],
        "image_id": [image.ref.image_id for image in images],
        "content_sha256": [image.content_sha256 for image in images],
        "byte_count": [image.byte_count for image in images],
        "width": [image.width for image in images],
        "height": [image.height for image in images],
    }
    for position, name in enumerate(settings.extra_columns):
        columns[name] = [image.ref.extra[position] for image in images]
    return columns


def _prediction(
    explanation: BatchExplanation, image_of: np.ndarray, target_of: np.ndarray, card: ModelCard
) -> dict[str, Any]:
    """The prediction columns; NULL where the scores are not finite."""
    space = explanation.scores if card.score == "logit" else explanation.probabilities
    finite = np.isfinite(space).all(axis=1) & np.isfinite(explanation.probabilities).all(axis=1)
    scores = np.where(finite[:, None], space, 0.0).astype(np.float64)
    order = np.argpartition(-scores, 1, axis=1)[:, :2]  # the two best classes, the first of equals not yet settled
    predicted = scores.argmax(axis=1)
    target = explanation.classes[image_of, target_of]
    own = scores[image_of, target]
    best, second = (np.take_along_axis(scores, order[:, [place]], axis=1)[image_of, 0] for place in (0, 1))
    rank = 1 + (scores[image_of] > own[:, None]).sum(axis=1)
    columns = {
        "predicted_index": predicted[image_of].astype(np.float64),
        "predicted_probability": explanation.probabilities[image_of, predicted[image_of]].astype(np.float64),
        "target_index": target.astype(np.float64),
        "target_rank": rank.astype(np.float64),
        "target_score": explanation.target_scores[image_of, target_of].astype(np.float64),
        "target_probability": explanation.probabilities[image_of, target].astype(np.float64),
        "margin": own - np.where(own == best, second, best),
    }
    for name, column in columns.items():
        if name != "target_index":
            column[~finite[image_of]] = np.nan
    names = card.class_names
    return columns | {
        "predicted_name": _names(columns["predicted_index"], names),
        "target_name": _names(columns["target_index"], names),
    }


def _names(indices: np.ndarray, names: Sequence[str] | None) -> list[str | None]:
    return [None if names is None or np.isnan(index) else names[int(index)] for index in indices]


def _table(columns: Columns, rows: int, schema: pa.Schema) -> pa.Table:
    """Columns -> a table of exactly the schema; a column that is not there is NULL, and so is every NaN."""
    unknown = columns.keys() - set(schema.names)
    if unknown:
        raise ValueError(f"columns that the schema lacks: {sorted(unknown)}")
    return pa.table([_array(columns.get(field.name), rows, field.type) for field in schema], schema=schema)


def _array(column: Any, rows: int, kind: pa.DataType) -> pa.Array:
    if column is None:
        return pa.nulls(rows, kind)
    if pa.types.is_list(kind):
        missing = np.isnan(column).any(axis=1)
        offsets = np.arange(rows + 1, dtype=np.int32) * column.shape[1]
        return pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(column.ravel()), type=kind, mask=pa.array(missing)
        )
    if isinstance(column, np.ndarray) and column.dtype == np.float64:
        return pa.array(column, from_pandas=True).cast(kind)
    return pa.array(column, type=kind)
