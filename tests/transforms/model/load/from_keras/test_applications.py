"""The networks of keras.applications with random weights: the layer that an expert would choose, and its map."""

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from small_models import explained, planned, randomised, relative_error

from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.model.plan.plan import make_plan
from transforms.storage.storage import Storage

TOLERANCE = 1e-4  # measured: 7e-7 (Xception) to 3e-6 (EfficientNetB0)

# VGG16: the last convolution, as in the Grad-CAM paper, not the pooling that only makes its map coarser.
EXPECTED = {
    "MobileNet": ("conv_pw_13_relu", 96, (3, 3, 1024)),
    "MobileNetV2": ("out_relu", 96, (3, 3, 1280)),
    "MobileNetV3Small": ("activation_17", 96, (3, 3, 576)),
    "VGG16": ("block5_conv3", 64, (4, 4, 512)),
    "ResNet50": ("conv5_block3_out", 96, (3, 3, 2048)),
    "ResNet50V2": ("post_relu", 96, (3, 3, 2048)),
    "InceptionV3": ("mixed10", 139, (3, 3, 2048)),
    "DenseNet121": ("relu", 96, (3, 3, 1024)),
    "EfficientNetB0": ("top_activation", 96, (3, 3, 1280)),
    "Xception": ("block14_sepconv2_act", 96, (3, 3, 2048)),
}
QUICK = ("MobileNetV2",)

# As a user asks for them: at the size that each network is made for.
CHOSEN = {
    "keras:MobileNet": ("conv_pw_13_relu", (7, 7, 1024)),
    "keras:MobileNetV2": ("out_relu", (7, 7, 1280)),
    "keras:MobileNetV3Small": ("activation_17", (7, 7, 576)),
    "keras:MobileNetV3Large": ("activation_19", (7, 7, 960)),
    "keras:VGG16": ("block5_conv3", (14, 14, 512)),
    "keras:ResNet50": ("conv5_block3_out", (7, 7, 2048)),
    "keras:ResNet50V2": ("post_relu", (7, 7, 2048)),
    "keras:InceptionV3": ("mixed10", (8, 8, 2048)),
    "keras:DenseNet121": ("relu", (7, 7, 1024)),
    "keras:EfficientNetB0": ("top_activation", (7, 7, 1280)),
    "keras:Xception": ("block14_sepconv2_act", (10, 10, 2048)),
    "keras:ConvNeXtTiny": ("add_17", (7, 7, 768)),
    "keras:NASNetMobile": ("activation_187", (7, 7, 1056)),
    "bundled:efficientnet-lite0": ("top_activation", (7, 7, 1280)),
}
QUICKLY_CHOSEN = ("keras:MobileNetV3Small",)


@pytest.mark.parametrize(
    "source", [pytest.param(s, marks=[] if s in QUICKLY_CHOSEN else [pytest.mark.slow]) for s in CHOSEN]
)
def test_the_layer_that_an_expert_would_choose(source):
    keras.utils.clear_session()
    options = ModelOptions(source, weights="none" if source.startswith("keras:") else None)
    plan = make_plan(load_model(options, Storage()), options)
    target = plan.target
    assert (target.name, (target.height, target.width, target.channels)) == CHOSEN[source]
    assert plan.scores.activation == "softmax"
    assert plan.scores.class_count == 1000
    assert target.share_behind < 0.03
    assert target.name in [candidate.name for candidate in plan.candidates]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in EXPECTED])
def test_the_last_feature_map_and_its_explanation(name):
    layer, size, grid = EXPECTED[name]
    build = getattr(keras.applications, name)
    keras.utils.clear_session()
    arguments = {"weights": None, "input_shape": (size, size, 3), "classes": 10}
    logits = randomised(build(**arguments, classifier_activation=None))
    keras.utils.clear_session()  # the same automatic names again
    softmax = build(**arguments)
    softmax.set_weights(logits.get_weights())

    plan = planned(softmax)
    assert (plan.target.name, (plan.target.height, plan.target.width, plan.target.channels)) == (layer, grid)
    assert plan.scores.activation == "softmax"
    assert plan.target.share_behind < 0.06

    images = small_models.images(2, size)
    result = explained(plan, images, [[3, -1]] * 2)
    both = keras.Model(logits.inputs, [logits.get_layer(layer).output, logits.outputs[0]])
    expected = small_models.tape_gradcam(lambda x: both(x, training=False), images, 3)
    assert relative_error(result["cams"][:, 0], expected) < TOLERANCE
    scores = both(tf.constant(images, tf.float32), training=False)[1].numpy()
    assert relative_error(result["scores"], scores) < TOLERANCE
    assert result["classes"][:, 1].tolist() == np.argmax(scores, 1).tolist()
