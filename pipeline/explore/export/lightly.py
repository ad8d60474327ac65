"""For Lightly: predictions and metadata as its documentation lays them out, in a zip.

    predictions/tasks.json, predictions/beam_gradcam/schema.json, predictions/beam_gradcam/<image_id>.json
    metadata/schema.json, metadata/<image_id>.json

Files are named after image ids, since URIs may be anything; ``file_name`` in each is the image's URI.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from pipeline.explore.columns import Column
from pipeline.explore.export.rows import class_names, each_row, zipped
from pipeline.explore.queries import plain
from pipeline.explore.session import Session
from pipeline.explore.view import View

TASK = "beam_gradcam"
_NEEDED = ["image_id", "uri", "target_index", "target_probability", "box_x0", "box_y0", "box_x1", "box_y1"]


def write_lightly(session: Session, view: View) -> Iterator[bytes]:
    """Boxes of the maps as detections, all measures as metadata."""
    measures = {name: column for name, column in session.columns.items() if _is_measure(column)}

    def files() -> Iterator[tuple[str, bytes]]:
        categories = [{"id": index, "name": name} for index, name in enumerate(class_names(session))]
        yield "predictions/tasks.json", _json([TASK])
        yield f"predictions/{TASK}/schema.json", _json({"task_type": "object-detection", "categories": categories})
        yield "metadata/schema.json", _json([_described(column) for column in measures.values()])
        rows = each_row(session, view, list(dict.fromkeys([*_NEEDED, *measures])), by_image=True)
        for image_id, group in itertools.groupby(rows, lambda row: row["image_id"]):
            of_image = list(group)
            first = of_image[0]
            predictions = [_prediction(row) for row in of_image if row["box_x0"] is not None]
            named = {"file_name": first["uri"]}
            yield f"predictions/{TASK}/{image_id}.json", _json(named | {"predictions": predictions})
            values = {name: plain(first[name]) for name in measures}
            known = {name: value for name, value in values.items() if value is not None}
            yield f"metadata/{image_id}.json", _json(named | {"type": "image", "metadata": known})

    return zipped(files())


def _is_measure(column: Column) -> bool:
    return column.kind in ("number", "text", "truth") and column.known > 0 and column.name not in ("uri", "image_id")


def _described(column: Column) -> dict[str, Any]:
    kind, default = {
        "number": ("NUMERIC_FLOAT", 0.0),
        "text": ("CATEGORICAL_STRING", "unknown"),
        "truth": ("CATEGORICAL_BOOLEAN", False),
    }[column.kind]
    return {"name": column.name, "path": column.name, "defaultValue": default, "valueDataType": kind}


def _prediction(row: dict[str, Any]) -> dict[str, Any]:
    box = [row["box_x0"], row["box_y0"], row["box_x1"] - row["box_x0"], row["box_y1"] - row["box_y0"]]
    return {"category_id": row["target_index"], "bbox": [round(edge) for edge in box],
            "score": plain(row["target_probability"])}  # fmt: skip


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
