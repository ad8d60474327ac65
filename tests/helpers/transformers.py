"""Tiny vision transformers of all kinds, with random weights, and what a tape sees in them.

Each is a functional Keras model, so that ``keras.Model(model.input, [tokens, model.output])`` gives the tensor that a
map is drawn on; nothing here knows how the product finds it.
"""

import keras
import numpy as np
from keras import layers, ops

CLASSES = 5


class Prefix(layers.Layer):
    """Learned tokens in front of the patches: class token, distillation token, registers."""

    def __init__(self, count: int = 1, **keywords):
        super().__init__(**keywords)
        self.count = count

    def build(self, shape):
        self.tokens = self.add_weight(shape=(1, self.count, shape[-1]), initializer="random_normal", name="tokens")

    def call(self, patches):
        tokens = ops.broadcast_to(self.tokens, (ops.shape(patches)[0], self.count, patches.shape[-1]))
        return ops.concatenate([tokens, patches], axis=1)

    def get_config(self):
        return {**super().get_config(), "count": self.count}


class Position(layers.Layer):
    """Learned embeddings of the places of tokens."""

    def build(self, shape):
        self.table = self.add_weight(shape=(1, *shape[1:]), initializer="random_normal", name="table")

    def call(self, tokens):
        return tokens + self.table


