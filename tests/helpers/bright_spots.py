"""A model that tells the colour of the brightest spot, and pictures with a spot somewhere but at the centre."""

import keras
import numpy as np
from keras import layers


def spot_model(units: int = 3) -> keras.Model:
    """What is brighter than 0.7 in a colour, over the others: the plain ground is taken off by the bias."""
    image = keras.Input((32, 32, 3))
    x = layers.AveragePooling2D(4)(layers.Rescaling(1 / 255)(image))
    x = layers.ReLU(name="features")(layers.Conv2D(3, 1, name="spots")(x))
    model = keras.Model(image, layers.Dense(units, name="scores")(layers.GlobalAveragePooling2D()(x)))
    kernel = (np.eye(3) * 1.5 - 0.5).astype(np.float32)[None, None]
    model.get_layer("spots").set_weights([kernel, np.full(3, -0.3, np.float32)])
    model.get_layer("scores").set_weights([np.eye(3, units, dtype=np.float32) * 300, np.zeros(units, np.float32)])
    return model


def spot_pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 RGB ``[count, 32, 32, 3]``, the colours taking turns, and the left and top pixels of the spots of 8 x 8."""
    noise = np.random.default_rng(1)
    pictures = noise.integers(60, 100, (count, 32, 32, 3)).astype(np.uint8)
    corners = noise.choice([0, 4, 20, 24], (count, 2))
    for number, (picture, (left, top)) in enumerate(zip(pictures, corners, strict=True)):
        picture[top : top + 8, left : left + 8] = 0
        picture[top : top + 8, left : left + 8, number % 3] = 255
    return pictures, corners
