"""tf-keras-vis: its Gradcam over the whole batch."""

import numpy as np
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore

from benchmarks.peers.serve import Explain, keras_lite0, scaled, serve


def prepare(images: np.ndarray, state: dict[str, np.ndarray]) -> Explain:
    model = keras_lite0(state)
    gradcam = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    pixels = scaled(images)

    def explain() -> np.ndarray:
        classes = model(pixels, training=False).numpy().argmax(axis=1)
        return gradcam(CategoricalScore(classes.tolist()), pixels, penultimate_layer="top_activation")

    return explain


serve(prepare)
