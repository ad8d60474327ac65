"""Every byte in or out: stores, URIs, access rules, retries."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.storage import uris
    from transforms.storage.access import Doors, ForbiddenError
    from transforms.storage.archives import read_index
    from transforms.storage.block_file import open_blocks
    from transforms.storage.local_copies import local_copy
    from transforms.storage.members import record_uri, row_uri, split_member
    from transforms.storage.rows import ParquetFooter
    from transforms.storage.sequential import SequentialReader
    from transforms.storage.state import decode_state, not_state
    from transforms.storage.state_files import (
        MOST_STATE,
        NotAnsweringError,
        StateError,
        list_files,
        patiently,
        read_state,
    )
    from transforms.storage.storage import Storage
    from transforms.storage.uris import is_local, redact

__all__ = [
    "MOST_STATE",
    "Doors",
    "ForbiddenError",
    "NotAnsweringError",
    "ParquetFooter",
    "SequentialReader",
    "StateError",
    "Storage",
    "decode_state",
    "is_local",
    "list_files",
    "local_copy",
    "not_state",
    "open_blocks",
    "patiently",
    "read_index",
    "read_state",
    "record_uri",
    "redact",
    "row_uri",
    "split_member",
    "uris",
]
__getattr__ = lazy_face(__name__, __file__)
