"""No more weights are made than a file holds: a configuration of one line can ask for a Dense layer of 2^40 units.

Imports TensorFlow.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.tensorflow import tf

_UNSAVED = 1 << 22  # numbers that no file holds: seeds, and weights that another layer shares


@contextlib.contextmanager
def at_most_weights(stored: int, source: str) -> Iterator[None]:
    """While active, Keras cannot make variables of more than ``stored`` numbers in all, and a few.

    Raises:
        ModelRefused: it tries to; nothing of that size has been allocated then.
    """
    made = 0

    def create(next_creator: Any, **arguments: Any) -> Any:
        nonlocal made
        shape = arguments.get("shape")
        if shape is not None:
            size = tf.TensorShape(shape)
            # Python's integers do not overflow.
            made += math.prod(size.as_list()) if size.is_fully_defined() else 0
        if made > stored + _UNSAVED:
            raise ModelRefused(
                f"{source} does not fit its own weights: its layers need more than {made:,} numbers, and it holds "
                f"{stored:,}. It is damaged, or its architecture was changed: save the model again"
            )
        return next_creator(**arguments)

    with tf.variable_creator_scope(create):
        yield
