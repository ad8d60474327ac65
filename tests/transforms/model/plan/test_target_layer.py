import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from keras import layers

from transforms.model.errors import ModelRefused

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
HEAD = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)


def network(*hidden):
    return keras.Sequential([layers.Input((32, 32, 3)), *hidden], name="network")


def nested():
    base = keras.Sequential(
        [layers.Input((32, 32, 3)), layers.Conv2D(8, 3, name="conv"), layers.ReLU(name="out_relu")], name="base"
    )
    inputs = keras.Input((32, 32, 3))
    features = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    features = layers.Dropout(0.2, name="dropout")(base(features))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(features)), name="tuned")


def test_auto_takes_the_last_map_before_global_pooling():
    plan = small_models.planned(small_models.convolutional())
    assert (plan.target.name, plan.target.height, plan.target.width, plan.target.channels) == ("features", 8, 8, 16)
    assert [c.name for c in plan.candidates] == [
        "conv",
        "conv_bn",
        "conv_relu",
        "depthwise",
        "depthwise_bn",
        "features",
    ]


def test_the_share_behind_is_of_multiply_adds():
    plan = small_models.planned(small_models.convolutional())
    convolution, depthwise, dense = 16 * 16 * 8 * 27, 8 * 8 * 16 * 9, 16 * 5
    shares = [candidate.share_behind for candidate in plan.candidates]
    assert shares[0] == pytest.approx((depthwise + dense) / (convolution + depthwise + dense))
    assert shares[-1] == pytest.approx(dense / (convolution + depthwise + dense))


def test_auto_steps_back_over_pooling_that_is_not_global():
    model = network(
        layers.Conv2D(4, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(),
        layers.Dense(3),
    )
    plan = small_models.planned(model)
    assert (plan.target.name, plan.target.height) == ("conv", 30)
    assert plan.reason == "the last feature map before pool, which pools it and adds no features of its own"


def test_auto_does_not_take_the_one_cell_of_a_convolutional_head():
    model = network(
        layers.Conv2D(4, 3, name="conv"),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Conv2D(6, 1, name="head"),
        layers.Reshape((6,)),
        layers.Softmax(),
    )
    assert small_models.planned(model).target.name == "conv"


def test_branches_are_no_candidates_but_can_be_named():
    inputs = keras.Input((32, 32, 3))
    stem = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    left = layers.Conv2D(4, 3, padding="same", name="left")(stem)
    joined = layers.Add(name="joined")([stem, left])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(joined)))
    plan = small_models.planned(model)
    assert [c.name for c in plan.candidates] == ["stem", "joined"]
    assert small_models.planned(model, target_layer="left").target.name == "left"


@pytest.mark.parametrize("wanted", ["base/out_relu", "out_relu", "relu$", "base", "-1", 1, "dropout", "auto"])
def test_ways_to_name_a_layer_inside_a_nested_model(wanted):
    assert small_models.planned(nested(), target_layer=wanted).target.name == "base/out_relu"


def test_a_tensor_can_be_named():
    plan = small_models.planned(nested())
    assert small_models.planned(nested(), target_layer=plan.candidates[0].tensor).target.name == "base/conv"


def test_graphs_without_keras_layers_are_named_by_scope():
    def model(images):
        with tf.name_scope("block1"):
            x = tf.nn.relu(tf.nn.conv2d(images, KERNEL, 2, "SAME"), name="relu")
        with tf.name_scope("block2_1"):
            x = tf.nn.relu(tf.nn.conv2d(x, np.tile(KERNEL[:, :, :1], (1, 1, 4, 1)), 2, "SAME"), name="relu")
        return tf.reduce_mean(x, [1, 2]) @ HEAD

    traced = small_models.traced_function(model)
    assert small_models.planned(traced).target.tensor == "block2_1/relu:0"
    assert small_models.planned(traced, target_layer="block1").target.tensor == "block1/relu:0"
    assert small_models.planned(traced, target_layer="block2").target.tensor == "block2_1/relu:0"
    assert small_models.planned(traced, target_layer="block2_1/relu").target.tensor == "block2_1/relu:0"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("nothing", "no layer 'nothing'.*candidates, the last of which are: 0 conv"),
        (7, "no candidate number 7"),
        ("conv.*", "fits several tensors: conv .*conv_bn"),
        ("scores", r"not a feature map \[batch, height, width, channels\]"),
        ("global_average_pooling2d.*", "no layer"),
        ("(", r"no layer '\('"),
    ],
)
def test_names_that_lead_nowhere_are_refused(wanted, message):
    with pytest.raises(ModelRefused, match=message):
        small_models.planned(small_models.convolutional(), target_layer=wanted)


