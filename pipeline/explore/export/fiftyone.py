"""For FiftyOne: ``fiftyone.Dataset.from_json(FILE)``. Written without it, and so without its database.

The form is that of ``Dataset.to_dict`` in FiftyOne 1.x: fields by their class, samples with labels of the classes
Classification, Detections and Heatmap, arrays as base64 of zlib of ``numpy.save``.
"""

import base64
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.explore.columns import Column
from pipeline.explore.export.rows import class_names, each_row, encoded
from pipeline.explore.queries import plain
from pipeline.explore.session import Session
from pipeline.explore.view import View
from transforms.overlays import heatmap_over

_LABEL = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.{})"
_FIELDS = {"number": "FloatField", "text": "StringField", "truth": "BooleanField"}
_OURS = {"prediction": "Classification", "ground_truth": "Classification", "heatmap": "Heatmap",
         "map_boxes": "Detections"}  # fmt: skip
_TAKEN = {"id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "media_type", *_OURS}
_NOT_MEASURES = {"label_index", "cam_height", "cam_width"}
_NEEDED = ["image_id", "uri", "width", "height", "status", "predicted_index", "predicted_probability", "label_index",
           "target_index", "target_probability", "cam", "cam_height", "cam_width",
           "box_x0", "box_y0", "box_x1", "box_y1"]  # fmt: skip
_MAP_SIDE = 64  # cells along the longer side of a photo


def write_fiftyone(session: Session, view: View) -> Iterator[bytes]:
    """A dataset of one sample an image: prediction, label, heatmap and boxes of the maps, all measures, tags."""
    fields = {name: _field_name(name) for name, column in session.columns.items() if _is_shown(column)}
    schema = {fields[name]: f"fiftyone.core.fields.{_FIELDS[session.columns[name].kind]}" for name in fields}
    schema |= {name: _LABEL.format(kind) for name, kind in _OURS.items()}
    head = {
        "name": f"beam-gradcam-{session.run.run_id}",
        "media_type": "image",
        "sample_fields": schema,
        "info": {"run": session.run.run_id, "method": session.card.way, "target_layer": session.card.target_layer},
        "default_classes": class_names(session),
    }
    tags: dict[str, list[str]] = {}
    for row in session.records("SELECT image_id, tag FROM tags ORDER BY tag"):
        tags.setdefault(row["image_id"], []).append(row["tag"])

    def texts() -> Iterator[str]:
        yield json.dumps(head)[:-1] + ', "samples": ['
        rows = each_row(session, view, list(dict.fromkeys([*_NEEDED, *fields])), by_image=True)
        for number, (image_id, group) in enumerate(itertools.groupby(rows, lambda row: row["image_id"])):
            sample = _sample(list(group), fields, session)
            yield ("," if number else "") + "\n" + json.dumps(sample | {"tags": tags.get(image_id, [])})
        yield "]}\n"

    return encoded(texts())


def _is_shown(column: Column) -> bool:
    return column.kind in _FIELDS and column.known > 0 and column.name not in ("uri", *_NOT_MEASURES)


def _field_name(column: str) -> str:
    """A name that FiftyOne takes: no dots, no dollars, no line in front."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", column).strip("_") or "column"
    return f"manifest_{name}" if name in _TAKEN or name[0].isdigit() else name


def _sample(rows: list[dict[str, Any]], fields: dict[str, str], session: Session) -> dict[str, Any]:
    first, names = rows[0], class_names(session)
    sample: dict[str, Any] = {"filepath": first["uri"]}
    for column, field in fields.items():
        value = plain(first[column])
        sample[field] = float(value) if session.columns[column].kind == "number" and value is not None else value
    if first["predicted_index"] is not None:
        confidence = plain(first["predicted_probability"])
        sample["prediction"] = _classification(first["predicted_index"], names) | {"confidence": confidence}
    if first["label_index"] is not None:
        sample["ground_truth"] = _classification(first["label_index"], names)
    if first["status"] in ("OK", "FLAT") and first["cam"] is not None:
        sample["heatmap"] = {"_cls": "Heatmap", "tags": [], "map": _array(_over_photo(first, session))}
    boxes = [_detection(row, names) for row in rows if row["box_x0"] is not None]
    sample["map_boxes"] = {"_cls": "Detections", "detections": boxes}
    return sample


def _classification(index: int, names: list[str]) -> dict[str, Any]:
    return {"_cls": "Classification", "tags": [], "label": _name_of(index, names)}


def _detection(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    width, height = row["width"], row["height"]
    box = [row["box_x0"] / width, row["box_y0"] / height,
           (row["box_x1"] - row["box_x0"]) / width, (row["box_y1"] - row["box_y0"]) / height]  # fmt: skip
    confidence, label = plain(row["target_probability"]), _name_of(row["target_index"], names)
    return {"_cls": "Detection", "tags": [], "label": label, "bounding_box": box, "confidence": confidence}


def _name_of(index: int, names: list[str]) -> str:
    return names[index] if 0 <= index < len(names) else str(index)


def _over_photo(row: dict[str, Any], session: Session) -> np.ndarray:
    """The map where it lies on the photo, float32 ``[h, w]``, 0..1; 0 where the model did not look."""
    scale = _MAP_SIDE / max(row["width"], row["height"])
    height, width = (max(1, round(row[side] * scale)) for side in ("height", "width"))
    cam = np.array(row["cam"], np.float32).reshape(row["cam_height"], row["cam_width"])
    over = np.zeros((height, width), np.float32)
    rows, columns, heat = heatmap_over(cam, session.card.place(row["width"], row["height"]), height, width)
    over[rows, columns] = heat
    return over


def _array(values: np.ndarray) -> str:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")
