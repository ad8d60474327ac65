"""Small classifiers of Keras 3 and tf_keras, to be saved in every way. Imports TensorFlow."""

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from plain_module import CLASSES, images

SIZE = 32
IMAGES = images()
LIBRARIES = {"keras": keras, "tf_keras": tf_keras}


def shake(model, seed: int = 1):
    """Weights and batch norm statistics of a trained model's kind: nothing is 0 or 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(0, 0.3, weight.shape)
        name = getattr(weight, "path", weight.name)
        weight.assign(np.abs(values) + 0.5 if "variance" in name or "gamma" in name else values)
    return model


def tiny_base(library, size: int | None = SIZE, name: str = "tiny_base"):
    """A residual network [size, size, 3] -> [size / 4, size / 4, 8]; its last layer is base_out."""
    layers = library.layers
    inputs = library.Input((size, size, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="base_conv")(inputs)
    x = layers.BatchNormalization(name="base_bn")(x)
    x = layers.ReLU(6.0, name="base_relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="base_depthwise")(x)
    x = layers.Add(name="base_add")([x, y])
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="base_last_conv")(x)
    return shake(library.Model(inputs, layers.ReLU(name="base_out")(x), name=name))


def fine_tuned(
    library, base=None, size: int = SIZE, activation="softmax", classes: int = CLASSES, augmented: bool = True
):
    """The transfer-learning case: augmentation, rescaling and a pretrained base as a layer; pooled and classified."""
    layers = library.layers
    augmentation = [layers.RandomFlip(name="flip"), layers.RandomRotation(0.2, name="rotation")] if augmented else []
    model = library.Sequential(
        [
            library.Input((size, size, 3)),
            *augmentation,
            layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling"),
            base or tiny_base(library, size),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dropout(0.5, name="dropout"),
            layers.Dense(classes, activation=activation, name="scores"),
        ],
        name="fine_tuned",
    )
    shake(model.get_layer("scores"))
    return model


def gradcam(rescaling, base, head, pixels: np.ndarray, target: int) -> np.ndarray:
    """Grad-CAM at the output of ``base``, one image at a time, with a float32 GradientTape on the original layers.

    Args:
        rescaling, base, head: pixels -> input of the base -> features -> logits [1, C].
        pixels: float32 [B, H, W, 3] of 0..255.

    Returns:
        float32 [B, h, w], signed: before the ReLU.
    """
    cams = []
    for image in pixels:
        features = base(rescaling(tf.constant(image[None])), training=False)
        with tf.GradientTape() as tape:
            tape.watch(features)
            score = head(features)[0, target]
        weights = tf.reduce_mean(tape.gradient(score, features), axis=[1, 2], keepdims=True)
        cams.append(tf.reduce_sum(features * weights, axis=-1)[0].numpy())
    return np.stack(cams)


def write_tf1(
    path, tag_sets=(("serve",),), resource=False, shape=(None, 32, 32, 3), signature="serving_default", images=IMAGES
):
    """A SavedModel as TF1 wrote it: a graph, a session and variables of either kind.

    Returns:
        Its scores of ``images``, and its weights kernel and dense.
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(5)
        photo = v1.placeholder(tf.float32, shape, name="photo")
        kernel = v1.get_variable("kernel", [3, 3, 3, 8], use_resource=resource)
        features = tf.nn.relu(tf.nn.conv2d(photo / 255.0, kernel, 2, "SAME"), name="features")
        dense = v1.get_variable("dense", [8, CLASSES], use_resource=resource)
        scores = tf.nn.softmax(tf.reduce_mean(features, [1, 2]) @ dense)
        session.run(v1.global_variables_initializer())
        info = v1.saved_model.build_tensor_info
        outputs = {"default": info(scores), "features": info(features)}
        signatures = {signature: v1.saved_model.build_signature_def({"photo": info(photo)}, outputs, "predict")}
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, list(tag_sets[0]), signatures)
        for tags in tag_sets[1:]:
            builder.add_meta_graph(list(tags), signatures)
        builder.save()
        return session.run({"scores": scores, "kernel": kernel, "dense": dense}, {photo: images})
