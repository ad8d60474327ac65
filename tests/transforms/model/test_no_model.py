"""A job without a model: everything else can be timed, and nothing loads TensorFlow."""

import subprocess
import sys

import numpy as np

from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage


def test_maps_are_the_green_of_some_pixels_and_ranks_are_classes(tmp_path):
    card = compile_model(ModelOptions("none", input_size=(14, 28)), str(tmp_path), Storage())
    model = load_compiled(f"{tmp_path}/{card.fingerprint}", Storage())
    images = np.random.default_rng(0).integers(0, 256, (2, 14, 28, 3), np.uint8)
    explanation = model.explain(images, np.array([[-1, 5], [-3, 0]], np.int32))
    assert explanation.classes.tolist() == [[0, 5], [2, 0]]
    assert explanation.target_scores.tolist() == [[0, -5], [-2, 0]]
    assert explanation.cams.shape == (2, 2, 7, 7)
    assert explanation.cams[1, 0, 2, 3] == images[1, 4, 12, 1] - 127.5
    np.testing.assert_allclose(explanation.probabilities.sum(axis=1), 1, rtol=1e-6)


def test_tensorflow_stays_out(tmp_path):
    script = f"""
from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage
card = compile_model(ModelOptions("none"), {str(tmp_path)!r}, Storage())
load_compiled({str(tmp_path)!r} + "/" + card.fingerprint, Storage())
import sys
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
