"""No model is run that no machine could run: a file of one line can ask for images of 2^30 x 2^30 pixels."""

import math
from typing import Any

from transforms.model.errors import ModelRefused

_LARGEST_IMAGE = 1 << 28  # numbers: 9459 x 9459 x 3
_LARGEST_TENSOR = 1 << 30  # numbers of one image's tensor: 4 GB of float32


def refuse_giant_tensors(function: Any, source: str) -> None:
    """Refuse a concrete function whose input or any other tensor would be beyond every machine, as far as shapes tell.

    Raises:
        ModelRefused: with the tensor and its shape.
    """
    for operation in function.graph.get_operations():
        for tensor in operation.outputs:
            shape = tensor.shape.as_list() if tensor.shape.rank is not None else []
            size = math.prod(1 if length is None else length for length in shape)
            if size > (_LARGEST_IMAGE if tensor is function.inputs[0] else _LARGEST_TENSOR):
                raise ModelRefused(
                    f"{source}: {tensor.name} of the shape {['any' if n is None else n for n in shape]} has {size:,} "
                    "numbers for each image, more than any machine takes: it is damaged, or was made for something "
                    "else. If it takes images of any size, say a smaller model.input_size"
                )
