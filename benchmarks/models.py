"""The models that are timed: random weights, the same in every process, and the bundled one. Imports Keras."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from transforms.model.cam.dry_run import folded_graph
from transforms.model.cam.explainer import model_input
from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled
from transforms.model.explanation import BatchExplanation, GradCamModel
from transforms.model.graph.graph_def import node_name, splice
from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions, Precision
from transforms.model.plan.plan import make_plan
from transforms.model.tensorflow import tf
from transforms.storage.storage import Storage

BUNDLED = "bundled"


def mobilenet() -> keras.Model:
    return _seeded(keras.applications.MobileNet)


def mobilenet_v2() -> keras.Model:
    return _seeded(keras.applications.MobileNetV2)


def resnet50() -> keras.Model:
    return _seeded(keras.applications.ResNet50)


def vit_small() -> keras.Model:
    """ViT-S/16 with a class token: 12 blocks, width 384, 6 heads (arXiv 2010.11929, 2106.10270)."""
    from benchmarks.transformer import transformer

    keras.utils.set_random_seed(0)
    return transformer(size=224, patch=16, depth=12, width=384, heads=6, classes=1000)


def bundled() -> keras.Model:
    from transforms.model.load.bundled.efficientnet_lite0 import build_efficientnet_lite0

    return build_efficientnet_lite0()


SOURCES = {
    "MobileNet": (mobilenet, "minus_one_to_one"),
    "MobileNetV2": (mobilenet_v2, "minus_one_to_one"),
    "ResNet50": (resnet50, "caffe"),
    "ViT-S/16": (vit_small, "minus_one_to_one"),
    BUNDLED: (bundled, {"scale": 1 / 128, "offset": -127 / 128}),
}


@dataclasses.dataclass(frozen=True)
class TimedModel:
    """One model in three forms, on one batch of photos."""

    compiled: GradCamModel  # as the product runs it
    keras_forward: Any  # the Keras model's plain forward pass as a tf.function, of pixels already scaled
    graph_forward: Any  # the scores of the compiled graph, of uint8 pixels
    images: np.ndarray
    scaled: Any

    def explain(self, classes: int = 1) -> BatchExplanation:
        codes = np.tile(-np.arange(1, classes + 1, dtype=np.int32), (len(self.images), 1))
        return self.compiled.explain(self.images, codes)

    def run_keras(self) -> None:
        self.keras_forward(self.scaled).numpy()

    def run_graph(self) -> None:
        self.graph_forward(tf.constant(self.images)).numpy()


def timed_model(name: str, images: np.ndarray, folder: Path) -> TimedModel:
    """Build, compile and load a model, and check that all its forms give the same scores."""
    build, _ = SOURCES[name]
    options, storage = _options(name), Storage()
    compiled = load_compiled(compiled_folder(name, folder), storage, len(images))
    plan = make_plan(load_model(options, storage), options)
    graph, _ = folded_graph(plan)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, *images.shape[1:]], tf.uint8)])
    def graph_forward(images: tf.Tensor) -> tf.Tensor:
        weights = {name: tf.constant(array) for name, array in graph.weights.items()}
        return splice(
            graph.graph_def, {node_name(graph.input): model_input(images, plan)} | weights, [plan.scores.tensor]
        )[0]

    model = build()
    keras_forward = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    scaled = model_input(tf.constant(images), plan)
    timed = TimedModel(compiled, keras_forward, graph_forward, images, scaled)
    probabilities = compiled.explain(images, np.full((len(images), 1), -1, np.int32)).probabilities
    np.testing.assert_allclose(probabilities, keras_forward(scaled).numpy(), atol=1e-4)
    return timed


def compiled_folder(name: str, folder: Path, precision: Precision = "float32") -> str:
    """Compile a model as the product runs it; where it is then, for ``load_compiled``."""
    card = compile_model(_options(name, precision), str(folder), Storage())
    return f"{folder}/{card.fingerprint}"


def _options(name: str, precision: Precision = "float32") -> ModelOptions:
    build, preprocessing = SOURCES[name]
    return ModelOptions(f"benchmarks.models:{build.__name__}", preprocessing=preprocessing, precision=precision)


def _seeded(build: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(weights=None)
