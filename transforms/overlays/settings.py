"""How overlays look."""

import dataclasses
from typing import Literal

ImageFormat = Literal["jpg", "png"]


@dataclasses.dataclass(frozen=True)
class OverlaySettings:
    """How overlays look."""

    max_side: int = 640  # pixels
    opacity: float = 0.4  # of the heatmap, 0..1
    colormap: str = "jet"
    format: ImageFormat = "jpg"
    quality: int = 90  # of JPEG, 0..100
    in_tar: bool = False  # those of a shard in one tar, in place of a file each
