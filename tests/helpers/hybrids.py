"""Tiny networks of convolutions and attention, as published, with random weights.

Functional Keras models, so that the output of any layer is at hand: ``keras.Model(model.input, layer.output)``.
"""

import keras
import numpy as np
from keras import layers, ops
from transformers import CLASSES, varied

SHAPE = (64, 96, 3)


class RelativeAttention(layers.Layer):
    """Self-attention over the axis before the last, with a learned bias for each pair of places."""

    def __init__(self, heads: int = 2, **keywords):
        super().__init__(**keywords)
        self.heads = heads

    def build(self, shape):
        width, tokens = shape[-1], shape[-2]
        self.kernels = [self.add_weight(shape=(width, width), name=f"kernel{i}") for i in range(4)]
        self.bias = self.add_weight(shape=(self.heads, tokens, tokens), initializer="random_normal", name="table")

    def call(self, x):
        width, axes = x.shape[-1], range(len(x.shape) - 2)
        q, k, v = (self._split(ops.matmul(x, kernel)) for kernel in self.kernels[:3])
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2)) / (width // self.heads) ** 0.5 + self.bias
        mixed = ops.swapaxes(ops.matmul(ops.softmax(scores), v), -2, -3)
        leading = [x.shape[axis] if axis else -1 for axis in axes]
        return ops.matmul(ops.reshape(mixed, (*leading, x.shape[-2], width)), self.kernels[3])

    def _split(self, x):
        leading = [x.shape[axis] if axis else -1 for axis in range(len(x.shape) - 1)]
        return ops.swapaxes(ops.reshape(x, (*leading, self.heads, x.shape[-1] // self.heads)), -2, -3)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


class Scale(layers.Layer):
    """A learned factor for each channel (CaiT, arXiv 2103.17239; ConvNeXt)."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=shape[-1:], initializer="ones", name="gamma")

    def call(self, x):
        return x * self.gamma


def mbconv(x, width: int, strides: int, name: str):
    """Inverted residual with squeeze and excitation, pre-norm."""
    shortcut = x
    y = layers.BatchNormalization(name=f"{name}_norm")(x)
    y = layers.Conv2D(2 * width, 1, use_bias=False, name=f"{name}_expand")(y)
    y = layers.Activation("gelu")(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
    y = layers.Activation("gelu")(layers.BatchNormalization()(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(2 * width, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="silu")(gate))
    y = layers.Conv2D(width, 1, name=f"{name}_project")(layers.Multiply()([y, gate]))
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same")(x)
    if shortcut.shape[-1] != width:
        shortcut = layers.Conv2D(width, 1, name=f"{name}_shortcut")(shortcut)
    return layers.Add(name=f"{name}_out")([shortcut, y])


def feed_forward(x, name: str):
    y = layers.Dense(2 * x.shape[-1], activation="gelu")(layers.LayerNormalization()(x))
    return layers.Add(name=name)([x, layers.Dense(x.shape[-1])(y)])


def in_blocks(x, size: int):
    """``[B, h, w, C]`` -> ``[B, blocks, size * size, C]``: neighbours attend to each other."""
    _, h, w, c = x.shape
    x = ops.transpose(ops.reshape(x, (-1, h // size, size, w // size, size, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, (h // size) * (w // size), size * size, c))


def out_of_blocks(x, size: int, h: int, w: int):
    c = x.shape[-1]
    x = ops.transpose(ops.reshape(x, (-1, h // size, w // size, size, size, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, h, w, c))


def in_grid(x, size: int):
    """``[B, h, w, C]`` -> ``[B, strides, size * size, C]``: cells far apart attend to each other."""
    _, h, w, c = x.shape
    x = ops.transpose(ops.reshape(x, (-1, size, h // size, size, w // size, c)), (0, 2, 4, 1, 3, 5))
    return ops.reshape(x, (-1, (h // size) * (w // size), size * size, c))


def out_of_grid(x, size: int, h: int, w: int):
    c = x.shape[-1]
    x = ops.transpose(ops.reshape(x, (-1, h // size, w // size, size, size, c)), (0, 3, 1, 4, 2, 5))
    return ops.reshape(x, (-1, h, w, c))


def maxvit() -> keras.Model:
    """MBConv, block attention, grid attention, in each of two stages (Tu et al., arXiv 2204.01697)."""
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(image)
    for stage in range(2):
        x = mbconv(x, 8 * (stage + 1), 2, f"stage{stage}_mbconv")
        _, h, w, _ = x.shape
        for kind, apart, together in (("block", in_blocks, out_of_blocks), ("grid", in_grid, out_of_grid)):
            y = RelativeAttention(name=f"stage{stage}_{kind}_attention")(apart(layers.LayerNormalization()(x), 4))
            x = layers.Add(name=f"stage{stage}_{kind}_add")([x, together(y, 4, h, w)])
            x = feed_forward(x, f"stage{stage}_{kind}_out")
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(16, activation="tanh", name="pre_logits")(layers.LayerNormalization()(x))
    return varied(keras.Model(image, layers.Dense(CLASSES, name="scores")(x), name="maxvit"))


def coatnet() -> keras.Model:
    """MBConv stages, then stages of relative attention over all cells (Dai et al., arXiv 2106.04803)."""
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(image)
    x = mbconv(mbconv(x, 8, 2, "stage1"), 12, 2, "stage2")
    for stage, width in ((3, 16), (4, 20)):
        if stage == 4:  # pooled and projected, in front of the attention and beside it
            x = layers.Conv2D(width, 1, name="project")(layers.MaxPooling2D(2)(x))
        else:
            x = layers.Conv2D(width, 1)(x)
        _, h, w, _ = x.shape
        y = layers.Reshape((h * w, width))(layers.LayerNormalization()(x))
        y = RelativeAttention(name=f"stage{stage}_attention")(y)
        x = layers.Add(name=f"stage{stage}_add")([x, layers.Reshape((h, w, width))(y)])
        x = feed_forward(x, f"stage{stage}_out")
    x = layers.GlobalAveragePooling2D()(layers.LayerNormalization(name="norm")(x))
    return varied(keras.Model(image, layers.Dense(CLASSES, name="scores")(x), name="coatnet"))


def unfold(x, p: int):
    """``[B, h, w, C]`` -> ``[B, p * p, patches, C]``: the same pixel of every patch attends to each other."""
    _, h, w, c = x.shape
    x = ops.reshape(x, (-1, h // p, p, w // p, p, c))
    return ops.reshape(ops.transpose(x, (0, 2, 4, 1, 3, 5)), (-1, p * p, (h // p) * (w // p), c))


def fold(x, p: int, h: int, w: int):
    c = x.shape[-1]
    x = ops.reshape(x, (-1, p, p, h // p, w // p, c))
    return ops.reshape(ops.transpose(x, (0, 3, 1, 4, 2, 5)), (-1, h, w, c))


def mobilevit() -> keras.Model:
    """Patches unfolded, attended to, folded back, beside what came in (Mehta and Rastegari, arXiv 2110.02178)."""
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="silu", name="stem")(image)
    for number in range(2):
        x = mbconv(x, 8 + 4 * number, 2, f"mv{number}")
        _, h, w, c = x.shape
        y = layers.Conv2D(c, 3, padding="same", activation="silu", name=f"local{number}")(x)
        y = unfold(layers.Conv2D(12, 1, use_bias=False, name=f"into{number}")(y), 2)
        for _ in range(2):
            attention = layers.MultiHeadAttention(2, 6, attention_axes=(2,))
            norm = layers.LayerNormalization()(y)
            y = feed_forward(layers.Add()([y, attention(norm, norm)]), None)
        y = fold(layers.LayerNormalization()(y), 2, h, w)
        y = layers.Conv2D(c, 1, activation="silu", name=f"out_of{number}")(y)
        x = layers.Conv2D(c, 3, padding="same", activation="silu", name=f"fused{number}")(layers.Concatenate()([x, y]))
    x = layers.Conv2D(24, 1, activation="silu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return varied(keras.Model(image, layers.Dense(CLASSES, name="scores")(x), name="mobilevit"))


def convnext() -> keras.Model:
    """Depthwise 7 x 7, Dense layers as pointwise convolutions, layer scale (Liu et al., arXiv 2201.03545)."""
    image = keras.Input(SHAPE, name="image")
    x = layers.LayerNormalization()(layers.Conv2D(8, 4, strides=4, name="stem")(image))
    for stage, width in enumerate((8, 16)):
        if stage:
            x = layers.Conv2D(width, 2, strides=2, name="down")(layers.LayerNormalization()(x))
        for number in range(2):
            y = layers.DepthwiseConv2D(7, padding="same", name=f"stage{stage}_{number}_depthwise")(x)
            y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(y))
            x = layers.Add(name=f"stage{stage}_{number}_out")([x, Scale()(layers.Dense(width)(y))])
    x = layers.LayerNormalization(name="norm")(layers.GlobalAveragePooling2D()(x))
    return varied(keras.Model(image, layers.Dense(CLASSES, name="scores")(x), name="convnext"))


def efficientformer() -> keras.Model:
    """Pooling as the mixer on grids, then tokens with attention, pooled; two heads averaged (arXiv 2206.01191)."""
    image = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem1")(image)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="stem2")(x)
    for number in range(2):
        if number:
            x = layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, padding="same", name="down")(x))
        mixed = layers.Subtract()([layers.AveragePooling2D(3, strides=1, padding="same")(x), x])
        x = layers.Add(name=f"mixed{number}")([x, Scale()(mixed)])
        y = layers.BatchNormalization()(layers.Conv2D(2 * x.shape[-1], 1, activation="gelu")(x))
        y = layers.BatchNormalization()(layers.Conv2D(x.shape[-1], 1)(y))
        x = layers.Add(name=f"meta4d{number}")([x, Scale()(y)])
    _, h, w, c = x.shape
    x = layers.Reshape((h * w, c), name="tokens")(x)
    for number in range(2):
        y = RelativeAttention(name=f"attention{number}")(layers.LayerNormalization()(x))
        x = feed_forward(layers.Add()([x, Scale()(y)]), f"meta3d{number}")
    x = ops.mean(layers.LayerNormalization(name="norm")(x), axis=1)
    both = [layers.Dense(CLASSES, name=name)(x) for name in ("scores", "distilled")]
    return varied(keras.Model(image, layers.Average()(both), name="efficientformer"))


def convnext_of_keras() -> keras.Model:
    """The layers of ``keras.applications.ConvNeXtTiny``, two blocks of two stages."""
    from keras.src.applications.convnext import ConvNeXt

    model = ConvNeXt(
        depths=[1, 1, 1, 1], projection_dims=[4, 6, 8, 12], weights=None, input_shape=SHAPE, classes=CLASSES,
        include_preprocessing=False, classifier_activation=None, name="convnext_keras", weights_name=None,
    )  # fmt: skip
    return varied(model)


def images(count: int = 2) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE)).astype(np.uint8)
