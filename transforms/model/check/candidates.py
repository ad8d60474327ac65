"""The preprocessings that a model may have been trained with. No TensorFlow here."""

import dataclasses

from transforms.model.preprocessing import NAMED, SIXTEEN_BITS, Preprocessing


def candidates_beside(taken: Preprocessing, integers: bool = False) -> tuple[Preprocessing, ...]:
    """``taken`` first, then the conventions of the field, ``taken`` with red and blue the other way round, 16 bits.

    Args:
        integers: the model takes whole numbers: nothing but the order of the channels is open.
    """
    order = dataclasses.replace(taken, name=f"{taken.name}, {'RGB' if taken.bgr else 'BGR'}", bgr=not taken.bgr)
    others = (order,) if integers else (*NAMED.values(), order, SIXTEEN_BITS)
    found = [taken]
    for other in others:
        if not any(other.same_as(each) for each in found):
            found.append(other)
    return tuple(found)
