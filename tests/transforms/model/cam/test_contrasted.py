"""Why this class and not that one: which one it is, of each image of a batch."""

import keras
import numpy as np
import pytest
import small_models
from keras import layers
from small_models import explained, planned, traced

from transforms.model.cam.dry_run import folded_graph
from transforms.model.cam.explainer import Explainer
from transforms.model.errors import ModelRefused

IMAGES = small_models.images(4)


@pytest.fixture(scope="module")
def model():
    return small_models.convolutional()


@pytest.fixture(scope="module")
def ranked(model):
    return np.argsort(-explained(planned(model), IMAGES, [[0]] * 4)["scores"], axis=1)


def test_the_label_is_set_against_the_target_and_the_highest_other_class_where_it_is_the_target_or_none(model, ranked):
    """One batch: a wrong prediction, a right one, no label, and a listed class; one traced function for all."""
    plan = planned(model, contrast="label")
    explainer = Explainer(plan, folded_graph(plan)[0])
    labels = np.array([ranked[0, 3], ranked[1, 0], -1, ranked[3, 0]], np.int32)
    targets = np.array([[-1], [-1], [-1], [ranked[3, 2]]], np.int32)
    found = explainer.explain(IMAGES, targets, labels)
    others = np.array([[ranked[0, 3]], [ranked[1, 1]], [ranked[2, 1]], [ranked[3, 0]]])
    np.testing.assert_array_equal(found["contrasted"], others)
    assert explainer.explain.experimental_get_tracing_count() == 1
    plain = planned(model)
    single, against = (explained(plan, IMAGES, classes) for plan, classes in ((plain, targets), (plain, others)))
    np.testing.assert_allclose(found["cams"], single["cams"] - against["cams"], rtol=1e-3, atol=1e-5)
    difference = single["target_scores"] - against["target_scores"]
    np.testing.assert_allclose(found["target_scores"], difference, rtol=1e-4, atol=1e-5)


def test_each_of_several_targets_has_its_own(model, ranked):
    plan = planned(model, contrast="label")
    targets = np.tile(np.array([-1, -2, -3], np.int32), (4, 1))
    found = Explainer(plan, folded_graph(plan)[0]).explain(IMAGES, targets, ranked[:, 1].astype(np.int32))
    expected = np.stack([ranked[:, 1], ranked[:, 0], ranked[:, 1]], axis=1)
    np.testing.assert_array_equal(found["contrasted"], expected)


@pytest.mark.parametrize(("option", "expected"), [(2, [[2, 2]] * 4), ("runner_up", None)])
def test_the_answer_says_what_was_taken_off(model, ranked, option, expected):
    found = explained(planned(model, contrast=option), IMAGES, [[-1, -3]] * 4)
    np.testing.assert_array_equal(found["contrasted"], expected or np.stack([ranked[:, 1], ranked[:, 0]], axis=1))
    assert "contrasted" not in explained(planned(model), IMAGES, [[-1]] * 4)


def test_of_two_classes_the_other_is_the_runner_up():
    model = small_models.convolutional("sigmoid", classes=1)
    found = explained(planned(model, contrast="runner_up", output_kind="binary"), IMAGES, [[0, 1]] * 4)
    np.testing.assert_array_equal(found["contrasted"], [[1, 0]] * 4)
    np.testing.assert_allclose(found["cams"][:, 0], -found["cams"][:, 1], rtol=1e-5)


def test_a_class_that_is_called_label_is_that_class(model):
    names = ("ant", "label", "cat", "dog", "emu")
    assert planned(traced(model, class_names=names), contrast="label").contrast == 1
    assert planned(model, contrast="label").contrast == "label"


@pytest.mark.parametrize(
    ("units", "options", "message"),
    [
        (3, {"contrast": "label", "output_kind": "multi_label"}, "of which one class is true, and several can be"),
        (3, {"contrast": "label", "output_kind": "value"}, "label is for classes, and this model gives 3 values"),
        (3, {"contrast": "runner_up", "output_kind": "value"}, "runner_up is for classes"),
        (1, {"contrast": 0, "output_kind": "value"}, "the model gives one number"),
    ],
)
def test_what_has_no_one_true_class_is_refused(units, options, message):
    with pytest.raises(ModelRefused, match=message):
        planned(small_models.convolutional(None, classes=units), **options)


def test_inputs_beside_the_image_come_before_the_label():
    image, age = keras.Input((32, 32, 3), name="image"), keras.Input((1,), name="age")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=4, activation="relu", name="features")(image))
    model = keras.Model([image, age], layers.Dense(3, name="scores")(layers.Concatenate()([x, age])))
    from transforms.model.options import ModelOptions
    from transforms.model.planned import PlannedModel
    from transforms.storage import Storage

    options = ModelOptions("a test", preprocessing="none", inputs={"age": "age"}, contrast="label")
    plan = PlannedModel(options, Storage(), live=model).plan
    explainer = Explainer(plan, folded_graph(plan)[0])
    ages = np.arange(4, dtype=np.float32)[:, None]
    found = explainer.explain(IMAGES, np.zeros((4, 1), np.int32), ages, np.full(4, 2, np.int32))
    np.testing.assert_array_equal(found["contrasted"], [[2]] * 4)
    np.testing.assert_allclose(found["scores"], model.predict([IMAGES.astype(np.float32), ages], verbose=0), rtol=1e-4)
