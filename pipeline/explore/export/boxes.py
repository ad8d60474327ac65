"""Boxes around what the maps show, as detectors are trained on: COCO and YOLO.

A box is the table's: around the largest part of the map at 15 % of its maximum or more, in pixels of the original.
They are where the model looks, not where the object is.
"""

import csv
import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

from pipeline.explore.export.rows import class_names, each_row, encoded, zipped
from pipeline.explore.session import Session
from pipeline.explore.view import View

_COLUMNS = ["image_id", "uri", "width", "height", "target_index", "target_probability",
            "box_x0", "box_y0", "box_x1", "box_y1"]  # fmt: skip


def write_coco(session: Session, view: View) -> Iterator[bytes]:
    """COCO's JSON of detections: images, annotations (``[x, y, width, height]``) and categories."""

    def texts() -> Iterator[str]:
        categories = [{"id": index, "name": name} for index, name in enumerate(class_names(session))]
        info = {"description": f"boxes of the maps of run {session.run.run_id}, {session.card.way}"}
        yield f'{{"info": {json.dumps(info)}, "categories": {json.dumps(categories)},\n"images": ['
        yield from _joined(_images(session, view))
        yield '],\n"annotations": ['
        yield from _joined(_annotations(session, view))
        yield "]}\n"

    return encoded(texts())


def write_yolo(session: Session, view: View) -> Iterator[bytes]:
    """A zip: ``labels/<image_id>.txt`` with ``class x y width height`` in 0..1, ``data.yaml``, which image is which."""

    def files() -> Iterator[tuple[str, bytes]]:
        listing = io.StringIO()
        writer = csv.writer(listing, lineterminator="\n")
        writer.writerow(["image_id", "uri"])
        for image_id, rows in _by_image(session, view):
            lines = []
            for row in rows:
                if row["box_x0"] is not None:
                    x0, x1 = (row[name] / row["width"] for name in ("box_x0", "box_x1"))
                    y0, y1 = (row[name] / row["height"] for name in ("box_y0", "box_y1"))
                    numbers = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
                    lines.append(" ".join([str(row["target_index"]), *(f"{number:.6f}" for number in numbers)]))
            yield f"labels/{image_id}.txt", "".join(f"{line}\n" for line in lines).encode()
            writer.writerow([image_id, rows[0]["uri"]])
        names = "".join(f"  {index}: {json.dumps(name)}\n" for index, name in enumerate(class_names(session)))
        yield "images.csv", listing.getvalue().encode("utf-8", "replace")
        yield "data.yaml", f"names:\n{names}".encode("utf-8", "replace")

    return zipped(files())


def _by_image(session: Session, view: View) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for image_id, rows in itertools.groupby(
        each_row(session, view, _COLUMNS, by_image=True), lambda row: row["image_id"]
    ):
        yield image_id, list(rows)


def _images(session: Session, view: View) -> Iterator[dict[str, Any]]:
    for number, (image_id, rows) in enumerate(_by_image(session, view)):
        first = rows[0]
        sizes = {"width": first["width"], "height": first["height"]}
        yield {"id": number, "file_name": first["uri"], "image_id": image_id, **sizes}


def _annotations(session: Session, view: View) -> Iterator[dict[str, Any]]:
    numbers = itertools.count()
    for image, (_, rows) in enumerate(_by_image(session, view)):
        for row in rows:
            if row["box_x0"] is None:
                continue
            width, height = row["box_x1"] - row["box_x0"], row["box_y1"] - row["box_y0"]
            yield {
                "id": next(numbers),
                "image_id": image,
                "category_id": row["target_index"],
                "bbox": [row["box_x0"], row["box_y0"], width, height],
                "area": width * height,
                "iscrowd": 0,
                "score": row["target_probability"],
            }


def _joined(entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        yield ("," if number else "") + "\n" + json.dumps(entry)
