"""Small Keras models with random weights, and the slow, obvious Grad-CAM that the compiled one must agree with."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from transforms.model.cam.dry_run import folded_graph
from transforms.model.cam.explainer import Explainer
from transforms.model.load.traced import TracedModel
from transforms.model.load.tracing import trace_keras_model
from transforms.model.options import ModelOptions
from transforms.model.plan.plan import Plan, make_plan
from transforms.model.preprocessing import NAMED, Preprocessing


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Batch norms and biases that do something, as after training; fresh ones are the identity and zero."""
    noise = np.random.default_rng(seed)
    for variable in model.variables:
        if any(word in variable.path for word in ("moving_mean", "beta", "bias")):
            variable.assign(noise.normal(0, 0.3, variable.shape))
        elif any(word in variable.path for word in ("moving_var", "gamma")):
            variable.assign(noise.uniform(0.5, 1.5, variable.shape))
    return model


def convolutional(
    activation: str | None = "softmax", classes: int = 5, size: int = 32, pooled: bool = True
) -> keras.Model:
    """Convolution, batch norm, ReLU, depthwise convolution, batch norm, swish; then a head."""
    return randomised(
        keras.Sequential(
            [
                layers.Input((size, size, 3)),
                layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv"),
                layers.BatchNormalization(name="conv_bn"),
                layers.ReLU(name="conv_relu"),
                layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, name="depthwise"),
                layers.BatchNormalization(name="depthwise_bn"),
                layers.Activation("swish", name="features"),
                layers.GlobalAveragePooling2D() if pooled else layers.Flatten(),
                layers.Dense(classes, activation=activation, name="scores"),
            ],
            name="convolutional",
        )
    )


def traced(
    model: keras.Model, preprocessing: Preprocessing | str = "none", class_names: tuple[str, ...] | None = None
) -> TracedModel:
    if isinstance(preprocessing, str):
        preprocessing = NAMED[preprocessing]
    return dataclasses.replace(trace_keras_model(model, "auto"), preprocessing=preprocessing, class_names=class_names)


def traced_function(
    function: Callable[[Any], Any], shape: tuple[int | None, ...] = (None, 32, 32, 3), dtype: Any = tf.float32
) -> TracedModel:
    """Any function of images, as a model."""
    concrete = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, dtype, "images"))
    names = tuple(concrete.structured_outputs) if isinstance(concrete.structured_outputs, dict) else None
    names = names or tuple(f"output_{i}" for i in range(len(concrete.outputs)))
    return TracedModel(concrete, tuple(sorted(names)), {}, NAMED["none"], None, (), None)


def planned(model: keras.Model | TracedModel, **options: Any) -> Plan:
    return make_plan(model if isinstance(model, TracedModel) else traced(model), ModelOptions("a test", **options))


def explained(plan: Plan, images: np.ndarray, targets: Any) -> dict[str, np.ndarray]:
    graph, _ = folded_graph(plan)
    outputs = Explainer(plan, graph).explain(images, np.array(targets, np.int32))
    return {name: output.numpy() for name, output in outputs.items()}


def images(count: int, size: int = 32, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def tape_gradients(
    features_and_scores: Callable[[Any], tuple[Any, Any]], images: np.ndarray, target: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activations, gradients and scores, one image at a time, in eager mode.

    ``features_and_scores`` maps float32 images, as the model takes them, to its feature maps and its logits.
    """
    activations, gradients, scores = [], [], []
    for image in images.astype(np.float32):
        with tf.GradientTape() as tape:
            batch = tf.constant(image[None])
            tape.watch(batch)
            feature_map, logits = features_and_scores(batch)
            score = logits[0, target]
        activations.append(feature_map[0].numpy())
        gradients.append(tape.gradient(score, feature_map)[0].numpy())
        scores.append(logits[0].numpy())
    return np.stack(activations), np.stack(gradients), np.stack(scores)


def tape_gradcam(features_and_scores: Callable[[Any], tuple[Any, Any]], images: np.ndarray, target: int) -> np.ndarray:
    """Signed Grad-CAM, ``[B, h, w]``: the formula of the paper, loop by loop."""
    activations, gradients, _ = tape_gradients(features_and_scores, images, target)
    maps = np.zeros(activations.shape[:3], np.float32)
    for image in range(len(maps)):
        for channel in range(activations.shape[3]):
            maps[image] += gradients[image, :, :, channel].mean() * activations[image, :, :, channel]
    return maps


def relative_error(values: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(values - reference).max() / np.abs(reference).max())
