"""What a compiled model says and shows is what Keras' own predict and a tape say, whatever its output means."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from keras import layers

from transforms.model.compile import compile_live, compile_model
from transforms.model.compiled import load_compiled, read_card
from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

STORAGE = Storage()
IMAGES = small_models.images(6)
PIXELS = IMAGES.astype(np.float32)


def body(*head: layers.Layer, pooled: bool = True) -> keras.Model:
    """Convolution, ReLU, pooling, and the layers given; no two images score alike."""
    pooling = [layers.GlobalAveragePooling2D()] if pooled else []
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 5, strides=4, padding="same", activation="relu", name="features"),
            *pooling,
            *head,
        ]
    )
    return small_models.randomised(model)


def opened(model, tmp_path, loss=None, **options):
    """The model saved, compiled for explaining and loaded as a worker does; or live, where it cannot be saved."""
    options = {"preprocessing": "none"} | options
    if isinstance(model, keras.Model):
        if loss is not None:
            model.compile(loss=loss)
        model.save(tmp_path / "m.keras")
        card = compile_model(ModelOptions(str(tmp_path / "m.keras"), **options), str(tmp_path / "models"), STORAGE)
    else:
        card = compile_live(
            model, ModelOptions("live", input_size=(32, 32), **options), str(tmp_path / "models"), STORAGE
        )
    return load_compiled(f"{tmp_path}/models/{card.fingerprint}", STORAGE, 4)


def maps_by_tape(model: keras.Model, unit: int, before_activation: bool) -> np.ndarray:
    """Signed Grad-CAM of one unit, image by image, on the layers themselves."""
    last = model.layers[-1]
    inner = keras.Model(model.inputs, [model.get_layer("features").output, last.input])

    def parts(image):
        features, before = inner(image)
        whole = before @ last.kernel + last.bias
        return features, whole if before_activation else last.activation(whole)

    return small_models.tape_gradcam(parts, IMAGES, unit)


@pytest.mark.parametrize("loss", ["mse", "huber", keras.losses.MeanAbsoluteError()])
def test_an_age_is_what_predict_says_and_its_map_always_that_of_more(tmp_path, loss):
    model = body(layers.Dense(1))
    model.layers[-1].bias.assign(-model.predict(PIXELS, verbose=0).mean(0) + model.layers[-1].bias)  # of both signs
    found = opened(model, tmp_path, loss)
    assert (found.card.output_kind, found.card.class_count) == ("value", 1)
    explanation = found.explain(IMAGES, np.zeros((6, 1), np.int32))
    wanted = model.predict(PIXELS, verbose=0)
    assert wanted.min() < 0 < wanted.max()
    np.testing.assert_allclose(explanation.scores, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(explanation.target_scores, wanted, rtol=1e-4, atol=1e-5)
    assert small_models.relative_error(explanation.cams[:, 0], maps_by_tape(model, 0, True)) < 1e-4
    bias = model.layers[-1].bias.numpy()[0]
    np.testing.assert_allclose(explanation.evidence[:, 0] + bias, wanted[:, 0], rtol=1e-4, atol=1e-5)


def test_several_values_have_a_map_each(tmp_path):
    model = body(layers.Dense(3))
    found = opened(model, tmp_path, "mae", class_names=("yaw", "pitch", "roll"))
    explanation = found.explain(IMAGES, np.tile(np.arange(3, dtype=np.int32), (6, 1)))
    np.testing.assert_allclose(explanation.target_scores, model.predict(PIXELS, verbose=0), rtol=1e-4, atol=1e-5)
    for unit in range(3):
        assert small_models.relative_error(explanation.cams[:, unit], maps_by_tape(model, unit, True)) < 1e-4


def test_a_value_that_a_sigmoid_bounds_is_the_value_itself(tmp_path):
    model = body(layers.Dense(1, activation="sigmoid"), layers.Rescaling(120.0))
    found = opened(model, tmp_path)
    assert found.card.output_kind == "value"
    assert any("between 0 and 120" in note for note in found.card.notes)
    explanation = found.explain(IMAGES, np.zeros((6, 1), np.int32))
    np.testing.assert_allclose(explanation.scores, model.predict(PIXELS, verbose=0), rtol=1e-4)


def test_labels_of_the_manifest_decide_where_the_file_says_nothing(tmp_path):
    model = body(layers.Dense(1))
    assert opened(model, tmp_path, labels="numbers").card.output_kind == "value"
    binary = opened(model, tmp_path, labels="zero_one")
    assert (binary.card.output_kind, binary.card.class_count) == ("binary", 2)
    with pytest.raises(ModelRefused, match=r"one linear unit, which can be the logit of one decision .* or values"):
        opened(model, tmp_path)
    live = tf.function(lambda images: tf.squeeze(model(images, training=False), 1))  # scores of shape [batch]
    value = opened(live, tmp_path, output_kind="value").explain(IMAGES, np.zeros((6, 1), np.int32))
    np.testing.assert_allclose(value.scores, model.predict(PIXELS, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_labels_have_their_own_probabilities_from_logits_too(tmp_path, activation):
    model = body(layers.Dense(4, activation=activation))
    loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
    found = opened(model, tmp_path, loss, threshold=0.25)
    assert (found.card.output_kind, found.card.thresholds) == ("multi_label", (0.25,) * 4)
    explanation = found.explain(IMAGES, np.tile(np.arange(4, dtype=np.int32), (6, 1)))
    raw = model.predict(PIXELS, verbose=0)
    wanted = raw if activation else tf.sigmoid(raw).numpy()
    np.testing.assert_allclose(explanation.probabilities, wanted, rtol=1e-4, atol=1e-6)
    for unit in range(4):
        assert small_models.relative_error(explanation.cams[:, unit], maps_by_tape(model, unit, True)) < 1e-4


def test_a_threshold_for_each_class_comes_from_a_file(tmp_path):
    model = body(layers.Dense(4, activation="sigmoid"))
    path = tmp_path / "thresholds.txt"
    path.write_text("0.1\n0.2\n0.3\n0.9\n")
    found = opened(model, tmp_path, "bce", threshold=str(path))
    assert found.card.thresholds == (0.1, 0.2, 0.3, 0.9)
    path.write_text("0.1\n0.2\n0.3\n0.4\n")
    assert opened(model, tmp_path, "bce", threshold=str(path)).card.fingerprint != found.card.fingerprint
    path.write_text("0.1\n0.2\n")
    with pytest.raises(ModelRefused, match="has 2 numbers, the model has 4 classes"):
        opened(model, tmp_path, "bce", threshold=str(path))
    path.write_text("0.1\nhalf\n0.2\n3\n")
    with pytest.raises(ModelRefused, match="has 'half': write one number of 0"):
        opened(model, tmp_path, "bce", threshold=str(path))
    with pytest.raises(ModelRefused, match=r"model\.threshold is for models of several labels"):
        opened(body(layers.Dense(4, activation="softmax")), tmp_path, threshold=0.5)


def test_sigmoids_without_a_word_on_their_meaning_are_refused(tmp_path):
    model = body(layers.Dense(4, activation="sigmoid"))
    with pytest.raises(
        ModelRefused, match=r"4 sigmoid units, .*Set model.output_kind: classes or model.output_kind: mu"
    ):
        opened(model, tmp_path)
    assert opened(model, tmp_path, labels="several").card.output_kind == "multi_label"
    assert opened(model, tmp_path, output_kind="classes").card.output_kind == "classes"
    assert opened(model, tmp_path, "categorical_crossentropy").card.output_kind == "classes"


def test_an_embedding_is_refused_by_default(tmp_path):
    model = body(layers.Dense(16), layers.UnitNormalization())
    with pytest.raises(ModelRefused, match="is an embedding"):
        opened(model, tmp_path)
    assert opened(model, tmp_path, output_kind="value").card.class_count == 16


class Steps(layers.Layer):
    """The head of CORAL (arXiv 1901.07884): one number, and a constant for each step."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 1))
        self.bias = self.add_weight(shape=(4,), initializer="zeros")

    def call(self, x):
        return keras.ops.sigmoid(x @ self.kernel + self.bias)


