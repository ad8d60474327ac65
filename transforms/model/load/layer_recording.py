"""Which tensor each Keras layer produced: recorded while tracing, never guessed from the names of operations."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from transforms.model.tensorflow import tf

Recording = list[tuple[str, Any]]


@contextlib.contextmanager
def recording_layers(*layer_classes: type) -> Iterator[Recording]:
    """While active, every call of a layer appends its path and a symbolic tensor that it returned.

    A path names the layers on the call stack, ``model/outer/inner/layer``: nested, shared and subclassed
    models need nothing special. ``layer_classes`` are the base classes whose ``__call__`` all layers go through:
    ``keras.Operation`` and ``tf_keras.layers.Layer``.
    """
    calls: Recording = []
    stack: list[str] = []
    originals = [layer_class.__call__ for layer_class in layer_classes]
    for layer_class, original in zip(layer_classes, originals, strict=True):
        layer_class.__call__ = _recorded(original, stack, calls)  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        for layer_class, original in zip(layer_classes, originals, strict=True):
            layer_class.__call__ = original  # type: ignore[method-assign]


def layer_tensors(calls: Recording, graph: Any) -> dict[str, list[str]]:
    """Layer path without the outermost model -> names of the layer's tensors in ``graph``, in order of the calls.

    Tensors of other graphs, such as the inside of a ``tf.function`` that the model calls, are left out.
    """
    names: dict[str, list[str]] = {}
    for path, tensor in calls:
        _, _, inner = path.partition("/")
        if inner and tensor.graph is graph:
            names.setdefault(inner, []).append(tensor.name)
    return names


def _recorded(original: Callable[..., Any], stack: list[str], calls: Recording) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        stack.append(self.name)
        path = "/".join(stack)
        try:
            result = original(self, *args, **kwargs)
        finally:
            stack.pop()
        for tensor in tf.nest.flatten(result):
            if isinstance(tensor, tf.Tensor) and tf.is_symbolic_tensor(tensor):
                calls.append((path, tensor))
        return result

    return call
