"""A model whose weights do not fit into a GraphDef, which holds 2 GB at most."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

TARGET = 3
FACTORY = """
import keras

def large():
    keras.utils.set_random_seed(5)
    layers = keras.layers
    inputs = keras.Input((224, 224, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(32, 9, strides=8, padding="same", activation="relu", name="features")(x)
    x = layers.Dense(24000, activation="relu")(layers.Flatten()(x))  # 602 million weights
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="kinds")(x))
"""
ORIGINAL = f"""
import keras, numpy as np, tensorflow as tf
from big import large
model = large()
assert sum(weight.shape.num_elements() for weight in map(tf.convert_to_tensor, model.weights)) * 4 > 2 << 30
features, kinds = model.get_layer("features"), model.get_layer("kinds")
rescaling, *_, flatten, dense, _ = model.layers[1:]
pixels = tf.constant(np.load("images.npy"), tf.float32)
activations = features(rescaling(pixels))
with tf.GradientTape() as tape:
    tape.watch(activations)
    logits = dense(flatten(activations)) @ tf.convert_to_tensor(kinds.kernel) + kinds.bias
    score = tf.reduce_sum(logits[:, {TARGET}])
weights = tf.reduce_mean(tape.gradient(score, activations), [1, 2])
np.savez("original.npz", cams=tf.einsum("bhwc,bc->bhw", activations, weights), scores=logits)
"""
SERVED = f"""
import sys, numpy as np, tensorflow as tf
explain = tf.saved_model.load("compiled").signatures["explain"]
images = tf.constant(np.load("images.npy"))
outputs = explain(images=images, targets=tf.fill([len(images), 1], {TARGET}))
assert not {{"transforms", "tf_keras", "tensorflow_hub"}} & set(sys.modules)
np.savez("served.npz", cams=outputs["cams"], scores=outputs["scores"])
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_above_2_gb_is_compiled_and_served(tmp_path):
    """Needs 13 GB of memory; each step is a process of its own, for their memory."""
    (tmp_path / "big.py").write_text(FACTORY)
    np.save(tmp_path / "images.npy", np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8))
    compile_it = ["-m", "pipeline", "compile", "big:large", "compiled"]
    for arguments in (["-c", textwrap.dedent(ORIGINAL)], compile_it, ["-c", textwrap.dedent(SERVED)]):
        subprocess.run([sys.executable, *arguments], check=True, cwd=tmp_path, timeout=500)
    assert sum(file.stat().st_size for file in (tmp_path / "compiled" / "variables").iterdir()) > 2 << 30
    original, served = np.load(tmp_path / "original.npz"), np.load(tmp_path / "served.npz")
    for name, values in (("cams", served["cams"][:, 0]), ("scores", served["scores"])):
        assert np.abs(values - original[name]).max() <= 1e-4 * np.abs(original[name]).max(), name
