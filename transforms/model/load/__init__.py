"""Any model source -> one traced function, and what is known about it."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.load.loaders import load_live, load_model
    from transforms.model.load.source_digest import digest_source
    from transforms.model.load.traced import TracedModel

__all__ = ["TracedModel", "digest_source", "load_live", "load_model"]
__getattr__ = lazy_face(__name__, __file__)
