"""No more weights are made than a file holds: a configuration of one line can ask for a Dense layer of 2^40 units.

Imports Keras and tf_keras: only to be imported where a model is loaded.
"""

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tf_keras

from transforms.model.errors import ModelRefused

_UNSAVED = 1 << 22  # numbers that no file holds: seeds, and weights that another layer shares


@contextlib.contextmanager
def at_most_weights(stored: int, source: str) -> Iterator[None]:
    """While active, layers of either Keras cannot make weights of more than ``stored`` numbers in all, and a few.

    Raises:
        ModelRefused: they try to; nothing of that size has been allocated then.
    """
    made = 0

    def count(shape: Any) -> None:
        nonlocal made
        dimensions = shape if isinstance(shape, list | tuple) else getattr(shape, "as_list", lambda: [shape])()
        # Python's integers do not overflow.
        made += math.prod(size for size in dimensions if isinstance(size, int))
        if made > stored + _UNSAVED:
            raise ModelRefused(
                f"{source} does not fit its own weights: its layers need more than {made:,} numbers, and it holds "
                f"{stored:,}. It is damaged, or its architecture was changed: save the model again"
            )

    layers = (keras.layers.Layer, tf_keras.layers.Layer)
    originals = [layer.add_weight for layer in layers]
    for layer, original in zip(layers, originals, strict=True):
        layer.add_weight = _counted(original, count)
    try:
        yield
    finally:
        for layer, original in zip(layers, originals, strict=True):
            layer.add_weight = original


def _counted(original: Callable[..., Any], count: Callable[[Any], None]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def add_weight(*arguments: Any, **keywords: Any) -> Any:
        count(signature.bind(*arguments, **keywords).arguments.get("shape") or ())
        return original(*arguments, **keywords)

    return add_weight
