"""Ground-truth masks as manifests have them: COCO's run lengths, and PNG files."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.masks.column import FetchedMask, MaskColumn, fetch_mask
    from transforms.masks.written import is_mask_uri

__all__ = ["FetchedMask", "MaskColumn", "fetch_mask", "is_mask_uri"]
__getattr__ = lazy_face(__name__, __file__)
