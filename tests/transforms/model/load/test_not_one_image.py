"""Models whose input is no single image: what is said about them, and that it works."""

import keras
import numpy as np
import pytest
from keras import layers
from small_models import explained, images, planned, traced

from transforms.model import ModelOptions, ModelRefused, compile_model
from transforms.storage import Storage


def refusal(path) -> str:
    with pytest.raises(ModelRefused) as refused:
        compile_model(ModelOptions(str(path)), f"{path}-compiled", Storage())
    return str(refused.value)


def in_both_formats(model, folder):
    model.save(folder / "model.keras")
    model.export(folder / "exported")
    return folder / "model.keras", folder / "exported"


def one_frame():
    convolution = layers.Conv2D(4, 3, activation="relu")
    return keras.Sequential([layers.Input((32, 32, 3)), convolution, layers.GlobalAveragePooling2D()])


def frame_by_frame():
    return keras.Sequential(
        [layers.Input((None, 32, 32, 3)), layers.TimeDistributed(one_frame()), layers.GlobalAveragePooling1D(),
         layers.Dense(3)]
    )  # fmt: skip


def likeness():
    left, right = layers.Input((32, 32, 3), name="left"), layers.Input((32, 32, 3), name="right")
    shared = layers.Conv2D(4, 3, activation="relu")
    pooled = [layers.GlobalAveragePooling2D()(shared(image)) for image in (left, right)]
    return keras.Model([left, right], layers.Dense(2)(layers.Concatenate()(pooled)))


def test_videos_are_refused_with_what_helps_where_frames_are_seen_singly(tmp_path):
    model = frame_by_frame()
    for path in in_both_formats(model, tmp_path):
        text = refusal(path)
        assert "32, 32, 3" in text
        assert "3-D convolutions have no map" in text
        assert "keras.Model(image, rest(frame(image)[:, None])) with image = keras.Input((32, 32, 3))" in text
    image = keras.Input((32, 32, 3))
    frame, rest = model.layers[0].layer, keras.Sequential(model.layers[1:])
    wrapped = keras.Model(image, rest(frame(image)[:, None]))
    np.testing.assert_allclose(wrapped(images(2)), model(images(2)[:, None]), rtol=1e-5)
    cams = explained(planned(traced(wrapped)), images(2), [[1], [2]])["cams"]
    assert cams.shape == (2, 1, 30, 30)
    assert np.abs(cams).max() > 0


def test_pairs_of_images_are_refused_with_a_reference_that_can_be_held_fixed(tmp_path):
    model = likeness()
    for path in in_both_formats(model, tmp_path):
        text = refusal(path)
        assert "left" in text
        assert "right" in text
        assert "keras.Model(image, model([image, keras.ops.zeros_like(image) + reference]))" in text
        assert "package.module:function" in text
    image, reference = keras.Input((32, 32, 3)), images(1).astype(np.float32)
    wrapped = keras.Model(image, model([image, keras.ops.zeros_like(image) + reference]))
    plan = planned(traced(wrapped))
    assert plan.target.height == 30
    cams = explained(plan, images(2), [[1], [1]])["cams"]
    shared = wrapped.layers[-1].get_layer(index=2)
    kernel, bias = (np.array(weight) for weight in shared.get_weights())
    features = np.maximum(keras.ops.conv(images(2).astype(np.float32), kernel).numpy() + bias, 0)
    head = model.layers[-1].get_weights()[0][:4, 1]  # of the photo, for class 1
    np.testing.assert_allclose(cams[:, 0], features @ head / 30**2, rtol=1e-4, atol=1e-4)
    assert np.abs(cams).max() > 0


def test_an_image_with_other_inputs_is_told_to_name_their_columns(tmp_path):
    image, age = layers.Input((32, 32, 3), name="image"), layers.Input((1,), name="age")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    keras.Model([image, age], layers.Dense(2)(layers.Concatenate()([pooled, age]))).save(tmp_path / "model.keras")
    text = refusal(tmp_path / "model.keras")
    assert "a heatmap is drawn on image. Say where the others come from: model.inputs: {age: COLUMN}" in text


@pytest.mark.parametrize(
    ("name", "kind"), [("m.tflite", "TensorFlow Lite"), ("m.onnx", "ONNX"), ("m.pth", "PyTorch"), ("m.pt", "PyTorch")]
)
def test_models_of_other_frameworks_are_refused_by_name(tmp_path, name, kind):
    assert f"is {kind}" in refusal(tmp_path / name)
