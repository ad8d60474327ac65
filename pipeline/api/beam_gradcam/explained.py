"""What came of images, to look at and to compute with."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa

from transforms.errors import UserError
from transforms.images import Limits, decode_image
from transforms.overlays import OverlaySettings, encode, heatmap_over, render_overlay
from transforms.placement import Placement
from transforms.records import ImageFailure
from transforms.storage import Storage

_LOOK = OverlaySettings()


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """One image and one of its target classes; or an image that could not be explained, whose ``cam`` is None."""

    statistics: dict[str, Any]  # the row of the table, by column name
    cam: np.ndarray | None  # S, float32 [h, w], signed, in score units; of a stored run max(S, 0)
    placement: Placement | None  # of the image in the model input
    content: str | bytes | np.ndarray  # URI, encoded bytes or uint8 pixels [H, W, 3]
    storage: Storage

    def __repr__(self) -> str:
        outcome = self.error or f"{self.target_name or self.target_index}: {self.probability:.3f}"
        return f"<{self.status} {self.uri} {outcome}>"

    @property
    def uri(self) -> str:
        return self.statistics["uri"]

    @property
    def status(self) -> str:
        """OK, ZERO, FLAT, or what went wrong: see :class:`transforms.records.Status`."""
        return self.statistics["status"]

    @property
    def error(self) -> str | None:
        """What went wrong; None where the image was explained."""
        return self.statistics["error_message"]

    @property
    def target_index(self) -> int | None:
        return self.statistics["target_index"]

    @property
    def target_name(self) -> str | None:
        """None where the model has no class names."""
        return self.statistics["target_name"]

    @property
    def probability(self) -> float | None:
        """Of the target class, 0..1."""
        return self.statistics["target_probability"]

    @property
    def score(self) -> float | None:
        """Of the target class, in logits by default: what was differentiated."""
        return self.statistics["target_score"]

    def photo(self) -> np.ndarray:
        """The upright image in full size, uint8 RGB ``[H, W, 3]``; fetched again where it was given by its URI.

        Raises:
            UserError: it cannot be had any more, or has changed.
        """
        if isinstance(self.content, np.ndarray):
            return self.content
        try:
            limits, encoded = Limits(), self.content
            if isinstance(encoded, str):
                encoded = self.storage.fetch(encoded, limits.max_bytes)
            decoded = decode_image(encoded, limits)
        except ImageFailure as failure:
            raise UserError(f"{self.uri}: {failure.message}") from None
        if (decoded.width, decoded.height) != (self.statistics["width"], self.statistics["height"]):
            raise UserError(f"{self.uri}: the image has changed since it was explained; explain it again")
        return decoded.pixels

    def heatmap(self) -> np.ndarray:
        """``max(S, 0) / max S`` over the photo, float32 ``[H, W]``, 0..1; zeros where the model did not see it.

        Upsampled bilinearly, as in Selvaraju et al. 2017. All zeros where no cell is positive.

        Raises:
            UserError: there is no map.
        """
        cam, placement = self._map()
        heatmap = np.zeros((placement.height, placement.width), np.float32)
        if cam.max() > 0:
            rows, columns, seen = heatmap_over(cam, placement, placement.height, placement.width)
            heatmap[rows, columns] = seen
        return heatmap

    def overlay(self, opacity: float = _LOOK.opacity, colormap: str = _LOOK.colormap) -> np.ndarray:
        """The heatmap over the photo in full size, uint8 RGB ``[H, W, 3]``.

        Raises:
            UserError: there is no map, or the photo cannot be had any more.
        """
        cam, placement = self._map()
        return render_overlay(self.photo(), cam, placement, opacity, colormap)

    def _map(self) -> tuple[np.ndarray, Placement]:
        if self.cam is None or self.placement is None:
            raise UserError(f"{self.uri} has no map: {self.status} {self.error or ''}".rstrip())
        return self.cam, self.placement

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows."""
        return None if self.cam is None else encode(self.overlay(), "png", 0)


class Explained(Sequence[Explanation]):
    """Explanations in the order of the images and, for each image, of its target classes."""

    def __init__(self, explanations: Sequence[Explanation], rows: pa.Table):
        self._explanations, self._rows = list(explanations), rows

    @overload
    def __getitem__(self, index: int) -> Explanation: ...

    @overload
    def __getitem__(self, index: slice) -> "Explained": ...

    def __getitem__(self, index: int | slice) -> "Explanation | Explained":
        if isinstance(index, slice):
            places = range(len(self))[index]
            return Explained([self._explanations[place] for place in places], self._rows.take(list(places)))
        return self._explanations[index]

    def __len__(self) -> int:
        return len(self._explanations)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self._explanations)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"

    def table(self) -> pa.Table:
        """The rows as a job would write them; ``.to_pandas()`` makes a data frame."""
        return self._rows
