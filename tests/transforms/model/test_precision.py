"""model.precision: the network in front of the target layer in 16 bits, the maps in 32, and how far they are off."""

import keras
import numpy as np
import pytest
from slow import slow_but_for
from source_models import SIZE, fine_tuned, shake

from pipeline.config.read import load_config
from transforms.model import ModelOptions, ModelRefused, compile_model, load_compiled
from transforms.model.cam.dry_run import folded_graph
from transforms.model.graph import ancestors, import_graph, narrowed_graph, tensor_name
from transforms.model.planned import PlannedModel
from transforms.storage import Storage

STORAGE = Storage()
IMAGES = np.random.default_rng(3).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
TARGETS = np.array([[0, 1]] * 4, np.int32)


def squeezed():
    """A network whose trunk has operations that stay wide, a mean among them, and narrow ones behind."""
    layers = keras.layers
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="swish")(layers.Rescaling(1 / 255)(inputs))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(squeezed)])
    x = layers.LayerNormalization()(x)
    x = layers.AveragePooling2D(2)(layers.Conv2D(6, 3, strides=2, activation="gelu", name="features")(x))
    x = layers.Concatenate()([x, layers.MaxPooling2D(3, 1, "same")(x)])
    return shake(keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x))))


@pytest.fixture(params=["fine_tuned", "squeezed"])
def source(request, tmp_path) -> str:
    model = fine_tuned(keras) if request.param == "fine_tuned" else squeezed()
    model.save(tmp_path / "model.keras")
    return str(tmp_path / "model.keras")


def explained(source: str, tmp_path, precision: str, **more):
    options = ModelOptions(source=source, precision=precision, **more)
    card = compile_model(options, str(tmp_path / "models"), STORAGE)
    model = load_compiled(f"{tmp_path}/models/{card.fingerprint}", STORAGE, 4)
    return card, model.explain(IMAGES, TARGETS)


@pytest.mark.parametrize(
    ("precision", "most"), slow_but_for([("float16", 0.02)], [("float16", 0.02), ("bfloat16", 0.15)])
)
def test_maps_in_16_bits_are_those_in_32_but_for_the_error_that_the_card_says(source, tmp_path, precision, most):
    exact_card, exact = explained(source, tmp_path, "float32")
    card, rounded = explained(source, tmp_path, precision)
    assert (exact_card.precision, exact_card.map_error) == ("float32", None)
    assert (card.precision, card.fingerprint != exact_card.fingerprint) == (precision, True)
    assert card.map_error is not None
    assert 1e-6 < card.map_error < most
    assert f"{precision} in front of {card.target_layer}: maps differ by up to {card.map_error:.1%}" in card.notes[-1]
    assert rounded.cams.dtype == np.float32
    difference = np.abs(rounded.cams - exact.cams).max() / np.abs(exact.cams).max()
    assert 1e-6 < difference < most


def test_what_can_be_narrow_is_and_the_head_is_not(source):
    planned = PlannedModel(ModelOptions(source=source), STORAGE)
    graph, _ = folded_graph(planned.plan)
    target = planned.plan.target.tensor
    narrow = narrowed_graph(graph, target, "float16")
    trunk = import_graph(ancestors(narrow.graph_def, [target]))
    convolutions = [one for one in trunk.get_operations() if one.type in ("Conv2D", "DepthwiseConv2dNative", "Relu6")]
    assert convolutions
    assert {one.outputs[0].dtype.name for one in convolutions} == {"float16"}
    assert {one.outputs[0].dtype.name for one in trunk.get_operations() if one.type in ("Mean", "Erf")} <= {"float32"}
    assert trunk.get_tensor_by_name(tensor_name(target)).dtype.name == "float32"
    whole = import_graph(ancestors(narrow.graph_def, [planned.plan.scores.tensor]))
    behind = {one.name for one in whole.get_operations()} - {one.name for one in trunk.get_operations()}
    assert {out.dtype.name for name in behind for out in whole.get_operation_by_name(name).outputs} <= {
        "float32",
        "int32",
    }


def test_a_network_whose_numbers_float16_cannot_hold_is_refused_with_the_remedy(tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="features")(keras.layers.Rescaling(1e4)(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    shake(model).save(tmp_path / "large.keras")
    source = str(tmp_path / "large.keras")
    with pytest.raises(ModelRefused, match=r"model\.precision: float16 overflows in this model: .* Say bfloat16"):
        explained(source, tmp_path, "float16", preprocessing="none")
    card, _ = explained(source, tmp_path, "bfloat16", preprocessing="none")
    assert 0 < card.map_error < 0.15


def test_auto_is_float32_without_a_gpu(monkeypatch):
    config = load_config(None, ["model.precision=auto"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert config.model_options.precision == "float32"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert config.model_options.precision == "float16"
    assert load_config(None, []).model_options.precision == "float32"
