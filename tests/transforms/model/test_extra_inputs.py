"""The inputs beside the image: from every image's own cells, through every kind of file, against Keras' predict."""

import keras
import numpy as np
import pytest
import small_models
import tensorflow as tf
from source_models import LIBRARIES

from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled, read_card
from transforms.model.errors import ModelRefused
from transforms.model.extra_inputs import ExtraInput, input_rows
from transforms.model.options import ModelOptions
from transforms.records import ImageFailure, Status
from transforms.storage.storage import Storage

STORAGE = Storage()
COUNT = 5
IMAGES = small_models.images(COUNT)
AGES = np.array([[0.1], [0.9], [0.5], [0.3], [0.7]], np.float32)
SITES = np.array([0, 2, 1, 2, 0], np.int32)
OPTIONS = {"age": "age", "meta": ["sex", "height"], "site": "site"}
META = np.random.default_rng(0).normal(0, 1, (COUNT, 2)).astype(np.float32)
BESIDE = [AGES, META, SITES]


def fused(library, early: bool = False, as_dict: bool = True, activation="softmax"):
    """An image, an age [1], two numbers, and a site as an index [] that is embedded; early: the features are gated."""
    layers = library.layers
    image = library.Input((32, 32, 3), name="image")
    age, meta = library.Input((1,), name="age"), library.Input((2,), name="meta")
    site = library.Input((), name="site", dtype="int32")
    features = layers.Conv2D(8, 5, strides=4, padding="same", activation="relu", name="conv")(
        layers.Rescaling(1 / 255)(image)
    )
    beside = layers.Concatenate()([age, meta, layers.Embedding(3, 4)(site)])
    beside = layers.Dense(8, activation="sigmoid", name="beside")(beside)
    if early:
        features = layers.Multiply(name="gated")([features, layers.Reshape((1, 1, 8))(beside)])
    pooled = layers.GlobalAveragePooling2D()(features)
    joined = layers.Concatenate()([pooled, beside])
    hidden = layers.Dense(6, activation="tanh", name="hidden")(joined)  # so that the map depends on what is beside
    scores = layers.Dense(3, activation=activation, name="scores")(hidden)
    inputs = {"image": image, "age": age, "meta": meta, "site": site} if as_dict else [age, image, meta, site]
    model = library.Model(inputs, scores)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return model


def given(as_dict: bool = True, images=IMAGES):
    images = images.astype(np.float32)
    values = {"image": images, "age": AGES, "meta": META, "site": SITES}
    return values if as_dict else [AGES, images, META, SITES]


def compiled(source, tmp_path, inputs=OPTIONS, **options):
    card = compile_model(
        ModelOptions(str(source), inputs=inputs, preprocessing="none", **options), f"{tmp_path}/models", STORAGE
    )
    return load_compiled(f"{tmp_path}/models/{card.fingerprint}", STORAGE, 4)


def maps_by_tape(model: keras.Model, layer: str, unit: int) -> np.ndarray:
    """Signed Grad-CAM, image by image, each with what is beside it."""
    features_of = keras.Model(model.inputs, model.get_layer(layer).output)
    maps = []
    for i in range(COUNT):
        row = [values[i : i + 1] for values in (given()[tensor.name] for tensor in model.inputs)]
        features = features_of(row)
        with tf.GradientTape() as tape:
            tape.watch(features)
            beside = model.get_layer("beside")(
                tf.concat([AGES[i : i + 1], META[i : i + 1], model.get_layer("embedding")(SITES[i : i + 1])], 1)
            )
            hidden = model.get_layer("hidden")(tf.concat([tf.reduce_mean(features, [1, 2]), beside], 1))
            last = model.get_layer("scores")
            score = (hidden @ last.kernel + last.bias)[0, unit]
        weights = tf.reduce_mean(tape.gradient(score, features), [1, 2], keepdims=True)
        maps.append(tf.reduce_sum(weights * features, 3)[0].numpy())
    return np.stack(maps)


@pytest.mark.parametrize("early", [pytest.param(False, marks=pytest.mark.slow), True])
def test_scores_and_maps_are_those_of_each_image_with_its_own_values(tmp_path, early):
    keras.utils.clear_session()
    model = fused(keras, early)
    model.save(tmp_path / "m.keras")
    found = compiled(tmp_path / "m.keras", tmp_path)
    assert [(one.name, one.shape, one.dtype) for one in found.card.inputs] == [
        ("age", (1,), "float32"), ("meta", (2,), "float32"), ("site", (), "int32")
    ]  # fmt: skip
    assert found.card == read_card(f"{tmp_path}/models/{found.card.fingerprint}", STORAGE)
    explanation = found.explain(IMAGES, np.tile(np.arange(3, dtype=np.int32), (COUNT, 1)), BESIDE)
    wanted = model.predict(given(), verbose=0)
    np.testing.assert_allclose(explanation.probabilities, wanted, rtol=1e-4, atol=1e-6)
    for unit in range(3):
        expected = maps_by_tape(model, "gated" if early else "conv", unit)
        assert small_models.relative_error(explanation.cams[:, unit], expected) < 1e-4
    swapped = found.explain(IMAGES, np.zeros((COUNT, 1), np.int32), [array[::-1] for array in BESIDE])
    assert np.abs(swapped.probabilities - wanted).max() > 0.01


