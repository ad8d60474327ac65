"""tf_keras does not wait for ever for a layer that is never called.

It goes round and round over the layers of a functional model until each has its inputs; where one waits for an input
that never comes, it goes round for ever. Keras 3 sees that nothing is gained any more, and stops.

Imports tf_keras: only to be imported where a model is loaded.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from tf_keras.src.engine import functional

from transforms.model.errors import ModelRefused

_SOME = 16  # rounds that are made for other reasons


@contextlib.contextmanager
def ending_reconstruction(source: str) -> Iterator[None]:
    """While active, tf_keras makes no more rounds over the layers of a model than the model has calls.

    Raises:
        ModelRefused: it would.
    """
    original = functional.reconstruct_from_config

    def reconstruct(config: Any, *arguments: Any, **keywords: Any) -> Any:
        layers = config.get("layers") if isinstance(config, dict) else None
        if isinstance(layers, list):
            config = {**config, "layers": _Rounds(layers, source)}
        return original(config, *arguments, **keywords)

    functional.reconstruct_from_config = reconstruct
    try:
        yield
    finally:
        functional.reconstruct_from_config = original


class _Rounds(list[Any]):
    """The layers of a model; each round over them must have brought one call."""

    def __init__(self, layers: list[Any], source: str):
        super().__init__(layers)
        calls = [layer["inbound_nodes"] for layer in layers if isinstance(layer, dict) and "inbound_nodes" in layer]
        self._left = sum(len(nodes) for nodes in calls if isinstance(nodes, list)) + _SOME
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        self._left -= 1
        if self._left < 0:
            raise ModelRefused(
                f"{self._source} is damaged: a layer waits for an output that no layer gives: save the model again"
            )
        return super().__iter__()
