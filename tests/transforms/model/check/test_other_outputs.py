"""Checks of models whose output is no single class, or that take more than the image: against Keras' own predict."""

import keras
import numpy as np
import pytest

from transforms.model.check.images import CheckedImages
from transforms.model.check.measure import measure_pixels
from transforms.model.check.verdict import judge
from transforms.model.options import ModelOptions
from transforms.model.planned import PlannedModel
from transforms.storage.storage import Storage

COUNT = 24
PIXELS = (
    np.random.default_rng(3).integers(0, 256, (COUNT, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
)
NOTHING = [None] * COUNT


def brightness(activation=None, units: int = 1) -> keras.Model:
    """A value that grows with the brightness of pixels of 0..1."""
    return keras.Sequential(
        [
            keras.layers.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(units, activation=activation, name="head"),
        ]
    )


def opened(model, folder, **options):
    model.save(folder / "m.keras")
    return PlannedModel(ModelOptions(str(folder / "m.keras"), **options), Storage())


def test_values_are_held_to_labels_by_their_error(tmp_path):
    model = brightness()
    truth = model.predict(PIXELS / np.float32(255), verbose=0).astype(np.float64)
    model.compile(loss="mse")
    under_check = opened(model, tmp_path, preprocessing="none")
    check = measure_pixels(under_check, CheckedImages(PIXELS, NOTHING, NOTHING, values=truth))
    assert check.are_values
    assert (check.labelled, check.taken.name, check.taken.accuracy) == (COUNT, "none", None)
    given = model.predict(PIXELS.astype(np.float32), verbose=0)
    assert check.taken.error == pytest.approx(np.abs(given - truth).mean(), rel=1e-4)
    unit = next(row for row in check.rows if row.name == "unit")
    assert unit.error == pytest.approx(0, abs=1e-5)
    assert (unit.wins, unit.losses) == (COUNT, 0)
    assert unit.p_value == pytest.approx(2 * 0.5**COUNT)
    refusal = judge(check, 0.98).refusal
    assert refusal is not None
    assert f"by {COUNT} labels unit is better: mean error" in refusal


def test_values_without_labels_say_nothing_of_the_pixels(tmp_path):
    model = brightness()
    model.compile(loss="mse")
    check = measure_pixels(opened(model, tmp_path, preprocessing="none"), CheckedImages(PIXELS, NOTHING, NOTHING))
    verdict = judge(check, 0.98)
    assert verdict.refusal is None
    assert "there are no labels to hold the values against" in verdict.remarks[0]


def test_values_are_held_to_those_of_the_users_own_arrays(tmp_path):
    model = brightness()
    model.compile(loss="mse")
    under_check = opened(model, tmp_path, preprocessing="none")
    check = measure_pixels(under_check, CheckedImages(PIXELS, NOTHING, NOTHING, references=PIXELS / np.float32(255)))
    agreements = {row.name: row.reference_agreement for row in check.rows}
    assert agreements["unit"] == 1.0
    assert agreements["none"] < 0.5
    assert "the nearest is unit with 100.0 %" in (judge(check, 0.98).refusal or "")


def test_of_several_labels_any_one_is_right(tmp_path):
    model = brightness("sigmoid", units=4)
    model.compile(loss="binary_crossentropy")
    check_of = opened(model, tmp_path, preprocessing="unit")
    best = model.predict(PIXELS / np.float32(255), verbose=0).argmax(1)
    labels = [(int(c), (int(c) + 1) % 4) if n % 2 else ((int(c) + 1) % 4,) for n, c in enumerate(best)]
    check = measure_pixels(check_of, CheckedImages(PIXELS, labels, NOTHING))
    assert (check.labelled, check.taken.accuracy) == (COUNT, 0.5)


def test_the_other_inputs_are_those_of_each_image(tmp_path):
    image, age = keras.Input((16, 16, 3), name="image"), keras.Input((1,), name="age")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    joined = keras.layers.Concatenate()([features, age])
    model = keras.Model([image, age], keras.layers.Dense(3, activation="softmax")(joined))
    ages = np.random.default_rng(0).normal(0, 3, (COUNT, 1)).astype(np.float32)
    wanted = model.predict([PIXELS / np.float32(255), ages], verbose=0)
    under_check = opened(model, tmp_path, preprocessing="unit", inputs={"age": "age"})
    check = measure_pixels(
        under_check, CheckedImages(PIXELS, [(int(c),) for c in wanted.argmax(1)], NOTHING, beside=[ages])
    )
    assert check.taken.accuracy == 1.0
    assert check.taken.confidence == pytest.approx(wanted.max(axis=1).mean(), abs=1e-5)
