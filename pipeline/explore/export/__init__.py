"""What was found, for other programs: manifests, tables, boxes, and what FiftyOne, Lightly and cleanlab read."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.explore.export.formats import FORMATS, PAGE_FORMATS, Export, export_view

__all__ = ["FORMATS", "PAGE_FORMATS", "Export", "export_view"]
__getattr__ = lazy_face(__name__, __file__)
