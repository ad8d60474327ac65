"""Rows whose images the manifest says something else of by now: labels added, boxes corrected, other classes asked for.

Labels, ground truth of boxes, expectations and further columns are made anew from the stored map; only other target
classes and other masks need the model.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from transforms.explain.known import box_columns
from transforms.explain.settings import ExplainSettings
from transforms.explain.stored_expected import EXPECTED_COLUMNS, expectation_of_ref, expected_columns_of_rows
from transforms.explain.stored_labels import LABEL_COLUMNS, label_columns_of_rows, truth_of_ref, truth_of_rows
from transforms.model import ModelCard
from transforms.records import ImageRef, Status
from transforms.table import text_array
from transforms.targets import label_index_of, targets_of

_BELOW_THE_PEAK = 1 - 2e-6  # more than what makes a map flat
_CLOSE = 0.02  # ground truth from a rounded map, where a row does not say of which boxes it is
_BY_SCORE = ("predicted", "top_k", "above")  # reasons for classes that the model's scores decide on

Digests = tuple[int, int, int]
"""Of what is known of an image (label and boxes), of the classes that are asked for, and of its further columns."""


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What a manifest says at all: where it has no labels, those that rows have from another manifest stay."""

    labels: bool
    boxes: bool
    targets: bool
    expected: bool = False  # the user's own predictions

    @property
    def is_none(self) -> bool:
        return not (self.labels or self.boxes or self.targets or self.expected)


def digest_of_ref(ref: ImageRef, knowledge: Knowledge, card: ModelCard, settings: ExplainSettings) -> Digests:
    """Equal to those of the image's rows where nothing has changed; only within this process."""
    known = (
        truth_of_ref(ref, targets_of(ref, settings.targets, card.classes).codes, card) if knowledge.labels else None,
        _rounded([x for box in ref.boxes for x in box]) if knowledge.boxes and ref.boxes is not None else None,
        expectation_of_ref(ref, card) if knowledge.expected else None,
    )
    return hash(known), hash(_asked(ref, knowledge, card, settings)), hash(ref.extra)


def digests_of_rows(
    rows: pa.Table, knowledge: Knowledge, card: ModelCard, settings: ExplainSettings
) -> Iterator[tuple[str, Digests]]:
    """(image id, digests) of each image with a map; ``rows`` has the columns of :func:`columns_to_compare`."""
    images: dict[str, list[dict]] = {}
    for row in rows.to_pylist():
        images.setdefault(row["image_id"], []).append(row)
    for image_id, of_image in images.items():
        first = next((row for row in of_image if row["target_reason"] is not None), None)
        asked = hash(_explained(of_image, knowledge, settings))
        extra = hash(tuple(of_image[0].get(name) for name in settings.extra_columns))
        if first is None and all(row["status"] != Status.BAD_TARGET for row in of_image):
            continue  # it failed: whoever tries it again asks the manifest
        boxes = None if first is None else first.get("gt_boxes")
        if first is not None and boxes is not None and settings.normalized_boxes:
            boxes = [x / (first["height"] if i % 2 else first["width"]) for i, x in enumerate(boxes)]
        known = (
            truth_of_rows([row for row in of_image if row["target_reason"] is not None], card)
            if first is not None and knowledge.labels
            else None,
            _rounded(boxes) if boxes is not None and knowledge.boxes else None,
            first.get("expected_index") if first is not None and knowledge.expected else None,
        )
        yield image_id, (hash(known) if first is not None else 0, asked, extra)


def columns_to_compare(settings: ExplainSettings) -> list[str]:
    """The columns of a part that :func:`digests_of_rows` looks at."""
    return ["image_id", "status", "width", "height", "target_reason", "target_index", "label_index", "label_indices",
            "label_value", "gt_boxes", "expected_index", *settings.extra_columns]  # fmt: skip