def test_a_grid_of_one_cell_is_refused():
    model = network(
        layers.Conv2D(4, 3),
        layers.GlobalAveragePooling2D(keepdims=True, name="pooled"),
        layers.Flatten(),
        layers.Dense(3),
    )
    with pytest.raises(ModelRefused, match="grid of one cell"):
        small_models.planned(model, target_layer="pooled")


def test_a_layer_that_the_scores_do_not_need_is_refused():
    inputs = keras.Input((32, 32, 3))
    features = layers.Conv2D(4, 3, name="conv")(inputs)
    aside = layers.Conv2D(4, 3, name="aside")(features)
    scores = layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D()(features))
    model = keras.Model(inputs, {"map": aside, "scores": scores})
    with pytest.raises(ModelRefused, match=r"'aside' .* the scores do not depend on it"):
        small_models.planned(model, target_layer="aside", output="scores")


def test_a_layer_that_is_called_twice_needs_the_name_of_a_tensor():
    inputs = keras.Input((32, 32, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(shared(shared(inputs)))))
    with pytest.raises(ModelRefused, match="'shared' fits several tensors"):
        small_models.planned(model, target_layer="shared")
    assert small_models.planned(model).target.name == "shared"


def test_a_model_without_feature_maps_is_refused():
    with pytest.raises(ModelRefused, match="No feature map with more than one cell"):
        small_models.planned(network(layers.Flatten(), layers.Dense(3)))


def test_auto_refuses_the_patch_embedding_where_tokens_cannot_be_followed():
    """Mixed with each other and no skip: no token is a cell any more."""

    def mixed():
        return layers.Permute((2, 1)), layers.Dense(16, activation="relu"), layers.Permute((2, 1))

    tokens = [layer for _ in range(4) for layer in (*mixed(), layers.Dense(64))]
    model = network(
        layers.Conv2D(64, 8, strides=8, name="patches"),
        layers.Reshape((16, 64)),
        *tokens,
        layers.Flatten(),
        layers.Dense(3),
    )
    with pytest.raises(ModelRefused, match="patches, comes after 1 of the network's 10 layers"):
        small_models.planned(model)
    assert small_models.planned(model, target_layer="patches").target.height == 4


def test_a_recurrent_head_is_no_transformer_however_far_it_is_unrolled():
    model = network(
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="features"),
        layers.Reshape((16, 128)),
        layers.LSTM(4, unroll=True),
        layers.Dense(3),
    )
    plan = small_models.planned(model)
    assert plan.target.name == "features"
    assert sum(node.op == "MatMul" for node in plan.flat.graph_def.node) == 33
    assert sum(array.ndim == 2 for array in plan.flat.weights.values()) == 3


def test_a_loop_over_the_images_leads_to_images():
    def model(images):
        images = tf.map_fn(tf.image.per_image_standardization, images)
        return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, KERNEL, 2, "SAME"), name="features"), [1, 2]) @ HEAD

    assert small_models.planned(small_models.traced_function(model)).target.tensor == "features:0"


def test_channels_first_is_seen():
    def model(images):
        x = tf.nn.relu(tf.nn.conv2d(images, KERNEL, 2, "SAME", data_format="NCHW"))
        return tf.reduce_mean(x, [2, 3]) @ HEAD

    plan = small_models.planned(small_models.traced_function(model, (None, 3, 32, 48)))
    assert plan.channels_first
    assert (plan.input_height, plan.input_width) == (32, 48)
    target = plan.target
    assert (target.channel_axis, target.height, target.width, target.channels) == (1, 16, 24, 4)