class Latent(layers.Layer):
    """A learned query that reads all tokens: the attention pooling (MAP) of Zhai et al., arXiv 2106.04560."""

    def build(self, shape):
        self.query = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="query")
        self.attention = layers.MultiHeadAttention(2, shape[-1] // 2, name="attention")
        self.attention.build((None, 1, shape[-1]), shape)

    def call(self, tokens):
        query = ops.broadcast_to(self.query, (ops.shape(tokens)[0], 1, tokens.shape[-1]))
        return self.attention(query, tokens)[:, 0]


class Windows(layers.Layer):
    """``[B, h, w, C]`` -> ``[B, windows, m * m, C]``, or back; shifted by ``shift`` cells first, or last."""

    def __init__(self, size: int, shift: int = 0, grid: tuple[int, int] | None = None, **keywords):
        super().__init__(**keywords)
        self.size, self.shift, self.grid = size, shift, grid

    def call(self, x):
        m = self.size
        if self.grid is None:
            _, h, w, c = x.shape
            x = ops.roll(x, (-self.shift, -self.shift), axis=(1, 2)) if self.shift else x
            x = ops.reshape(x, (-1, h // m, m, w // m, m, c))
            return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, (h // m) * (w // m), m * m, c))
        h, w = self.grid
        x = ops.reshape(x, (-1, h // m, w // m, m, m, x.shape[-1]))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h, w, x.shape[-1]))
        return ops.roll(x, (self.shift, self.shift), axis=(1, 2)) if self.shift else x

    def get_config(self):
        return {**super().get_config(), "size": self.size, "shift": self.shift, "grid": self.grid}


def block(x, number: int, heads: int = 2):
    """Pre-norm, Keras' own attention over the axis before the last."""
    width = x.shape[-1]
    y = layers.LayerNormalization(name=f"block{number}_norm1")(x)
    axes = {"attention_axes": (2,)} if len(x.shape) == 4 else {}
    attention = layers.MultiHeadAttention(heads, width // heads, name=f"block{number}_attention", **axes)
    x = layers.Add(name=f"block{number}_add1")([x, attention(y, y)])
    y = layers.LayerNormalization(name=f"block{number}_norm2")(x)
    y = layers.Dense(2 * width, activation="gelu", name=f"block{number}_dense1")(y)
    y = layers.Dense(width, name=f"block{number}_dense2")(y)
    return layers.Add(name=f"block{number}_out")([x, y])


def patches(image, size: int, width: int):
    """Patch embedding by a strided convolution."""
    x = layers.Conv2D(width, size, strides=size, name="embed")(image)
    return layers.Reshape((-1, width), name="tokens")(x)


def patches_without_convolution(image, size: int, width: int):
    """Patch embedding by space-to-depth and a Dense layer."""
    _, h, w, c = image.shape
    x = layers.Reshape((h // size, size, w // size, size, c))(image)
    x = layers.Permute((1, 3, 2, 4, 5))(x)
    x = layers.Reshape(((h // size) * (w // size), size * size * c))(x)
    return layers.Dense(width, name="embed")(x)


def vit(
    head: str = "class",
    prefix: int = 1,
    shape: tuple[int, int] = (32, 48),
    depth: int = 3,
    embed=patches,
    size: int = 8,
    width: int = 16,
) -> keras.Model:
    """``head``: class, distilled, mean, flatten, map or max."""
    image = keras.Input((*shape, 3), name="image")
    x = embed(image, size, width)
    x = Prefix(prefix, name="prefix")(x) if prefix else x
    x = Position(name="position")(x)
    for number in range(depth):
        x = block(x, number)
    x = layers.LayerNormalization(name="norm")(x)
    if head == "class":
        scores = layers.Dense(CLASSES, name="scores")(x[:, 0])
    elif head == "distilled":
        both = [layers.Dense(CLASSES, name=name)(x[:, i]) for i, name in enumerate(("scores", "distilled"))]
        scores = layers.Average()(both)
    elif head == "mean":
        scores = layers.Dense(CLASSES, name="scores")(layers.GlobalAveragePooling1D()(x[:, prefix:]))
    elif head == "max":
        scores = layers.Dense(CLASSES, name="scores")(layers.GlobalMaxPooling1D()(x[:, prefix:]))
    elif head == "flatten":
        hidden = layers.Dense(8, activation="gelu")(layers.Flatten()(x))
        scores = layers.Dense(CLASSES, name="scores")(hidden)
    else:
        scores = layers.Dense(CLASSES, name="scores")(Latent(name="pool")(x))
    return varied(keras.Model(image, scores, name=f"vit_{head}"))


def channels_before_tokens() -> keras.Model:
    """An MLP mixer that keeps ``[B, C, N]`` (Tolstikhin et al., arXiv 2105.01601)."""
    image = keras.Input((32, 48, 3), name="image")
    x = layers.Permute((2, 1))(patches(image, 8, 16))
    for number in range(2):
        y = layers.Dense(24, name=f"mix{number}")(x)  # over the tokens
        x = layers.Add(name=f"mixed{number}")([x, layers.Activation("gelu")(y)])
        y = layers.Permute((2, 1))(layers.Dense(16, name=f"channels{number}")(layers.Permute((2, 1))(x)))
        x = layers.Add(name=f"out{number}")([x, y])
    scores = layers.Dense(CLASSES, name="scores")(ops.mean(layers.ReLU(name="features")(x), axis=2))
    return varied(keras.Model(image, scores, name="mixer"))


def batch_second() -> keras.Model:
    """Tokens ``[N, B, C]``, as torch has them."""
    image = keras.Input((32, 48, 3), name="image")
    x = ops.transpose(patches(image, 8, 16), (1, 0, 2))
    for number in range(3):
        x = layers.Add()([x, layers.Dense(16, activation="gelu", name=f"dense{number}")(x)])
    scores = layers.Dense(CLASSES, name="scores")(ops.mean(layers.ReLU(name="features")(x), axis=0))
    return varied(keras.Model(image, scores, name="batch_second"))


def windows(shift: int = 2) -> keras.Model:
    """Attention in shifted windows of 4 x 4, which the network stays in: ``[B, windows, 16, C]``."""
    image = keras.Input((64, 96, 3), name="image")
    x = layers.Conv2D(16, 8, strides=8, name="embed")(image)
    x = Windows(4, shift, name="partition")(x)
    for number in range(2):
        x = block(x, number)
    scores = layers.Dense(CLASSES, name="scores")(ops.mean(layers.ReLU(name="features")(x), axis=(1, 2)))
    return varied(keras.Model(image, scores, name="windows"))


def swin() -> keras.Model:
    """Two stages of windows on tokens ``[B, N, C]`` with patch merging between (Liu et al., arXiv 2103.14030)."""
    image = keras.Input((64, 96, 3), name="image")
    h, w, width, m, number = 16, 24, 8, 4, 0
    x = patches(image, 4, width)
    for stage in range(2):
        for shift in (0, 2):
            y = layers.Reshape((h, w, width))(layers.LayerNormalization()(x))
            y = Windows(m, shift)(y)
            attention = layers.MultiHeadAttention(2, width // 2, attention_axes=(2,), name=f"attention{number}")
            y = Windows(m, shift, (h, w))(attention(y, y))
            x = layers.Add(name=f"block{number}_add1")([x, layers.Reshape((h * w, width))(y)])
            y = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
            x = layers.Add(name=f"block{number}_out")([x, layers.Dense(width)(y)])
            number += 1
        if stage == 0:  # patch merging
            g = ops.reshape(x, (-1, h, w, width))
            parts = [g[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
            g = ops.reshape(ops.concatenate(parts, axis=-1), (-1, h * w // 4, 4 * width))
            h, w, width = h // 2, w // 2, 2 * width
            x = layers.Dense(width, use_bias=False, name="reduction")(layers.LayerNormalization()(g))
    x = layers.LayerNormalization(name="norm")(x)
    scores = layers.Dense(CLASSES, name="scores")(layers.GlobalAveragePooling1D()(x))
    return varied(keras.Model(image, scores, name="swin"))


def hybrid() -> keras.Model:
    """A convolutional stem, then a transformer with a class token."""
    image = keras.Input((64, 96, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem1")(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem2")(x)
    x = patches_of_map(x, 4, 16)
    x = Position(name="position")(Prefix(1, name="prefix")(x))
    for number in range(2):
        x = block(x, number)
    x = layers.LayerNormalization(name="norm")(x)
    return varied(keras.Model(image, layers.Dense(CLASSES, name="scores")(x[:, 0]), name="hybrid"))


def patches_of_map(x, size: int, width: int):
    x = layers.Conv2D(width, size, strides=size, name="embed")(x)
    return layers.Reshape((-1, width))(x)


def varied(model: keras.Model, seed: int = 0) -> keras.Model:
    """Norms, biases and tokens that do something, as after training."""
    noise = np.random.default_rng(seed)
    for weight in model.weights:
        if any(word in weight.path for word in ("bias", "beta")):
            weight.assign(noise.normal(0, 0.3, weight.shape))
        elif "gamma" in weight.path:
            weight.assign(noise.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) > 1:
            weight.assign(noise.normal(0, 0.25, weight.shape))
    return model
