"""The networks of keras.applications with random weights: the layer that an expert would choose, and its map."""

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from small_models import explained, planned, randomised, relative_error

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
