"""Xplique: its GradCAM over the whole batch."""

import keras
import numpy as np
from xplique.attributions import GradCAM

from benchmarks.peers.serve import Explain, keras_lite0, scaled, serve


def prepare(images: np.ndarray, state: dict[str, np.ndarray]) -> Explain:
    model = keras_lite0(state)
    model.layers[-1].activation = keras.activations.linear
    explainer = GradCAM(model, conv_layer="top_activation", batch_size=len(images))
    pixels = scaled(images)

    def explain() -> np.ndarray:
        scores = model(pixels, training=False).numpy()
        return np.asarray(explainer(pixels, np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(axis=1)]))

    return explain


serve(prepare)
