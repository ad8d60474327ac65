"""What the target layer covers of the input: followed where it can be, probed where not, stated where neither helps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers
from small_models import planned, traced, traced_function

from transforms.model.errors import ModelRefused
from transforms.model.plan import fingerprint_of
from transforms.model.plan.front import ImageInput
from transforms.model.plan.geometry import _refuse_misplaced
from transforms.model.preprocessing import NAMED
from transforms.placement import WHOLE

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 6)).astype(np.float32)
SECOND = np.random.default_rng(1).normal(size=(3, 3, 6, 6)).astype(np.float32)
HEAD = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
H, W = 96, 120


def network(front, behind=lambda features: features, shape=(None, H, W, 3), dtype=tf.float32):
    """Two convolutions behind something that is done to the images."""

    def scores(images):
        features = tf.nn.relu(tf.nn.conv2d(front(images), KERNEL, 4, "SAME"))
        features = tf.nn.relu(tf.nn.conv2d(behind(features), SECOND, 2, "SAME"))
        return tf.nn.softmax(tf.reduce_mean(features, [1, 2]) @ HEAD)

    return traced_function(scores, shape, dtype)


def cropped_in_a_loop(images):
    """As Model Garden's exports do: the centre of the shorter side, resized and normalised, image by image."""

    def one(image):
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        side = tf.cast(0.875 * tf.cast(tf.minimum(height, width), tf.float32), tf.int32)
        image = tf.slice(image, [(height - side + 1) // 2, (width - side + 1) // 2, 0], [side, side, -1])
        image = tf.reshape(tf.image.resize(image, [64, 64]), [64, 64, 3])
        return (image - tf.constant([123.7, 116.3, 103.5])) / tf.constant([58.4, 57.1, 57.4])

    spec = tf.TensorSpec([64, 64, 3], tf.float32)
    return tf.map_fn(one, tf.cast(images, tf.float32), fn_output_signature=spec)


def boxes_and_indices(images):
    return tf.tile([[0.25, 0.2, 0.75, 0.6]], [tf.shape(images)[0], 1]), tf.range(tf.shape(images)[0])


FRONTS = {
    # name: (what is done, x0, y0, x1, y1 in pixels of the input)
    "nothing": (lambda x: x, (0, 0, W, H)),
    "scaled": (lambda x: x / 127.5 - 1, (0, 0, W, H)),
    "a slice": (lambda x: x[:, 8:-8, 20:100], (20, 8, 100, 88)),
    "a slice of scaled pixels": (lambda x: (x / 255)[:, 7:], (0, 7, W, H)),
    "tf.slice": (lambda x: tf.slice(x, [0, 3, 5, 0], [-1, 90, 64, 3]), (5, 3, 69, 93)),
    "a bounding box": (lambda x: tf.image.crop_to_bounding_box(x, 10, 20, 60, 70), (20, 10, 90, 70)),
    "a central crop": (lambda x: tf.image.central_crop(x, 0.5), (30, 24, 90, 72)),
    "crop, then resize": (lambda x: tf.image.resize(x[:, 8:-8, 20:100], [64, 64]), (20, 8, 100, 88)),
    "resize, then crop": (lambda x: tf.image.resize(x, [48, 60])[:, 4:-4, 10:-5], (20, 8, 110, 88)),
    "nearest": (lambda x: tf.image.resize(x[:, 8:-8, 20:100], [40, 40], "nearest"), (20, 8, 100, 88)),
    "area": (lambda x: tf.image.resize(x[:, 8:-8, 20:100], [40, 40], "area"), (20, 8, 100, 88)),
    "crop and resize": (
        lambda x: tf.image.crop_and_resize(x, *boxes_and_indices(x), [49, 49]),
        # TensorFlow's boxes go from the centre of the first pixel to that of the last.
        (0.2 * 119 + 0.004, 0.25 * 95 + 0.005, 0.6 * 119 + 0.996, 0.75 * 95 + 0.995),
    ),
    "zeros around": (lambda x: tf.pad(x, [[0, 0], [8, 8], [16, 0], [0, 0]]), (-16, -8, W, H + 8)),
    "grey around": (lambda x: tf.pad(x, [[0, 0], [8, 8], [16, 0], [0, 0]], constant_values=128.0), (-16, -8, W, H + 8)),
    "mirrored borders": (lambda x: tf.pad(x, [[0, 0], [8, 8], [16, 4], [0, 0]], "REFLECT"), (-16, -8, W + 4, H + 8)),
    "resize with pad": (lambda x: tf.image.resize_with_pad(x, 64, 64), (0, -6 * 96 / 51, W, H + 7 * 96 / 51)),
    "resize with crop or pad": (lambda x: tf.image.resize_with_crop_or_pad(x, 64, 140), (-10, 16, W + 10, 80)),
    "the luma of a crop": (lambda x: tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(x[:, 8:])), (0, 8, W, H)),
    "another order of the axes": (
        lambda x: tf.transpose(tf.transpose(x, [0, 3, 1, 2])[:, :, 8:, :-20], [0, 2, 3, 1]), (0, 8, 100, H)
    ),
    "channels by themselves": (lambda x: tf.stack(tf.unstack(x[:, 8:], axis=3)[::-1], axis=3), (0, 8, W, H)),
    "in a loop": (cropped_in_a_loop, (18, 6, 102, 90)),
    "each by its own deviation": (lambda x: tf.image.per_image_standardization(x), (0, 0, W, H)),
    "a crop by its own deviation": (
        lambda x: tf.map_fn(tf.image.per_image_standardization, x[:, 8:-8, 20:100]), (20, 8, 100, 88)
    ),
    "a gamma": (lambda x: tf.pow(x[:, 8:-8, 20:100] / 255, 2.2), (20, 8, 100, 88)),
    "in a condition": (
        lambda x: tf.cond(tf.shape(x)[1] > 90, lambda: x[:, 8:-8, 20:100], lambda: x[:, :80, :80]), (20, 8, 100, 88)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRONTS)
def test_whatever_is_done_to_the_image_is_followed(name):
    front, box = FRONTS[name]
    seen = planned(network(front)).seen
    np.testing.assert_allclose(np.multiply(seen, [W, H, W, H]), box, atol=0.51 if name == "nearest" else 0.06)
    if all(float(edge).is_integer() for edge in box) and name != "nearest":
        np.testing.assert_allclose(seen, np.divide(box, [W, H, W, H]), atol=1e-12)


KERAS_LAYERS = {
    "Cropping2D": (lambda k: k.layers.Cropping2D(((3, 9), (20, 1))), (20, 3, W - 1, H - 9)),
    "CenterCrop": (lambda k: k.layers.CenterCrop(64, 100), (10, 16, 110, 80)),
    "CenterCrop that enlarges": (lambda k: k.layers.CenterCrop(192, 192), (12, 0, 108, 96)),
    "ZeroPadding2D": (lambda k: k.layers.ZeroPadding2D(((4, 8), (6, 10))), (-6, -4, W + 10, H + 8)),
    "Resizing": (lambda k: k.layers.Resizing(64, 64), (0, 0, W, H)),
    "Resizing that crops": (lambda k: k.layers.Resizing(64, 64, crop_to_aspect_ratio=True), (12, 0, 108, 96)),
}
ONLY_KERAS_3 = {
    "Resizing that pads": (lambda k: k.layers.Resizing(64, 64, pad_to_aspect_ratio=True), (0, -12, W, H + 12)),
}


@pytest.mark.parametrize(
    ("library", "name"),
    [(keras, name) for name in KERAS_LAYERS | ONLY_KERAS_3] + [(tf_keras, name) for name in KERAS_LAYERS],
)
def test_the_layers_of_keras(library, name):
    make, box = (KERAS_LAYERS | ONLY_KERAS_3)[name]
    model = library.Sequential(
        [
            library.layers.Input((H, W, 3)),
            library.layers.Rescaling(1 / 127.5, -1),
            make(library),
            library.layers.Conv2D(4, 3, strides=4, padding="same", activation="relu"),
            library.layers.GlobalAveragePooling2D(),
            library.layers.Dense(3),
        ]
    )
    np.testing.assert_allclose(planned(traced(model)).seen, np.divide(box, [W, H, W, H]), atol=1e-12)


def test_pixels_of_any_kind_are_followed():
    for dtype in (tf.uint8, tf.float16):
        model = network(lambda x: tf.cast(x, tf.float32)[:, 8:-8, 20:100], dtype=dtype)
        np.testing.assert_allclose(planned(model).seen, (20 / W, 8 / H, 100 / W, 88 / H), atol=1e-12)
    for preprocessing in NAMED:
        model = keras.Sequential([layers.Input((H, W, 3)), layers.Cropping2D(8), layers.Conv2D(4, 3, 4, "same"),
                                  layers.GlobalAveragePooling2D(), layers.Dense(3)])  # fmt: skip
        plan = planned(traced(model, preprocessing))
        np.testing.assert_allclose(plan.seen, (8 / W, 8 / H, 112 / W, 88 / H), atol=1e-12)


def test_large_images_are_followed_to_the_pixel():
    plan = planned(network(lambda x: x[:, 11:-5, 301:-2], shape=(None, 260, 1030, 3)))
    np.testing.assert_allclose(plan.seen, (301 / 1030, 11 / 260, 1028 / 1030, 255 / 260), atol=1e-12)


def test_what_a_convolution_pads_for_itself_is_no_padding():
    for size in (3, 5, 7):
        own, more = size // 2, size // 2 + 8
        for pad, box in ((own, WHOLE), (more, (-more / W, -more / H, 1 + more / W, 1 + more / H))):
            model = keras.Sequential(
                [layers.Input((H, W, 3)), layers.Rescaling(1 / 255), layers.ZeroPadding2D(pad),
                 layers.Conv2D(4, size, 2, "valid"), layers.Conv2D(4, 3, 2, "same", activation="relu"),
                 layers.GlobalAveragePooling2D(), layers.Dense(3)]
            )  # fmt: skip
            np.testing.assert_allclose(planned(model).seen, box, atol=1e-12)


MISLEADING = {
    "mirrored": (lambda x: x[:, :, ::-1], "turned, mirrored"),
    "upside down": (lambda x: tf.reverse(x, [1]), "turned, mirrored"),
    "on its side": (lambda x: tf.transpose(x, [0, 2, 1, 3]), "turned, mirrored"),
    "rolled": (lambda x: tf.roll(x, 60, 2), "rolled"),
    "a corner beside the whole": (
        lambda x: tf.concat([x[:, :48, :60], tf.image.resize(x[:, 48:, 60:], [48, 60])], 1), "not in the order"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISLEADING)
def test_what_cannot_be_followed_and_is_misplaced_is_refused(name):
    front, reason = MISLEADING[name]
    with pytest.raises(ModelRefused, match=rf"{reason}.*mark.*model\.geometry.*model\.target_layer"):
        planned(network(front))


def test_two_crops_of_one_image_are_refused():
    def scores(images):
        near = tf.nn.relu(tf.nn.conv2d(images[:, 24:72, 30:90], KERNEL, 4, "SAME"))
        far = tf.nn.relu(tf.nn.conv2d(images[:, :48, :60], KERNEL, 4, "SAME"))
        features = tf.nn.relu(tf.nn.conv2d(near + far, SECOND, 2, "SAME"))
        return tf.nn.softmax(tf.reduce_mean(features, [1, 2]) @ HEAD)

    with pytest.raises(ModelRefused, match=r"see different parts of the image: .* and .*model\.geometry"):
        planned(traced_function(scores, (None, H, W, 3)))


def test_a_crop_between_convolutions_is_refused_where_it_moves_the_map():
    with pytest.raises(ModelRefused, match=r"\(StridedSlice\) makes a map of 24 x 30 cells one of 12 x 15"):
        planned(network(lambda x: x, lambda features: features[:, :12, :15]))
    assert planned(network(lambda x: x, lambda features: features[:, :-1])).seen == WHOLE  # half a cell


def test_what_the_user_states_is_obeyed():
    stated = (0.0, 0.25, 1.0, 0.75)
    plan = planned(network(lambda x: x[:, :, ::-1]), geometry=stated)
    assert plan.seen == stated
    assert not any("geometry" in note for note in plan.notes)
    plan = planned(network(lambda x: x[:, 24:72]), geometry=WHOLE)
    assert plan.seen == WHOLE
    assert any("model.geometry is [0.0, 0.0, 1.0, 1.0], where the graph says [0.0, 0.25" in note for note in plan.notes)


def test_only_what_is_not_the_whole_input_is_in_the_fingerprint():
    model = network(lambda x: x)
    whole = planned(model)
    assert fingerprint_of(whole) == fingerprint_of(planned(model, geometry=WHOLE))
    assert fingerprint_of(whole) != fingerprint_of(planned(model, geometry=(0.0, 0.0, 1.0, 0.5)))


def test_a_note_says_what_the_model_does():
    assert (
        "crops its input by itself: maps lie over [0.0, 0.083, 1.0, 1.0]"
        in planned(network(lambda x: x[:, 8:])).notes[-1]
    )
    padded = planned(network(lambda x: tf.pad(x, [[0, 0], [8, 8], [0, 0], [0, 0]])))
    assert "pads its input by itself: maps lie over [0.0, -0.083, 1.0, 1.083]" in padded.notes[-1]
    assert not any("by itself" in note for note in planned(network(lambda x: x)).notes)


def random_network(seed: int) -> keras.Model:
    noise = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    features = images = layers.Input((size := int(noise.choice([48, 64, 96])), size, 3))
    for _ in range(int(noise.integers(2, 5))):
        if features.shape[1] < 10:
            break
        kernel, stride = int(noise.choice([1, 3, 5])), int(noise.choice([1, 2]))
        padding = str(noise.choice(["same", "valid"]))
        features = layers.Conv2D(int(noise.choice([8, 16])), kernel, stride, padding)(features)
        if noise.random() < 0.5:
            features = layers.BatchNormalization()(features)
        features = layers.Activation(str(noise.choice(["relu", "swish", "tanh"])))(features)
        if noise.random() < 0.3:
            features = layers.MaxPooling2D(2)(features)
    return keras.Model(images, layers.Dense(3)(layers.GlobalAveragePooling2D()(features)))


def probed(model: keras.Model) -> float:
    plan = planned(traced(model, "unit"))
    images = ImageInput(plan.flat, plan.preprocessing, plan.input_height, plan.input_width, False, np.float32)
    return _refuse_misplaced(plan.target, images, WHOLE, "a test")


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in (10, 20, 30))])
def test_random_weights_pass_the_probe(first):
    """Convolutions' own offsets are no reason to refuse: on 40 networks, whatever their strides and borders."""
    for seed in range(first, first + 10):
        probed(random_network(seed))


def test_a_trained_like_network_is_probed_to_a_fraction_of_a_cell():
    model = keras.Sequential([layers.Input((96, 96, 3)), layers.AveragePooling2D(8), layers.Conv2D(8, 1),
                              layers.GlobalAveragePooling2D(), layers.Dense(3)])  # fmt: skip
    assert probed(model) < 0.1


@pytest.mark.parametrize(
    "name",
    [
        "MobileNet",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("MobileNetV2", "NASNetMobile", "ResNet50", "EfficientNetB0")
        ),
    ],
)
def test_the_applications_are_seen_whole(name):
    plan = planned(traced(getattr(keras.applications, name)(weights=None, input_shape=(224, 224, 3))))
    assert plan.seen == WHOLE
    assert not [note for note in plan.notes if "cover" in note or "crop" in note]
