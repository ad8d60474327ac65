"""The Grad-CAM example of keras.io, from its description, image by image: over a batch it would mix the images."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.serve import Explain, keras_lite0, scaled, serve


def prepare(images: np.ndarray, state: dict[str, np.ndarray]) -> Explain:
    model = keras_lite0(state)
    model.layers[-1].activation = None
    grad_model = keras.Model(model.inputs, [model.get_layer("top_activation").output, model.output])
    pixels = scaled(images)

    def heatmap(image: np.ndarray) -> np.ndarray:
        with tf.GradientTape() as tape:
            features, scores = grad_model(image[None])
            class_channel = scores[:, tf.argmax(scores[0])]
        gradients = tape.gradient(class_channel, features)
        weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
        cam = tf.squeeze(features[0] @ weights[..., tf.newaxis])
        return (tf.maximum(cam, 0) / tf.math.reduce_max(cam)).numpy()

    return lambda: np.stack([heatmap(image) for image in pixels])


serve(prepare)
