"""The loss that a model was trained with, read from every file that holds it."""

import keras
import pytest
import tf_keras
from source_models import LIBRARIES, fine_tuned

from transforms.model.load.training_loss import loss_in_file, loss_in_savedmodel, loss_of_model, losses_of


@pytest.mark.parametrize(
    ("described", "name", "made_for"),
    [
        ("mse", "mean_squared_error", "value"),
        ("mean_absolute_error", "mean_absolute_error", "value"),
        (keras.losses.Huber(), "huber", "value"),
        (keras.losses.MeanSquaredLogarithmicError(), "mean_squared_logarithmic_error", "value"),
        (keras.losses.log_cosh, "log_cosh", "value"),
        ("binary_crossentropy", "binary_crossentropy", "binary"),
        (tf_keras.losses.BinaryFocalCrossentropy(from_logits=True), "binary_focal_crossentropy", "binary"),
        (keras.losses.SparseCategoricalCrossentropy(), "sparse_categorical_crossentropy", "classes"),
        (keras.losses.CategoricalFocalCrossentropy(), "categorical_focal_crossentropy", "classes"),
        ({"class_name": "BinaryCrossentropy", "config": {"from_logits": True}}, "binary_crossentropy", "binary"),
        ({"class_name": "function", "config": "mean_squared_error"}, "mean_squared_error", "value"),
        ({"class_name": "coral>OrdinalCrossEntropy", "config": {}}, "ordinal_cross_entropy", "ordinal"),
        ("my_own_loss", "my_own_loss", None),
        (lambda true, predicted: 0.0, "<lambda>", None),
    ],
)
def test_a_loss_is_known_by_its_name(described, name, made_for):
    loss = losses_of(described, ["scores"])[""]
    assert (loss.name, loss.made_for) == (name, made_for)


def test_each_output_has_its_own():
    by_name = losses_of({"age": "mse", "sex": "bce"}, ["age", "sex"])
    assert {name: loss.made_for for name, loss in by_name.items()} == {"age": "value", "sex": "binary"}
    assert losses_of(["mse", "bce"], ["age", "sex"]) == by_name
    assert losses_of(["mse", None], ["age", "sex"]) == {"age": by_name["age"]}
    assert losses_of(None, ["age"]) == {}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("loss", ["mse", "object", None])
def test_files_of_both_keras_have_it(tmp_path, library, name, loss):
    model = fine_tuned(LIBRARIES[library], activation=None, classes=1)
    if loss is not None:
        model.compile(loss=LIBRARIES[library].losses.BinaryCrossentropy(from_logits=True) if loss == "object" else loss)
    model.save(tmp_path / name)
    made_for = {"mse": "value", "object": "binary"}.get(loss)
    for described in (loss_in_file(tmp_path / name), loss_of_model(model)):
        losses = losses_of(described, ["scores"])
        assert (losses[""].made_for if losses else None) == made_for


def test_saved_models_of_keras_2_have_it(tmp_path):
    model = fine_tuned(tf_keras, activation=None, classes=1)
    model.compile(loss="mae")
    model.save(tmp_path / "m", save_format="tf")
    assert losses_of(loss_in_savedmodel(tmp_path / "m"), ["scores"])[""].name == "mean_absolute_error"
    fine_tuned(keras, classes=3, augmented=False).export(tmp_path / "exported", verbose=False)
    assert loss_in_savedmodel(tmp_path / "exported") is None