def asks_for_others(
    ref: ImageRef, rows: list[dict], knowledge: Knowledge, card: ModelCard, settings: ExplainSettings
) -> bool:
    """Whether an image has to be explained again: the manifest asks for other classes than its rows explain, feeds the
    model otherwise, or has another mask of it, whose file only a worker reads.
    """
    if settings.masks is not None:
        position = settings.masks.position
        if (ref.extra[position] or "").strip() != (rows[0].get(settings.extra_columns[position]) or "").strip():
            return True
    fed = {column for one in card.inputs for column in one.columns}
    if fed:
        for name, written, value in zip(settings.extra_columns, settings.input_columns or (), ref.extra, strict=True):
            if written in fed and value != rows[0].get(name):
                return True
    if card.contrast == "label" and knowledge.labels:  # the maps themselves depend on what is true
        mapped = next((row for row in rows if row["target_reason"] is not None), None)
        if mapped is not None and mapped["label_index"] != label_index_of(ref, card.classes):
            return True
    return _asked(ref, knowledge, card, settings) != _explained(rows, knowledge, settings)


def _asked(ref: ImageRef, knowledge: Knowledge, card: ModelCard, settings: ExplainSettings) -> tuple | None:
    if not _is_asked_for(knowledge, settings):
        return None
    targets = targets_of(ref, settings.targets, card.classes)
    if not targets.codes:
        return (None, None, True)
    codes = None if targets.reason in _BY_SCORE else frozenset(targets.codes)
    return (targets.reason, codes, targets.failure is not None)


def _explained(rows: list[dict], knowledge: Knowledge, settings: ExplainSettings) -> tuple | None:
    if not _is_asked_for(knowledge, settings):
        return None
    reasons = {row["target_reason"] for row in rows} - {None}
    failed = any(row["status"] == Status.BAD_TARGET for row in rows)
    if not reasons:
        return (None, None, failed)
    reason = min(reasons)
    codes = {row["target_index"] for row in rows if row["target_reason"] is not None}
    return (reason, None if reason in _BY_SCORE else frozenset(codes), failed)


def _is_asked_for(knowledge: Knowledge, settings: ExplainSettings) -> bool:
    """Whether the classes of an image depend on its line: those of the job are the same for all rows of a part."""
    return knowledge.targets or (settings.targets.reason == "label" and knowledge.labels)


def corrected_rows(
    rows: pa.Table, refs: Mapping[str, ImageRef], knowledge: Knowledge, card: ModelCard, settings: ExplainSettings
) -> tuple[pa.Table, set[str]]:
    """The rows of a part with what the manifest says now of the images in ``refs``, by image id.

    Returns:
        The rows, and the ids of the images of which something is another than before. Rows of earlier versions, which
        do not say what boxes they are of, say so from now on.
    """
    ids = rows["image_id"].to_pylist()
    places = [place_ for place_, image_id in enumerate(ids) if image_id in refs]
    of_refs = [refs[ids[place_]] for place_ in places]
    changed: set[str] = set()
    for position, name in enumerate(settings.extra_columns):
        old = rows[name].to_pylist() if name in rows.column_names else [None] * len(ids)
        new = list(old)
        for place_, ref in zip(places, of_refs, strict=True):
            new[place_] = ref.extra[position]
            if new[place_] != old[place_]:
                changed.add(ids[place_])
        rows = _with_column(rows, name, text_array(new))
    mapped = [(place_, ref) for place_, ref in zip(places, of_refs, strict=True)
              if rows["cam"][place_].is_valid or rows["target_reason"][place_].is_valid]  # fmt: skip
    if mapped and not knowledge.is_none:
        rows, more = _with_known_columns(rows, mapped, knowledge, card, settings)
        changed |= {ids[place_] for place_ in more}
    return rows, changed


