"""The rows of a view, one after the other: a million need no memory."""

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.audit.inputs import quoted
from pipeline.explore.session import Session
from pipeline.explore.view import View

PATIENCE = 3600.0  # seconds; somebody asked for all of it
_CHUNK = 2000
_BYTES = 1 << 20
_IN_MEMORY = 1 << 26


def each_row(session: Session, view: View, columns: Sequence[str], by_image: bool = False) -> Iterator[dict[str, Any]]:
    """The rows with some columns, in the order of the view, or all of an image together, the likeliest class first."""
    condition, values = view.condition()
    order = "image_id, target_rank, target_index" if by_image else view.order
    names = ", ".join(map(quoted, columns))
    with session.reading(PATIENCE) as cursor:
        cursor.execute(f"SELECT {names} FROM statistics WHERE {condition} ORDER BY {order}", values)
        while rows := cursor.fetchmany(_CHUNK):
            for row in rows:
                yield dict(zip(columns, row, strict=True))


def encoded(texts: Iterable[str]) -> Iterator[bytes]:
    """Texts as bytes, a megabyte at a time."""
    buffer = io.BytesIO()
    for text in texts:
        buffer.write(text.encode("utf-8", "replace"))
        if buffer.tell() > _BYTES:
            yield buffer.getvalue()
            buffer = io.BytesIO()
    yield buffer.getvalue()


def zipped(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Files by name as one zip. The names are ours: nothing that a row holds."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as whole:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
        whole.seek(0)
        while chunk := whole.read(_BYTES):
            yield chunk


def class_names(session: Session) -> list[str]:
    """The names of all classes; a class without one is called after its index."""
    return list(session.card.class_names or map(str, range(session.card.class_count)))
