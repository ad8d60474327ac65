"""Models that Keras 3 saved on another back end, and what it exports from there."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from small_models import planned

from transforms.model.errors import ModelRefused
from transforms.model.load import load_model
from transforms.model.options import ModelOptions
from transforms.storage import Storage

_MODEL = """
import sys, keras, numpy as np
from keras import layers
keras.utils.set_random_seed(0)
image = keras.Input((32, 48, 3))
x = layers.Conv2D(16, 8, strides=8)(image)
x = layers.Reshape((24, 16))(x)
for _ in range(2):
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
    x = layers.Add()([x, layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))])
x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="norm")(x))
model = keras.Model(image, layers.Dense(5, name="scores")(x))
folder = sys.argv[1]
images = np.load(f"{folder}/images.npy").astype(np.float32)
np.save(f"{folder}/scores.npy", model.predict(images, verbose=0))
model.save(f"{folder}/model.keras")
if len(sys.argv) > 2:
    model.export(f"{folder}/exported", verbose=False)
"""


def _saved_on(backend: str, folder, *arguments: str) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)
    np.save(folder / "images.npy", images)
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", _MODEL, str(folder), *arguments], env=environment, check=True)
    return images


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_scores_are_those_of_the_back_end_that_saved_the_model(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    images = _saved_on(backend, tmp_path)
    plan = planned(load_model(ModelOptions(str(tmp_path / "model.keras"), preprocessing="none"), Storage()))
    assert (plan.target.name, plan.target.height, plan.target.width) == ("norm", 4, 6)
    from small_models import explained

    found = explained(plan, images, [[-1]] * 3)
    np.testing.assert_allclose(found["scores"], np.load(tmp_path / "scores.npy"), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_what_keras_exports_from_jax_is_refused_with_what_it_is_and_what_works(tmp_path):
    pytest.importorskip("jax", reason="jax is not installed")
    _saved_on("jax", tmp_path, "export")
    with pytest.raises(ModelRefused, match=r"(?s)JAX.*XlaCallModule.*\.keras file.*native_serialization=False"):
        planned(load_model(ModelOptions(str(tmp_path / "exported"), preprocessing="none"), Storage()))
