"""The overlays that a run has written: the rows say where, and rows may say anything."""

import dataclasses

from pipeline.runs import Run
from transforms.images import image_format
from transforms.records import ImageFailure
from transforms.storage import Doors, Storage
from transforms.table import OutputLayout

_MOST = 1 << 26  # bytes: a PNG of the largest overlay that a config allows is smaller in all but the worst case


def stored_overlay(uri: str | None, run: Run, storage: Storage) -> bytes | None:
    """The overlay at ``uri``; None where there is none, and where ``uri`` leads out of the output's own overlays, by
    whatever way, or to what is no picture."""
    if uri is None:
        return None
    own = Doors(allowed_roots=(OutputLayout(run.output).overlays,))
    try:
        content = dataclasses.replace(storage, doors=own).fetch(uri, _MOST)
        return content if image_format(content) in ("JPEG", "PNG") else None
    except ImageFailure:
        return None
