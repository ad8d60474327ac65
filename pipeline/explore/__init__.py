"""A page to look at a run with: filter, sort, compare and tag its images, on this machine alone."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.explore import commands

__all__ = ["commands"]
__getattr__ = lazy_face(__name__, __file__)
