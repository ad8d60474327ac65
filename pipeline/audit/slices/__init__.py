"""Slices: parts of the images that a user names, and parts that are found to be worse than the rest."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.slices.discover import Discovery, FoundSlice, find_slices
    from pipeline.audit.slices.findings import slice_findings
    from pipeline.audit.slices.gate import check_slices
    from pipeline.audit.slices.measure import SliceAudit, audit_slices
    from pipeline.audit.slices.spec import SliceSpec, named_columns
    from pipeline.audit.slices.view import slices_file, slices_view

__all__ = [
    "Discovery",
    "FoundSlice",
    "SliceAudit",
    "SliceSpec",
    "audit_slices",
    "check_slices",
    "find_slices",
    "named_columns",
    "slice_findings",
    "slices_file",
    "slices_view",
]
__getattr__ = lazy_face(__name__, __file__)
