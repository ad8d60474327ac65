"""Maps as pictures of a few hundred bytes, and figures as inline SVG. Nothing is fetched from anywhere."""

import base64
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    "text.parse_math": False,  # a class may be called "$5 note"
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
        axes.set_yticks(places, names)
        axes.set_ylim(count - 0.4, -0.6)
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(left=min(0.0, float(np.nanmin(mean))))
        return _svg(figure)


def histogram(title: str, edges: np.ndarray, counts: np.ndarray, lines: dict[str, float]) -> str:
    """Counts ``[b]`` between edges ``[b + 1]``; ``lines`` are vertical marks with a name."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.5, 1.75), layout="constrained")
        axes = figure.subplots()
        axes.stairs(counts, edges, fill=True, color=ACCENT, alpha=0.75)
        _vertical_lines(axes, lines)
        axes.set_xlabel(title)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        return _svg(figure)


def trend(across: str, up: str, centres: np.ndarray, mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Means of groups with the ends of their intervals, over the groups' centres."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.6, 2.1), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(centres, low, high, color=ACCENT, alpha=0.2, linewidth=0)
        axes.plot(centres, mean, color=ACCENT, marker="o", markersize=3, linewidth=1.2)
        axes.set_xlabel(across)
        axes.set_title(up)
        return _svg(figure)


def course(title: str, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Counts or shares of consecutive runs with the ends of their intervals; NaN: not known of a run."""
    numbers = np.arange(1, len(values) + 1)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.6, 2.1), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(numbers, low, high, color=ACCENT, alpha=0.2, linewidth=0)
        axes.plot(numbers, values, color=ACCENT, marker="o", markersize=3, linewidth=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlim(0.5, len(values) + 0.5)
        top = float(np.nanmax(high))
        axes.set_ylim(0, 1.1 * top if top > 0 else 1)
        axes.set_xlabel("run, the newest right")
        axes.set_title(title)
        return _svg(figure)


def _vertical_lines(axes: Axes, lines: dict[str, float]) -> None:
    for place, (name, value) in enumerate(lines.items()):
        axes.axvline(value, color=INK, linewidth=0.9, linestyle=("--", ":", "-.")[place % 3], zorder=1)
        # One above the other: values may lie close together.
        axes.annotate(
            name, (value, 1), (2, 1 + 8 * place), axes.get_xaxis_transform(), "offset points", fontsize=7, va="bottom"
        )


def short(name: str, count: float, most: int = 24) -> str:
    """A name that fits beside a figure, with a count in brackets."""
    return f"{name if len(name) <= most else name[: most - 1] + '…'} ({count:.0f})"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the text is set by the browser
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r' height="[\d.]+pt"', "", text, count=1).replace("<svg", '<svg class="figure"', 1)
