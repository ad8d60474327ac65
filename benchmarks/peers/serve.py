"""The loop of a peer: it makes ready, then times one batch whenever it is asked to."""

import sys
import time
from collections.abc import Callable

import numpy as np

Explain = Callable[[], np.ndarray]


def serve(prepare: Callable[[np.ndarray, dict[str, np.ndarray]], Explain]) -> None:
    """Arguments: a .npz with ``images``, uint8 ``[B, 224, 224, 3]``, and one with the weights of EfficientNet-Lite0.

    ``prepare`` makes a function of both that explains the batch for its predicted classes and gives maps ``[B, ...]``.
    Prints a line when it is ready, then the seconds of one batch for each line on standard input.
    """
    images = np.load(sys.argv[1])["images"]
    explain = prepare(images, dict(np.load(sys.argv[2])))
    maps = np.asarray(explain())
    if len(maps) != len(images) or not np.isfinite(maps).all():
        raise RuntimeError(f"{maps.shape} maps of {len(images)} images")
    print("ready", flush=True)  # noqa: T201
    for _ in sys.stdin:
        start = time.perf_counter()
        explain()
        print(time.perf_counter() - start, flush=True)  # noqa: T201


def keras_lite0(state: dict[str, np.ndarray]):
    """The bundled model, built anew from its weights."""
    from transforms.model.load.bundled.efficientnet_lite0 import build_lite0, set_lite0_weights

    model = build_lite0()
    set_lite0_weights(model, state)
    return model


def scaled(images: np.ndarray) -> np.ndarray:
    """What EfficientNet-Lite0 expects of pixels, float32."""
    return (images.astype(np.float32) - 127) / 128
