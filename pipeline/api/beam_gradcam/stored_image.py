"""The bytes of an image that a row names, wherever it lies."""

from collections.abc import Mapping
from typing import Any

from transforms.errors import UserError
from transforms.images import Limits
from transforms.records import ImageFailure
from transforms.storage import Storage


def read_image(uri: str, storage_options: Mapping[str, Mapping[str, Any]] | None = None) -> bytes:
    """The encoded image at the ``uri`` of a row: a file, or an image inside a tar, zip, TFRecord or Parquet file.

    Raises:
        UserError: it cannot be had any more.
    """
    try:
        return Storage(storage_options or {}).fetch(uri, Limits().max_bytes)
    except ImageFailure as failure:
        raise UserError(f"{uri}: {failure.message}") from None
