"""``inspect`` and ``compile``, as a user calls them."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((32, 32, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="early")(x)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="late")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.Model(inputs, keras.layers.Dense(4, activation="softmax", name="kinds")(x)).save(path)
    return path


def call(*arguments) -> tuple[int, str]:
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return answer.exit_code, answer.output


def test_inspect_names_the_layer_that_it_takes_and_what_it_found(model):
    code, said = call("inspect", model)
    assert code == 0
    for line in ("32 x 32 pixels", "kinds [N, 4]  <- scores", "before the softmax", "late  <- target", "7 x 7"):
        assert line in said
    assert "turn 0..255 into 0..1: it is given 0..255" in said
    code, said = call("inspect", model, "--json", "--set", "model.target_layer=early")
    found = json.loads(said)
    assert (found["target_layer"], found["target_height"], found["target_channels"]) == ("early", 15, 8)
    layers = [candidate["name"] for candidate in found["candidates"] if ":" not in candidate["name"]]
    assert layers == ["early", "late"]  # beside them, by tensor, what they are before their activation
    assert found["activation"] == "softmax"


def test_a_layer_that_is_not_there_is_refused_with_the_candidates(model):
    code, said = call("inspect", model, "--set", "model.target_layer=nope")
    assert code == 2
    assert "'nope'" in said
    assert "late" in said


def test_compile_writes_a_model_that_tensorflow_alone_can_run(model, tmp_path):
    folder = tmp_path / "compiled"
    code, said = call("compile", model, folder)
    assert (code, "gradcam at late, 7 x 7 cells" in said) == (0, True)
    assert json.loads((folder / "explanation.json").read_text())["target_layer"] == "late"
    script = (
        "import sys, tensorflow as tf; explain = tf.saved_model.load(sys.argv[1]).signatures['explain'];"
        "images = tf.cast(tf.reshape(tf.range(2 * 32 * 32 * 3) % 251, [2, 32, 32, 3]), tf.uint8);"
        "outputs = explain(images=images, targets=tf.constant([[-1, 3], [0, -1]]));"
        "assert not {'transforms', 'tensorflow_hub'} & set(sys.modules);"
        "print(outputs['cams'].shape, *outputs['probabilities'].numpy().ravel())"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True, cwd="/")
    shape, *probabilities = done.stdout.rsplit(maxsplit=8)
    assert shape == "(2, 2, 7, 7)"
    images = (np.arange(2 * 32 * 32 * 3) % 251).reshape(2, 32, 32, 3)
    expected = keras.models.load_model(model)(images, training=False)
    np.testing.assert_allclose(np.array(probabilities, np.float32), np.ravel(expected), rtol=1e-4)
    code, said = call("compile", model, folder)
    assert (code, "is not empty" in said) == (2, True)
