"""The preprocessings that a model may have been trained with. No TensorFlow here."""

import dataclasses

import numpy as np

from transforms.model.preprocessing import NAMED, SIXTEEN_BITS, Preprocessing

_COLOURS = np.array([[0, 0, 0], [255, 128, 64]], np.uint8)


def candidates_beside(taken: Preprocessing, integers: bool = False) -> tuple[Preprocessing, ...]:
    """``taken`` first, then the conventions of the field, ``taken`` with red and blue the other way round, 16 bits.

    Args:
        integers: the model takes whole numbers: nothing but the order of the channels is open.
    """
    order = dataclasses.replace(taken, name=f"{taken.name}, {'RGB' if taken.bgr else 'BGR'}", bgr=not taken.bgr)
    others = (order,) if integers else (*NAMED.values(), order, SIXTEEN_BITS)
    found = [taken]
    for other in others:
        if not any(_are_equal(other, each) for each in found):
            found.append(other)
    return tuple(found)


def _are_equal(first: Preprocessing, second: Preprocessing) -> bool:
    """They make the same of every picture: told by what they make of two colours."""
    return bool(np.allclose(first.apply(_COLOURS), second.apply(_COLOURS), rtol=1e-5, atol=1e-5))
