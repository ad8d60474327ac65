"""Where the masks of a manifest are, and how each becomes one of an image."""

import dataclasses
from collections.abc import Callable

from transforms.images import Limits
from transforms.masks.cell import MaskCell, mask_of, parse_mask
from transforms.records import ImageFailure, ImageRef, Stage, Status
from transforms.statistics import TrueMask


@dataclasses.dataclass(frozen=True)
class MaskColumn:
    """The column of a manifest that has masks."""

    position: int  # in ImageRef.extra
    base: str  # what relative URIs are relative to


@dataclasses.dataclass(frozen=True)
class FetchedMask:
    """A mask before the size of its image is known."""

    cell: MaskCell
    encoded: bytes = b""  # the PNG

    def decode(self, height: int, width: int, limits: Limits) -> TrueMask:
        """Raises ImageFailure, which says that it is about the mask."""
        try:
            return mask_of(self.cell, (height, width), limits, lambda _: self.encoded)
        except ImageFailure as failure:
            raise _of_mask(failure, self.cell) from None
        except ValueError as error:
            why = f"the mask cannot be used: {error}"
            raise ImageFailure(Status.BAD_INPUT, Stage.INPUT, why, "BadMask") from None


def fetch_mask(
    ref: ImageRef, column: MaskColumn, join: Callable[[str, str], str], read: Callable[[str], bytes]
) -> FetchedMask | None:
    """What the manifest has for an image; None where it has nothing.

    Args:
        join: the base and a URI as written -> the whole URI.
        read: URI -> the bytes of the file, through the doors of the job.

    Raises:
        ImageFailure: the cell is no mask, or its file cannot be fetched.
    """
    try:
        cell = parse_mask(ref.extra[column.position])
    except ValueError as error:
        why = f"the mask cannot be used: {error}"
        raise ImageFailure(Status.BAD_INPUT, Stage.INPUT, why, "BadMask") from None
    if cell is None or cell.uri is None:
        return None if cell is None else FetchedMask(cell)
    try:
        return FetchedMask(cell, read(join(column.base, cell.uri)))
    except ImageFailure as failure:
        raise _of_mask(failure, cell) from None


def _of_mask(failure: ImageFailure, cell: MaskCell) -> ImageFailure:
    return ImageFailure(failure.status, failure.stage, f"mask {cell.uri}: {failure.message}", failure.error_type)
