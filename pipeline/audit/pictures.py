"""Maps as pictures of a few hundred bytes, and figures as inline SVG. Nothing is fetched from anywhere."""

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#0a0b0c"  # stands for the page's own text colour, light or dark
ACCENT = "#2f7ed8"
ALARM = "#d9603b"

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "beam-gradcam",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def map_picture(lift: np.ndarray, maximum: float) -> str:
    """A map as the data URI of a PNG with one pixel per cell, dark = 0, bright = ``maximum``; empty for NaN."""
    if np.isnan(lift).any():
        return ""
    levels = np.round(np.clip(lift / maximum, 0, 1) * 255).astype(np.uint8)
    encoded = cv2.imencode(".png", cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(encoded).decode()


def forest(
    names: Sequence[str],
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    flagged: np.ndarray,
    lines: dict[str, float],
    label: str,
) -> str:
    """Means with intervals, one line each, the first on top; ``lines`` are vertical marks with a name."""  # fmt: skip
    count = len(names)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.4, 0.7 + 0.22 * count), layout="constrained")
        axes = figure.subplots()
        places = np.arange(count)
        colors = [ALARM if flag else ACCENT for flag in flagged]
        axes.hlines(places, low, high, colors=colors, linewidth=1.6)
        axes.scatter(mean, places, c=colors, s=18, zorder=3)
        _vertical_lines(axes, lines)
        axes.set_yticks(places, [_short(name) for name in names])
        axes.set_ylim(count - 0.4, -0.6)
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(left=min(0.0, float(np.nanmin(mean))))
        return _svg(figure)


def histograms(panels: Sequence[tuple[str, np.ndarray, np.ndarray, dict[str, float]]]) -> str:
    """One small histogram each: title, edges ``[b + 1]``, counts ``[b]``, vertical marks."""
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.5 * columns, 1.75 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, edges, counts, lines) in zip(grid.flat, panels, strict=False):
            axes.stairs(counts, edges, fill=True, color=ACCENT, alpha=0.75)
            _vertical_lines(axes, lines)
            axes.set_xlabel(title)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        return _svg(figure)


def trends(panels: Sequence[tuple[str, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """Binned means with intervals: x title, y title, centres, means, low and high ends."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.6 * len(panels), 2.1), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False)
        for axes, (across, up, centres, mean, low, high) in zip(grid.flat, panels, strict=True):
            axes.fill_between(centres, low, high, color=ACCENT, alpha=0.2, linewidth=0)
            axes.plot(centres, mean, color=ACCENT, marker="o", markersize=3, linewidth=1.2)
            axes.set_xlabel(across)
            axes.set_title(up)
        return _svg(figure)


def _vertical_lines(axes: Axes, lines: dict[str, float]) -> None:
    for place, (name, value) in enumerate(lines.items()):
        axes.axvline(value, color=INK, linewidth=0.9, linestyle=("--", ":", "-.")[place % 3], zorder=1)
        # One above the other: values may lie close together.
        axes.annotate(
            name, (value, 1), (2, 1 + 8 * place), axes.get_xaxis_transform(), "offset points", fontsize=7, va="bottom"
        )


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2).replace("<svg", '<svg class="figure"', 1)
