"""The table of a run, its measures and its original images."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.inputs.database import quoted
    from pipeline.audit.inputs.measures import CORNERS, Measure, list_measures
    from pipeline.audit.inputs.neighbours import NEIGHBOUR_SCHEMA, one_of_each
    from pipeline.audit.inputs.originals import sampled_images, settings_of
    from pipeline.audit.inputs.overlays import stored_overlay
    from pipeline.audit.inputs.table import AuditTable, open_table, parts_of

__all__ = [
    "CORNERS",
    "NEIGHBOUR_SCHEMA",
    "AuditTable",
    "Measure",
    "list_measures",
    "one_of_each",
    "open_table",
    "parts_of",
    "quoted",
    "sampled_images",
    "settings_of",
    "stored_overlay",
]
__getattr__ = lazy_face(__name__, __file__)
