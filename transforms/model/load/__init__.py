"""Any model source -> one traced function, and what is known about it."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.load.factory import importable_working_directory
    from transforms.model.load.loaders import load_live, load_model
    from transforms.model.load.source_digest import code_digest, digest_source
    from transforms.model.load.traced import TracedModel

__all__ = ["TracedModel", "code_digest", "digest_source", "importable_working_directory", "load_live", "load_model"]
__getattr__ = lazy_face(__name__, __file__)
