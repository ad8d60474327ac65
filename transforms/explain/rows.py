"""Explained or failed images -> rows of the statistics table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.expected import expected_of
from transforms.explain.known import Columns, box_columns, class_label_columns, extra_columns_of
from transforms.explain.loading import FailedImage, LoadedImage
from transforms.explain.meaning import label_columns, value_columns
from transforms.explain.settings import ExplainSettings
from transforms.images import narrowed
from transforms.model import BatchExplanation, ModelCard
from transforms.records import ImageRef, Status
from transforms.statistics import image_covariates, map_statistics, region_statistics
from transforms.table import text_array

_MESSAGE_LENGTH = 500


def explained_rows(
    images: Sequence[LoadedImage], explanation: BatchExplanation, card: ModelCard, settings: ExplainSettings
) -> pa.Table:
    """One row per image and target class, in the order of both."""
    counts = [len(image.targets.codes) for image in images]
    image_of = np.repeat(np.arange(len(images)), counts)
    places = (image_of, np.concatenate([np.arange(count) for count in counts]))
    of_rows = [images[i] for i in image_of.tolist()]
    placements = [image.placement for image in of_rows]
    cams = explanation.cams[places]
    columns: Columns = dict(map_statistics(cams, explanation.finite[places], placements))
    status = columns["status"]
    columns |= region_statistics(cams, dict(settings.regions), status, card.seen)
    refs = [image.ref for image in of_rows]
    columns["evidence_sum"] = np.where(status == Status.NONFINITE, np.nan, explanation.evidence[places])
    if card.output_kind == "value":
        columns |= value_columns(of_rows, explanation, places, card)
    else:
        columns |= _prediction(explanation, places, card)
    columns |= _faithfulness(explanation, places, columns)
    measured = image_covariates(
        [narrowed(image.model_input) for image in images], [image.placement for image in images]
    )
    columns |= {name: values[image_of] for name, values in measured.items()}
    masks = [image.mask for image in of_rows]
    columns |= box_columns(refs, cams, placements, status, settings, masks)
    if explanation.contrasted is not None and "contrast_index" in settings.schema.names:
        against = explanation.contrasted[places].tolist()
        columns |= {"contrast_index": against, "contrast_name": _names(np.array(against), card.class_names)}
    if card.output_kind == "multi_label":
        columns |= label_columns(of_rows, explanation, places, card)
    elif card.output_kind != "value":
        columns |= class_label_columns(refs, columns["predicted_index"], card)
    if card.output_kind != "value" and "expected_index" in settings.schema.names:
        columns |= _expected(of_rows, image_of, columns["predicted_index"], explanation, card)
    columns["target_reason"] = [image.targets.reason for image in of_rows]
    columns["overlay_uri"] = [
        settings.overlay_uri(image.ref.image_id, target) if is_finite else None
        for image, target, is_finite in zip(
            of_rows, explanation.classes[places].tolist(), explanation.finite[places].tolist(), strict=True
        )
    ]
    columns["content_sha256"] = [image.content_sha256 for image in of_rows]
    columns["byte_count"] = [image.byte_count for image in of_rows]
    columns["content_version"] = [image.content_version for image in of_rows]
    columns["width"] = [placement.width for placement in placements]
    columns["height"] = [placement.height for placement in placements]
    return _table(columns | _identity(refs, settings), len(of_rows), settings.schema)


def failed_rows(images: Sequence[FailedImage], settings: ExplainSettings) -> pa.Table:
    """One row per failed image: what is known of it, where it failed and why."""
    columns = {
        "status": [image.failure.status.value for image in images],
        "error_stage": [image.failure.stage.value for image in images],
        "error_type": [image.failure.error_type for image in images],
        "error_message": [image.failure.message[:_MESSAGE_LENGTH] for image in images],
        "content_sha256": [image.content_sha256 for image in images],
        "byte_count": [image.byte_count for image in images],
        "content_version": [image.content_version for image in images],
        "width": [image.width for image in images],
        "height": [image.height for image in images],
    }
    return _table(columns | _identity([image.ref for image in images], settings), len(images), settings.schema)


def _identity(refs: Sequence[ImageRef], settings: ExplainSettings) -> Columns:
    columns: Columns = {
        "run_id": [settings.table.run_id or None] * len(refs),  # rows that no run has made have none
        "fingerprint": [settings.table.fingerprint] * len(refs),
        "uri": [ref.uri for ref in refs],
        "image_id": [ref.image_id for ref in refs],
    }
    return columns | extra_columns_of(refs, settings)


def _expected(
    images: Sequence[LoadedImage],
    image_of: np.ndarray,
    predicted: np.ndarray,
    explanation: BatchExplanation,
    card: ModelCard,
) -> Columns:
    """The user's own predictions, and whether the model says the same."""
    expected = [expected_of(image.ref, card.classes) for image in images]
    agrees = [
        None if each is None or np.isnan(index) else each.agrees(int(index), explanation.probabilities[place])
        for each, index, place in zip(expected, predicted, image_of, strict=True)
    ]
    return {"expected_index": [None if each is None else each.index for each in expected], "agrees": agrees}


def _prediction(explanation: BatchExplanation, places: tuple[np.ndarray, np.ndarray], card: ModelCard) -> Columns:
    """The prediction columns; NULL where the scores are not finite."""
    image_of, _ = places
    values = explanation.scores if card.score == "logit" else explanation.probabilities
    finite = (np.isfinite(values) & np.isfinite(explanation.probabilities)).all(axis=1)
    scores = np.where(finite[:, None], values, 0.0).astype(np.float64)
    predicted, target = scores.argmax(axis=1), explanation.classes[places]
    own = scores[image_of, target]
    second, best = np.partition(scores, -2, axis=1)[image_of, -2:].T
    columns = {
        "predicted_index": predicted[image_of],
        "predicted_probability": explanation.probabilities[image_of, predicted[image_of]],
        "target_rank": 1 + (scores[image_of] > own[:, None]).sum(axis=1),
        "target_score": explanation.target_scores[places],
        "target_probability": explanation.probabilities[image_of, target],
        "margin": own - np.where(own == best, second, best),
    }
    columns = {name: np.where(finite[image_of], column.astype(np.float64), np.nan) for name, column in columns.items()}
    columns["target_index"] = target.astype(np.float64)
    return columns | {
        "predicted_name": _names(columns["predicted_index"], card.class_names),
        "target_name": _names(columns["target_index"], card.class_names),
    }


def _faithfulness(explanation: BatchExplanation, places: tuple[np.ndarray, np.ndarray], columns: Columns) -> Columns:
    """How far the probability drops where the head sees only what the map shows, and where it sees all but that.

    Of a model that gives values: how far the value does.
    """
    has_mass = np.isin(columns["status"], (Status.OK, Status.FLAT))
    whole = columns["predicted_value"] if "predicted_value" in columns else columns["target_probability"]
    drops = {}
    for name, rerun in (
        ("feature_keep_drop", explanation.kept_probabilities),
        ("feature_remove_drop", explanation.removed_probabilities),
    ):
        drops[name] = np.where(has_mass, whole - rerun[places], np.nan)
    return drops


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
    if pa.types.is_list(kind) and isinstance(column, np.ndarray):
        missing = np.isnan(column).any(axis=1)
        offsets = np.arange(rows + 1, dtype=np.int32) * column.shape[1]
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(column.ravel()), type=kind, mask=pa.array(missing))
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return pa.array(column, from_pandas=True).cast(kind)
    if pa.types.is_string(kind):
        return text_array(column)
    return pa.array(column, type=kind)