def test_the_channel_axis_is_followed_through_a_transpose():
    def model(images):
        x = tf.nn.conv2d(tf.transpose(images, [0, 2, 3, 1]), KERNEL, 2, "SAME")
        x = tf.nn.relu(tf.transpose(x, [0, 3, 1, 2]))
        return tf.reduce_mean(x, [2, 3]) @ HEAD

    target = small_models.planned(small_models.traced_function(model, (None, 3, 32, 48))).target
    assert (target.channel_axis, target.height, target.width, target.channels) == (1, 16, 24, 4)


def test_sizes_that_shape_inference_leaves_open_are_learned_from_a_run():
    def model(images):
        x = tf.nn.relu(tf.nn.conv2d(images, KERNEL, 2, "SAME"))
        x = tf.reshape(x, tf.cast(tf.cast(tf.shape(x), tf.float32) * 1.0, tf.int32), name="open")
        assert x.shape.as_list() == [None, None, None, None]
        return tf.reshape(tf.reduce_mean(x, [1, 2]), [-1, 4]) @ HEAD

    target = small_models.planned(small_models.traced_function(model)).target
    assert (target.tensor, target.height, target.width, target.channels) == ("open:0", 16, 16, 4)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (lambda x: tf.reduce_mean(x, [1, 2], name="mean") @ HEAD, "mean:0"),
        (lambda x: tf.reshape(tf.reduce_mean(x, [-2, 1], keepdims=True, name="mean"), [-1, 4]) @ HEAD, "mean:0"),
        (lambda x: tf.reshape(tf.nn.avg_pool2d(x, 16, 1, "VALID", name="pool"), [-1, 4]) @ HEAD, "pool:0"),
        (lambda x: tf.reduce_mean(tf.reduce_mean(x, 1), 1) @ HEAD, None),
        (lambda x: tf.reduce_max(x, [1, 2]) @ HEAD, None),
        (lambda x: (tf.reduce_mean(x, [1, 2]) + tf.reduce_max(x, [1, 2])) @ HEAD, None),
        (lambda x: tf.reduce_mean(tf.nn.avg_pool2d(x, 8, 8, "VALID"), [1, 2]) @ HEAD, None),
    ],
)
def test_a_head_that_sees_only_the_mean_is_known(head, expected):
    plan = small_models.planned(
        small_models.traced_function(lambda x: head(tf.nn.relu(tf.nn.conv2d(x, KERNEL, 2, "SAME"), name="map")))
    )
    assert (plan.target.tensor, plan.global_mean) == ("map:0", expected)


@pytest.mark.parametrize("head", ["attention", "attention, as a grid again", "dense on cells"])
def test_tokens_of_attention_are_no_feature_map(head):
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, strides=4, padding="same", activation="relu", name="features")(inputs)
    if head == "dense on cells":
        x = layers.Dense(6, name="cells")(x)
        expected = ("cells", 8, 8)
    else:
        tokens = layers.Reshape((64, 16))(x)
        x = layers.MultiHeadAttention(2, 8)(tokens, tokens)  # [batch, 64, 2, 8] inside
        expected = ("features", 8, 8)
        if head == "attention, as a grid again":
            x = layers.Reshape((8, 8, 16), name="grid")(x)
            expected = ("grid", 8, 8)
    pool = layers.GlobalAveragePooling1D if len(x.shape) == 3 else layers.GlobalAveragePooling2D
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(pool()(x)))
    plan = small_models.planned(model)
    assert (plan.target.name, plan.target.height, plan.target.width) == expected
    if head == "attention":
        tensor = next(node.name for node in plan.flat.graph_def.node if node.op == "Einsum")
        with pytest.raises(ModelRefused, match=r"no grid over the image \(the tokens of an attention layer\?\)"):
            small_models.planned(model, target_layer=tensor)


def test_a_map_that_is_only_cast_keeps_the_name_of_its_layer():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = network(
            layers.Conv2D(4, 3, activation="relu", name="conv"), layers.GlobalAveragePooling2D(), layers.Dense(3)
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")
    plan = small_models.planned(model)
    assert plan.target.name == "conv"
    assert plan.global_mean is not None
