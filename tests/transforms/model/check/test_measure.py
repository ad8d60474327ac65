"""The table of a check, against Keras' own predict on arrays that are made the obvious way."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from colour_models import NAMES, colour_classifier, pixels_of, write_pictures
from small_models import tape_gradcam

from transforms.expected import Expected
from transforms.model.check.images import CheckedImages
from transforms.model.check.measure import measure_pixels
from transforms.model.check.measures import mutual_information
from transforms.model.check.table import PixelCheck
from transforms.model.options import ModelOptions
from transforms.model.planned import PlannedModel
from transforms.model.preprocessing import NAMED, SIXTEEN_BITS
from transforms.storage.storage import Storage

LABELS = [index for index in range(len(NAMES)) for _ in range(3)]


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    return pixels_of(write_pictures(tmp_path_factory.mktemp("pictures")))


def checked(model, path, pixels, labels=None, expected=None, references=None, **options):
    model.save(path / "m.keras")
    opened = PlannedModel(ModelOptions(str(path / "m.keras"), **options), Storage())
    nothing = [None] * len(pixels)
    known = nothing if labels is None else [(label,) for label in labels]
    return measure_pixels(opened, CheckedImages(pixels, known, expected or nothing, references=references))


def test_every_row_is_what_keras_predicts(tmp_path, pixels):
    model = colour_classifier(sharpness=3.0)
    check = checked(model, tmp_path, pixels, LABELS, preprocessing="minus_one_to_one")
    names = ["minus_one_to_one", "none", "unit", "caffe", "torch", "minus_one_to_one, BGR", "16-bit"]
    assert [row.name for row in check.rows] == names
    assert (check.images, check.labelled, check.evidence) == (33, 33, "said")
    made = {**NAMED, "16-bit": SIXTEEN_BITS}
    right_as_taken = model.predict(pixels / 127.5 - 1, verbose=0).argmax(1) == LABELS
    assert right_as_taken.all()
    for row in check.rows:
        fed = pixels[..., ::-1] / 127.5 - 1 if "BGR" in row.name else made[row.name].apply(pixels)
        wanted = model.predict(fed.astype(np.float32), verbose=0)
        right = wanted.argmax(1) == LABELS
        assert row.accuracy == pytest.approx(right.mean())
        assert row.confidence == pytest.approx(wanted.max(axis=1).mean(), abs=1e-4)
        assert row.mutual_information == pytest.approx(mutual_information(wanted), abs=1e-3)
        assert (row.wins, row.losses) == ((right & ~right_as_taken).sum(), (right_as_taken & ~right).sum())


def test_integer_pixels_leave_only_the_order_of_the_channels_open(tmp_path, pixels):
    inner = colour_classifier()

    class Integers(tf.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3], tf.uint8, "pixels")])
        def scores(self, pixels):
            return {"scores": self.inner(tf.cast(pixels, tf.float32) / 127.5 - 1.0)}

    module = Integers()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.scores)
    opened = PlannedModel(ModelOptions(str(tmp_path / "m")), Storage())
    check = measure_pixels(opened, CheckedImages(pixels, [(label,) for label in LABELS], [None] * len(pixels)))
    assert [row.name for row in check.rows] == ["none", "none, BGR"]
    assert check.taken.accuracy == 1.0
    assert check.rows[1].accuracy < 0.8


def test_the_users_own_predictions_are_held_against_each_row(tmp_path, pixels):
    model = colour_classifier()
    expected = [Expected(label) for label in LABELS[:20]] + [None] * 13
    check = checked(model, tmp_path, pixels, expected=expected, preprocessing="unit")
    rows = {row.name: row for row in check.rows}
    assert check.expected == 20
    assert rows["minus_one_to_one"].agreement == 1.0
    predicted = model.predict(pixels[:20] / 255, verbose=0).argmax(1)
    assert rows["unit"].agreement == pytest.approx((predicted == LABELS[:20]).mean())


def test_the_users_own_arrays_give_agreement_inputs_and_maps(tmp_path, pixels):
    model = colour_classifier()
    references = (pixels / 127.5 - 1).astype(np.float32)
    check = checked(model, tmp_path, pixels, references=references, preprocessing="unit")
    rows = {row.name: row for row in check.rows}
    right, wrong = rows["minus_one_to_one"], rows["unit"]
    assert (right.reference_agreement, check.referenced) == (1.0, 33)
    assert right.input_difference == pytest.approx(0, abs=1e-6)
    assert right.map_distance == pytest.approx(0, abs=1e-3)
    apart = np.abs(pixels / 255 - references).mean() / (references.max() - references.min())
    assert wrong.input_difference == pytest.approx(apart, rel=1e-4)
    agrees = model.predict(pixels / 255, verbose=0).argmax(1) == model.predict(references, verbose=0).argmax(1)
    assert wrong.reference_agreement == pytest.approx(agrees.mean())
    assert wrong.map_distance > 0.02


def test_maps_are_those_of_a_tape(tmp_path, pixels):
    from transforms.model.check.forward import Forward

    model = colour_classifier()
    model.save(tmp_path / "m.keras")
    opened = PlannedModel(ModelOptions(str(tmp_path / "m.keras"), preprocessing="minus_one_to_one"), Storage())
    features, dense = keras.Model(model.input, model.get_layer("halves").output), model.get_layer("scores")

    def features_and_scores(batch):
        found = features(batch)
        return found, tf.reduce_mean(found, [1, 2]) @ dense.kernel + dense.bias

    _, maps = Forward(opened.plan).maps(pixels[15:18], NAMED["minus_one_to_one"])
    wanted = tape_gradcam(features_and_scores, pixels[15:18] / 127.5 - 1, LABELS[15])
    np.testing.assert_allclose(maps, wanted, rtol=1e-4, atol=1e-5)


def test_other_filters_are_scored_for_what_is_taken_and_for_the_best_other(tmp_path, pixels):
    model = colour_classifier(sharpness=3.0)
    model.save(tmp_path / "m.keras")
    opened = PlannedModel(ModelOptions(str(tmp_path / "m.keras"), preprocessing="unit"), Storage())
    darker, inverted = pixels // 2, 255 - pixels
    images = CheckedImages(pixels, [(label,) for label in LABELS], [None] * len(pixels))
    check = measure_pixels(opened, images, {"darker": darker, "inverted": inverted})
    names = [(row.name, row.filter) for row in check.filters]
    assert names == [
        ("unit", "darker"), ("unit", "inverted"), ("minus_one_to_one", "darker"), ("minus_one_to_one", "inverted")
    ]  # fmt: skip
    assert {row.filter for row in check.rows} == {"area"}
    taken = model.predict(pixels / np.float32(255), verbose=0).argmax(1) == LABELS
    for row, fed in zip(
        check.filters, (darker / 255, inverted / 255, darker / 127.5 - 1, inverted / 127.5 - 1), strict=True
    ):
        right = model.predict(fed.astype(np.float32), verbose=0).argmax(1) == LABELS
        assert row.accuracy == pytest.approx(right.mean())
        assert (row.wins, row.losses) == ((right & ~taken).sum(), (taken & ~right).sum())
    assert PixelCheck.decode(check.encode()) == check
