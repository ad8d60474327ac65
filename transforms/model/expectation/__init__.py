"""What a model expects of pixels, as evidence: the chain of constants in front of its network, and contracts."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.expectation.evidence import Evidence, EvidenceKind
    from transforms.model.expectation.front import LUMA, Front, front_of, restored_modules
    from transforms.model.expectation.ranges import RANGES, Affine, Fit, PixelRange, fits, range_for

__all__ = [
    "LUMA",
    "RANGES",
    "Affine",
    "Evidence",
    "EvidenceKind",
    "Fit",
    "Front",
    "PixelRange",
    "fits",
    "front_of",
    "range_for",
    "restored_modules",
]
__getattr__ = lazy_face(__name__, __file__)
