"""``keras:NAME``: the architectures of keras.applications.

Imports Keras: only to be imported where a model is loaded.
"""

import difflib
import inspect
from typing import Any

import keras

from transforms.model.errors import ModelRefused

_DEFAULT_SIZE = 224  # of the few applications that leave their size free, such as MobileNetV3


def build_application(
    name: str, weights: str | None, input_size: str | tuple[int, int], library: Any = keras, **options: Any
) -> Any:
    """Build an architecture by its name in keras.applications.

    Args:
        name: such as MobileNetV2.
        weights: imagenet, or None for random weights.
        input_size: (height, width), or auto for the size that the architecture is made for.
        library: keras or tf_keras.
        options: further arguments of the architecture, such as ``classes``.

    Raises:
        ModelRefused: there is no such architecture, its weights cannot be downloaded, or it refuses the size.
    """
    architecture = _architecture(name, library)
    shape = None if input_size == "auto" else (*input_size, 3)
    try:
        return architecture(weights=weights, input_shape=shape, **options)
    except ValueError as error:
        raise ModelRefused(f"keras:{name} cannot be built: {error}") from error
    except Exception as error:
        # keras.utils.get_file raises a bare Exception when there is no network.
        if type(error) is not Exception:
            raise
        raise ModelRefused(
            f"the {weights} weights of keras:{name} cannot be downloaded ({error}): give a file with them as "
            "model.weights, or run where the network allows it; model.weights: none gives random weights"
        ) from error


def size_of(model: Any) -> str | tuple[int, int]:
    """The image size to trace an application with: its own, or 224 x 224 where it leaves it free.

    Not by building it a second time, which would give its layers other automatic names.
    """
    return (_DEFAULT_SIZE, _DEFAULT_SIZE) if None in model.input_shape[1:3] else "auto"


def _architecture(name: str, library: Any) -> Any:
    known = {
        name: function
        for name, function in inspect.getmembers(library.applications, inspect.isfunction)
        if "include_top" in inspect.signature(function).parameters
    }
    if name not in known:
        close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], 3, 0.5)
        similar = [k for k in known if k.lower() in close]
        hint = f"did you mean {', '.join(similar)}?" if similar else f"there are {', '.join(known)}"
        raise ModelRefused(f"keras.applications has no {name}: {hint}")
    return known[name]
