import json

import pytest
import small_models
import tensorflow as tf

from transforms.model.cam.inspection import describe


def test_what_inspect_shows():
    seen = describe(small_models.planned(small_models.traced(small_models.convolutional(), "unit")))
    assert (seen.input_height, seen.input_width, seen.input_layout, seen.input_dtype) == (32, 32, "NHWC", "float32")
    assert seen.preprocessing["name"] == "unit"
    assert list(seen.outputs.items()) == [(seen.score_output, (None, 5))]
    assert (seen.activation, seen.class_count) == ("softmax", 5)
    assert (seen.target_layer, seen.target_height, seen.target_channels) == ("features", 8, 16)
    assert seen.target_reason == "the last feature map that every path to the scores goes through"
    names = [(candidate.index, candidate.name) for candidate in seen.candidates]
    assert names == list(enumerate(["conv", "conv_bn", "conv_relu", "depthwise", "depthwise_bn", "features"]))
    assert all(candidate.gradient > 0 for candidate in seen.candidates)
    assert seen.target_gradient == seen.candidates[-1].gradient
    assert json.loads(seen.to_json())["candidates"][0]["share_behind"] == pytest.approx(0.1439, abs=1e-4)


def test_gradients_are_probed_at_every_candidate():
    kernel = tf.random.stateless_normal([3, 3, 3, 3], [1, 2])

    def model(images):
        x = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"), name="before")
        x = tf.nn.relu(tf.image.adjust_contrast(x, 2.0), name="after")  # has no gradient
        return tf.reduce_mean(x, [1, 2]) @ tf.ones([3, 4])

    seen = describe(small_models.planned(small_models.traced_function(model)))
    gradients = {candidate.tensor: candidate.gradient for candidate in seen.candidates}
    assert gradients["before:0"] is None
    assert gradients["after:0"] > 0
    assert seen.target_gradient == gradients["after:0"]
