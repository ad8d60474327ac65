"""How a mask stands in a cell: the URI of a file, or itself as JSON."""

from typing import TypeGuard


def is_mask_uri(text: str | None) -> TypeGuard[str]:
    """Whether a cell names a file; an empty one does not, and a mask in itself begins as JSON does."""
    return text is not None and bool(text.strip()) and text.lstrip()[0] not in "[{"
