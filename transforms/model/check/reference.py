"""``model.reference``: the user's own code, from the bytes of an image to the array that it feeds to the model."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.load import importable_working_directory


def reference_arrays(name: str, encoded: Sequence[bytes], height: int, width: int) -> np.ndarray:
    """float32 ``[N, H, W, 3]``: what the function ``package.module:function`` makes of encoded images.

    Raises:
        ModelRefused: there is no such function, it fails, or it gives something else than the model takes.
    """
    function = _function(name)
    arrays = []
    for content in encoded:
        try:
            given = function(content)
        except Exception as error:  # whatever the user's code raises
            raise ModelRefused(f"model.reference {name} failed: {type(error).__name__}: {error}") from error
        arrays.append(_checked(given, name, height, width))
    return np.stack(arrays)


def input_difference(ours: np.ndarray, theirs: np.ndarray | None) -> float | None:
    """The mean absolute difference as a share of the range of the user's own arrays; None where they have none."""
    if theirs is None:
        return None
    reach = float(theirs.max() - theirs.min())
    return float(np.abs(ours - theirs).mean()) / reach if reach else None


def _function(name: str) -> Callable[[bytes], Any]:
    module_name, _, function_name = name.partition(":")
    with importable_working_directory():
        try:
            function = getattr(importlib.import_module(module_name), function_name, None)
        except ImportError as error:
            raise ModelRefused(
                f"model.reference {name}: {module_name} cannot be imported ({error}); it must lie in the working "
                "directory, on PYTHONPATH, or be installed"
            ) from error
    if not callable(function):
        raise ModelRefused(f"model.reference {name}: {module_name} has no function {function_name}")
    return function


def _checked(given: Any, name: str, height: int, width: int) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.shape == (3, height, width) and array.shape != (height, width, 3):
        array = np.moveaxis(array, 0, 2)
    if array.shape != (height, width, 3) or not (np.issubdtype(array.dtype, np.number)):
        raise ModelRefused(
            f"model.reference {name} gives {array.dtype} {list(array.shape)}, the model takes [{height}, {width}, 3]: "
            "return for the bytes of one image the array that your own code feeds, without or with a batch of one"
        )
    return array.astype(np.float32)