def _with_known_columns(
    rows: pa.Table, mapped: list[tuple[int, ImageRef]], knowledge: Knowledge, card: ModelCard, settings: ExplainSettings
) -> tuple[pa.Table, set[int]]:
    """Rows with labels and ground truth made anew, and the places of those that are other than before."""
    places = [place_ for place_, _ in mapped]
    some = rows.take(pa.array(places))
    placements = [
        card.place(width, height)
        for width, height in zip(some["width"].to_pylist(), some["height"].to_pylist(), strict=True)
    ]
    status = np.array(some["status"].to_pylist(), object)
    refs = [ref for _, ref in mapped]
    names = ("predicted_index", "predicted_probability", "predicted_value", "found_indices", "target_index")
    facts = some.select([name for name in names if name in some.column_names]).to_pylist()
    new = box_columns(refs, _cams(some, card), placements, status, settings) | label_columns_of_rows(facts, refs, card)
    if knowledge.expected:
        new |= expected_columns_of_rows(facts, refs, card)
    is_new_box = [_boxes_differ(row, new, number) for number, row in enumerate(_boxes_of(some))]
    changed: set[int] = set()
    for name, values in new.items():
        is_expected = name in EXPECTED_COLUMNS
        is_label = name in LABEL_COLUMNS or is_expected
        if not (is_expected or (knowledge.labels if is_label else knowledge.boxes)):
            continue
        field = settings.schema.field(name)
        column = rows[name].to_pylist() if name in rows.column_names else [None] * rows.num_rows
        for number, place_ in enumerate(places):
            value = _plain(values[number])
            if is_label and not _is_same(value, column[place_]):
                changed.add(place_)
            if is_label or is_new_box[number] or name == "gt_boxes":
                column[place_] = value
        rows = _with_column(rows, name, pa.array(column, field.type))
    if knowledge.boxes:
        changed |= {place_ for number, place_ in enumerate(places) if is_new_box[number]}
    return rows, changed


def _boxes_of(rows: pa.Table) -> list[dict]:
    names = [name for name in rows.column_names if name.startswith(("gt_", "point_", "center_hit", "box_iou", "mask_"))]
    return rows.select(names).to_pylist()


def _boxes_differ(row: dict, new: Mapping, number: int) -> bool:
    """Whether a row is of other boxes. Rows of earlier versions do not say of which: what follows from them tells."""
    boxes, old_boxes = new["gt_boxes"][number], row.get("gt_boxes")
    if old_boxes is not None or row["gt_status"] is None:
        return boxes != old_boxes
    if boxes is None:
        return True
    for name, old in row.items():
        value = _plain(new[name][number])
        if name == "gt_boxes":
            continue
        if isinstance(old, float) and isinstance(value, float):
            if abs(old - value) > _CLOSE * max(1.0, abs(old)):
                return True
        elif old != value:
            return True
    return False


def _cams(rows: pa.Table, card: ModelCard) -> np.ndarray:
    """The maps of rows as far as ground truth asks for them: positive, 1 at the maximum, float32 ``[N, h, w]``.

    A map that is stored with few digits may have several cells at its maximum; the row knows which of them it was.
    """
    cells = card.cam_height * card.cam_width
    cams = np.array([[0.0] * cells if cam is None else cam for cam in rows["cam"].to_pylist()], np.float32)
    ties = rows["peak_ties"].to_pylist()
    peaks = zip(rows["peak_x"].to_pylist(), rows["peak_y"].to_pylist(), strict=True)
    for number, (x, y) in enumerate(peaks):
        if ties[number] == 1 and x is not None:
            peak = int(y * card.cam_height) * card.cam_width + int(x * card.cam_width)
            rounded_up = cams[number] == 1.0
            rounded_up[peak] = False
            cams[number][rounded_up] = _BELOW_THE_PEAK
    return cams.reshape(-1, card.cam_height, card.cam_width)


def _is_same(value: object, stored: object) -> bool:
    """Numbers are stored in float32."""
    if isinstance(value, float) and isinstance(stored, float):
        return np.float32(value) == np.float32(stored)
    return value == stored


def _with_column(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    field = pa.field(name, column.type)
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), field, column)
    return rows.append_column(field, column)


def _plain(value: object) -> object:
    """A value of NumPy's as Arrow takes it; NaN is NULL."""
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value


def _rounded(numbers: list[float]) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)
