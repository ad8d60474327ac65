"""Heatmaps over the photos that they explain."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.overlays.archive import encode_tar, member_of, member_uri
    from transforms.overlays.render import color_table, colormaps, encode, heatmap_over, render_overlay
    from transforms.overlays.settings import ImageFormat, OverlaySettings

__all__ = [
    "ImageFormat",
    "OverlaySettings",
    "color_table",
    "colormaps",
    "encode",
    "encode_tar",
    "heatmap_over",
    "member_of",
    "member_uri",
    "render_overlay",
]
__getattr__ = lazy_face(__name__, __file__)
