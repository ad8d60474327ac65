"""Every byte in or out: stores, URIs, access rules, retries."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.storage import uris
    from transforms.storage.access import Doors
    from transforms.storage.local_copies import local_copy
    from transforms.storage.storage import Storage
    from transforms.storage.uris import is_local, redact

__all__ = ["Doors", "Storage", "is_local", "local_copy", "redact", "uris"]
__getattr__ = lazy_face(__name__, __file__)
