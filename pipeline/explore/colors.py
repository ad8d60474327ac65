"""Colour maps for the browser: those of the overlays, as tables."""

import base64

import numpy as np

from transforms.overlays import color_table

SHOWN = ("turbo", "jet", "inferno", "magma", "viridis", "cividis", "hot", "bone")


def color_tables() -> dict[str, str]:
    """Name -> base64 of 256 RGB triples, for 0..1; ``signed`` for -1..1, blue below and red above."""
    tables = {name: color_table(name).reshape(256, 3) for name in SHOWN} | {"signed": _signed()}
    return {name: base64.b64encode(np.ascontiguousarray(table).tobytes()).decode() for name, table in tables.items()}


def _signed() -> np.ndarray:
    """From blue over white to red, uint8 ``[256, 3]``."""
    ends = {-1.0: (33, 102, 172), -0.5: (146, 197, 222), 0.0: (247, 247, 247), 0.5: (244, 165, 130), 1.0: (178, 24, 43)}
    levels = np.linspace(-1, 1, 256)
    channels = [np.interp(levels, list(ends), [color[place] for color in ends.values()]) for place in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