@pytest.mark.parametrize("as_dict", [True, False])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["m.keras", "m.h5", "m"])
def test_every_kind_of_file(tmp_path, library, kind, as_dict):
    model = fused(LIBRARIES[library], as_dict=as_dict)
    if kind == "m":
        model.export(tmp_path / kind, verbose=False) if library == "keras" else model.save(tmp_path / kind)
    else:
        model.save(tmp_path / kind)
    found = compiled(tmp_path / kind, tmp_path)
    beside = dict(zip(OPTIONS, BESIDE, strict=True))
    probabilities = found.explain(
        IMAGES, np.zeros((COUNT, 1), np.int32), [beside[one.name] for one in found.card.inputs]
    )
    np.testing.assert_allclose(
        probabilities.probabilities, model.predict(given(as_dict), verbose=0), rtol=1e-4, atol=1e-6
    )


def test_a_constant_is_the_same_for_all(tmp_path):
    model = fused(keras)
    model.save(tmp_path / "m.keras")
    found = compiled(
        tmp_path / "m.keras", tmp_path, {"age": {"value": 0.4}, "meta": {"value": [1, -1]}, "site": "site"}
    )
    assert [one.name for one in found.card.inputs] == ["site"]
    explanation = found.explain(IMAGES, np.zeros((COUNT, 1), np.int32), [SITES])
    same = given() | {"age": np.full((COUNT, 1), 0.4, np.float32), "meta": np.array([[1, -1]] * COUNT, np.float32)}
    np.testing.assert_allclose(explanation.probabilities, model.predict(same, verbose=0), rtol=1e-4, atol=1e-6)
    other = compiled(tmp_path / "m.keras", tmp_path, {"age": {"value": 0.5}, "meta": {"value": 0}, "site": "site"})
    assert other.card.fingerprint != found.card.fingerprint


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {},
            r"4 inputs .*drawn on image\. Say where the others come from: model.inputs: \{age: COLUMN, meta: COLUMN, ",
        ),
        ({"age": "age"}, r"model.inputs: \{meta: COLUMN, site: COLUMN\}"),
        (OPTIONS | {"ages": "age"}, r"has no input ages; it has age \[any, 1\], image \[any, 32, 32, 3\]"),
        (OPTIONS | {"image": "age"}, "model.inputs must leave the image over"),
        (OPTIONS | {"meta": {"value": [1, 2, 3]}}, r"meta takes 2 numbers for an image, 3 are given"),
    ],
)
def test_inputs_that_are_open_or_unknown_are_refused_with_what_there_is(tmp_path, inputs, message):
    fused(keras).save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=message):
        compiled(tmp_path / "m.keras", tmp_path, inputs)


def test_two_images_are_refused(tmp_path):
    left, right = (keras.Input((32, 32, 3), name=name) for name in ("left", "right"))
    conv = keras.layers.Conv2D(4, 3)
    joined = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(conv(side)) for side in (left, right)])
    keras.Model([left, right], keras.layers.Dense(2, activation="softmax")(joined)).save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=r"compares images \(left, right\)"):
        compiled(tmp_path / "m.keras", tmp_path, {})


def test_a_model_of_images_alone_has_no_other_inputs(tmp_path):
    small_models.convolutional().save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match="has no input age"):
        compiled(tmp_path / "m.keras", tmp_path, {"age": "age"})
    with pytest.raises(ModelRefused, match="takes images alone"):
        compiled("bundled:efficientnet-lite0", tmp_path, {"age": "age"})


AGE = ExtraInput("age", ("age",), (1,), "float32")
META_INPUT = ExtraInput("meta", ("sex", "height"), (2,), "float32")
SITE = ExtraInput("site", ("site",), (), "int32")


def test_the_cells_of_a_line_become_rows():
    cells = {"age": "61", "sex": "true", "height": " 1.8 ", "site": "3.0"}
    age, meta, site = input_rows([AGE, META_INPUT, SITE], cells)
    assert (age.tolist(), age.dtype.name) == ([61.0], "float32")
    assert meta.tolist() == pytest.approx([1.0, 1.8])
    assert (site.tolist(), site.shape, site.dtype.name) == (3, (), "int32")
    listed = ExtraInput("grid", ("grid",), (2, 2), "float64")
    assert input_rows([listed], {"grid": "[1, 2, 3, 4.5]"})[0].tolist() == [[1, 2], [3, 4.5]]


@pytest.mark.parametrize(
    ("one", "cells", "message"),
    [
        (AGE, {}, "column age has nothing for the model's input age; write a number"),
        (AGE, {"age": " "}, "column age has nothing"),
        (AGE, {"age": "old"}, "column age has 'old' for the model's input age"),
        (AGE, {"age": "NaN"}, "column age has 'NaN'"),
        (AGE, {"age": "[1, 2]"}, "the model's input age takes 1 numbers, but column age has 2"),
        (META_INPUT, {"sex": "1", "height": "[]"}, "column height has"),
        (SITE, {"site": "1.5"}, "column site: 1.5 is none of the whole numbers that the model's input site takes"),
        (SITE, {"site": "3000000000"}, "3e+09 is none of the whole numbers"),
    ],
)
def test_a_cell_that_is_no_number_costs_its_own_row(one, cells, message):
    with pytest.raises(ImageFailure) as failure:
        input_rows([one], cells)
    assert message in failure.value.message
    assert failure.value.status == Status.BAD_INPUT
