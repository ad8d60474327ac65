"""COCO's run lengths -> a mask. Runs go down the columns and begin with those outside."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_FIVE_BITS, _MORE, _SIGN = 0x1F, 0x20, 0x10


def decode_rle(encoded: Any, most_pixels: int) -> np.ndarray:
    """``{"size": [height, width], "counts": ...}`` -> bool ``[height, width]``.

    Args:
        encoded: counts as a list of numbers, or as the text that COCO's tools write.

    Raises:
        ValueError: it is none, or larger than ``most_pixels``.
    """
    try:
        height, width = encoded["size"]
        counts = encoded["counts"]
    except (TypeError, KeyError, ValueError):
        raise ValueError('it is no run-length mask; write {"size": [height, width], "counts": [...]}') from None
    if not all(type(side) is int and side > 0 for side in (height, width)):
        raise ValueError(f"size is {encoded['size']!r}; write [height, width] in pixels")
    if height * width > most_pixels:
        raise ValueError(f"it has {height} x {width} pixels, more than input.max_pixels")
    runs = decode_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError("counts is no list of numbers of pixels, 0 or more, and no text of COCO's")
    if sum(runs) != height * width:
        raise ValueError(f"the runs add up to {sum(runs)} pixels, not to {height} x {width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def decode_counts(text: str) -> Sequence[int]:
    """COCO's compressed counts: six bits a character from "0" on, the lowest first, five of a number and one that says
    whether more follow; from the third on, a number is the difference to the run two before.

    Raises:
        ValueError: it is none.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("counts is no text of COCO's: it has other characters, or a number that is too long")
        number |= (bits & _FIVE_BITS) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _SIGN:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError("counts is no text of COCO's: it ends within a number")
    return runs