def test_an_ordinal_head_is_refused_by_name_and_its_steps_can_be_explained(tmp_path):
    model = body(Steps())
    model.layers[-1].bias.assign([2.0, 0.5, -0.5, -1.5])
    with pytest.raises(ModelRefused, match="is an ordinal head, as of CORAL: all its units are one number plus"):
        opened(lambda images: model(images, training=False), tmp_path)
    steps = opened(lambda images: model(images, training=False), tmp_path, output_kind="multi_label")
    np.testing.assert_allclose(
        steps.explain(IMAGES, np.zeros((6, 1), np.int32)).probabilities, model.predict(PIXELS, verbose=0), rtol=1e-4
    )


def test_what_is_plainly_classes_is_so_without_a_question_and_keeps_its_fingerprint(tmp_path):
    softmax, logits = body(layers.Dense(4, activation="softmax")), body(layers.Dense(4))
    for model in (softmax, logits):
        card = opened(model, tmp_path).card
        asked = opened(model, tmp_path, output_kind="classes").card
        assert (card.output_kind, card.fingerprint) == ("classes", asked.fingerprint)
    with pytest.raises(ModelRefused, match=r"4 linear units, which can be classes.* the manifest's labels are numbers"):
        opened(logits, tmp_path, labels="numbers")
    assert opened(softmax, tmp_path, "mse", labels="numbers").card.output_kind == "classes"


def forget_kind(tmp_path, fingerprint: str) -> None:
    """Make the card one of a version that knew no kinds."""
    path = tmp_path / "models" / fingerprint / "explanation.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in written.items() if k not in ("output_kind", "thresholds", "inputs")}))


def test_a_card_of_before_there_were_kinds_is_one_of_classes_and_stands_for_no_source(tmp_path):
    card = opened(body(layers.Dense(4, activation="softmax")), tmp_path).card
    forget_kind(tmp_path, card.fingerprint)
    found = read_card(f"{tmp_path}/models/{card.fingerprint}", STORAGE)
    assert found == dataclasses.replace(card, source_digest="")


def test_a_model_that_an_earlier_version_took_for_classes_is_looked_at_again(tmp_path):
    model = body(layers.Dense(1))
    as_classes = opened(model, tmp_path, "mse", labels="numbers").card
    path = tmp_path / "models" / as_classes.fingerprint / "explanation.json"
    path.write_text(path.read_text().replace('"value"', '"classes"'))  # what is found is not looked at again
    options = ModelOptions(str(tmp_path / "m.keras"), preprocessing="none", labels="numbers")
    assert compile_model(options, str(tmp_path / "models"), STORAGE).output_kind == "classes"
    forget_kind(tmp_path, as_classes.fingerprint)
    assert compile_model(options, str(tmp_path / "models"), STORAGE).output_kind == "value"
