"""The formats by name."""

import dataclasses
from collections.abc import Callable, Iterator

from pipeline.explore.errors import ExploreError
from pipeline.explore.export import boxes, cleanlab, fiftyone, lightly, tables
from pipeline.explore.session import Session
from pipeline.explore.view import View

Writer = Callable[[Session, View], Iterator[bytes]]


@dataclasses.dataclass(frozen=True)
class Export:
    """One file, made as it is read."""

    name: str
    chunks: Iterator[bytes]


FORMATS: dict[str, tuple[str, Writer]] = {
    "manifest": ("manifest.csv", tables.write_manifest),
    "csv": ("rows.csv", tables.write_csv),
    "coco": ("coco.json", boxes.write_coco),
    "yolo": ("yolo.zip", boxes.write_yolo),
    "fiftyone": ("fiftyone.json", fiftyone.write_fiftyone),
    "lightly": ("lightly.zip", lightly.write_lightly),
    "cleanlab": ("cleanlab.npz", cleanlab.write_cleanlab),
}
"""Name -> file name, and what writes it."""

PAGE_FORMATS = ("manifest", "csv", "coco", "yolo")
"""Those that the page offers."""


def export_view(session: Session, view: View, name: str) -> Export:
    """The rows of a view in a format.

    Raises:
        ExploreError: there is no such format, or the rows lack what it needs; before anything is written.
    """
    if name not in FORMATS:
        raise ExploreError(f"there is no format {name!r}; write one of {', '.join(FORMATS)}")
    file, write = FORMATS[name]
    chunks = write(session, view)
    first = next(chunks, b"")  # what is refused is refused now, and not in the middle of an answer

    def all_chunks() -> Iterator[bytes]:
        yield first
        yield from chunks

    return Export(file, all_chunks())
