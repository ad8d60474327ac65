"""A vision transformer of Keras' own layers, to be timed. Imports Keras."""

import keras
from keras import layers, ops


class ClassToken(layers.Layer):
    """A learned token in front of the patches, and learned places."""

    def build(self, shape: tuple[int | None, int, int]) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[2]), initializer="random_normal")
        self.places = self.add_weight(shape=(1, shape[1] + 1, shape[2]), initializer="random_normal")

    def call(self, patches: keras.KerasTensor) -> keras.KerasTensor:
        token = ops.broadcast_to(self.token, (ops.shape(patches)[0], 1, patches.shape[2]))
        return ops.concatenate([token, patches], axis=1) + self.places


def transformer(size: int, patch: int, depth: int, width: int, heads: int, classes: int) -> keras.Model:
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(width, patch, strides=patch)(image)
    x = ClassToken()(layers.Reshape((-1, width))(x))
    for _ in range(depth):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(y, y)
        y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(y)
    x = layers.LayerNormalization()(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x[:, 0]))
