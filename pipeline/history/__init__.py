"""The nights of an output side by side: ``beam-gradcam history``."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.history.nights import Night, read_nights
    from pipeline.history.page import write_history

__all__ = ["Night", "read_nights", "write_history"]
__getattr__ = lazy_face(__name__, __file__)
