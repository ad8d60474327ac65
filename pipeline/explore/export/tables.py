"""CSV: all columns, or a manifest for the next run."""

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.explore.export.rows import each_row, encoded
from pipeline.explore.queries import plain
from pipeline.explore.session import Session
from pipeline.explore.view import View
from transforms.targets import UnknownClassError


def write_csv(session: Session, view: View) -> Iterator[bytes]:
    """All columns of all rows but the maps; NULL is empty."""
    columns = list(session.columns)
    rows = each_row(session, view, columns)
    return encoded(_lines(columns, ([_cell(row[name]) for name in columns] for row in rows)))


def write_manifest(session: Session, view: View) -> Iterator[bytes]:
    """One line an image: uri, label, boxes where the table has them, the manifest's further columns, tags."""
    extra = session.extra_columns
    named = {name: _manifest_name(name, extra) for name in extra}
    known = [name for name in ("label_index", "gt_boxes") if name in session.columns]
    tags: dict[str, list[str]] = {}
    for row in session.records("SELECT image_id, tag FROM tags ORDER BY tag"):
        tags.setdefault(row["image_id"], []).append(row["tag"])

    def lines() -> Iterator[list[str]]:
        last = None
        for row in each_row(session, view, ["image_id", "uri", *known, *extra], by_image=True):
            if row["image_id"] == last:
                continue
            last = row["image_id"]
            line = [row["uri"], _label(row["label_index"], session)]
            line += [_boxes(row["gt_boxes"])] if "gt_boxes" in known else []
            yield [*line, *(_cell(row[name]) for name in extra), ";".join(tags.get(row["image_id"], []))]

    heads = ["uri", "label", *(["boxes"] if "gt_boxes" in known else []), *named.values(), "tags"]
    return encoded(_lines(heads, lines()))


def _lines(heads: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in itertools.chain([heads], rows):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _cell(value: Any) -> str:
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, list) else str(value)


def _manifest_name(column: str, extra: list[str]) -> str:
    """The name that a column had in the manifest, where no other one has it now."""
    name = column.removeprefix("manifest_")
    return name if name not in (*extra, "uri", "label", "boxes", "tags", "targets") else column


def _label(index: int | None, session: Session) -> str:
    """A class as a manifest names it, so that it is read as the same class."""
    classes = session.card.classes
    if index is None or not 0 <= index < classes.count:
        return ""
    name = classes.names[index] if classes.names else str(index)
    try:
        return name if classes.index_of(name) == index else str(index)
    except UnknownClassError:  # several classes are called so
        return str(index)


def _boxes(flat: list[float] | None) -> str:
    """``x0, y0, x1, y1`` of one box after the other -> as a manifest has them."""
    if not flat:
        return ""
    return json.dumps([flat[start : start + 4] for start in range(0, len(flat), 4)])
