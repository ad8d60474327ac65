"""Keras models from files, of Keras 3 and of tf_keras, give the scores that they gave before."""

import json
import os
import re
import subprocess
import sys
import zipfile

import fsspec
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from plain_module import CLASSES, images
from source_models import LIBRARIES, fine_tuned, shake, tiny_base

from transforms.model.errors import ModelRefused
from transforms.model.load.loaders import class_count, load_model
from transforms.model.load.tracing import trace_keras_model
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

BOTH = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
FORMATS = pytest.mark.parametrize("suffix", [".keras", ".h5"])


def load(source, **options):
    return load_model(ModelOptions(str(source), **options), Storage())


def scores_of(traced, pixels):
    return traced.function(tf.cast(pixels, traced.function.inputs[0].dtype))[0].numpy()


@BOTH
@FORMATS
def test_a_fine_tuned_model_gives_its_scores(tmp_path, library, suffix):
    model = fine_tuned(library)
    model.save(tmp_path / f"m{suffix}")
    traced = load(tmp_path / f"m{suffix}")
    np.testing.assert_allclose(scores_of(traced, images()), model(images(), training=False), rtol=1e-5, atol=1e-6)
    assert traced.function.inputs[0].shape.as_list() == [None, 32, 32, 3]
    assert class_count(traced, None) == CLASSES
    assert "tiny_base/base_out" in traced.layer_tensors
    assert not [op.type for op in traced.function.graph.get_operations() if "Random" in op.type]
    assert traced.preprocessing.name == "none"
    assert "rescaling/add) turn 0..255 into -1..1: it is given 0..255" in re.sub(r"_\d+/", "/", traced.notes[0])


def test_any_fsspec_url(tmp_path):
    model = fine_tuned(keras)
    model.save(tmp_path / "m.keras")
    fsspec.filesystem("memory").pipe("/keras-files/m.keras", (tmp_path / "m.keras").read_bytes())
    traced = load("memory://keras-files/m.keras")
    np.testing.assert_allclose(scores_of(traced, images()), model(images(), training=False), rtol=1e-5, atol=1e-6)


@BOTH
def test_free_image_sizes_need_a_number(tmp_path, library):
    base = tiny_base(library, size=None)
    outputs = library.layers.GlobalAveragePooling2D()(base.output)
    model = library.Model(base.input, outputs)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=r"\[any, any, any, 3\]: say the one it was trained with, model.input_size"):
        load(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras", input_size=(24, 40))
    assert traced.function.inputs[0].shape.as_list() == [None, 24, 40, 3]
    pixels = np.random.default_rng(0).uniform(0, 1, (2, 24, 40, 3)).astype(np.float32)
    np.testing.assert_allclose(scores_of(traced, pixels), model(pixels), rtol=1e-5, atol=1e-6)


def test_another_size_than_the_models_own_is_refused(tmp_path):
    fine_tuned(keras).save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=r"input_size is 64 x 48 .*, but the model takes 32 x 32"):
        load(tmp_path / "m.keras", input_size=(64, 48))
    assert load(tmp_path / "m.keras", input_size=(32, 32)).function.inputs[0].shape[1] == 32


@BOTH
def test_several_outputs_keep_their_names(tmp_path, library):
    base = tiny_base(library)
    pooled = library.layers.GlobalAveragePooling2D()(base.output)
    outputs = [library.layers.Dense(count, name=name)(pooled) for name, count in (("zebra", 4), ("ant", 1))]
    model = library.Model(base.input, outputs)
    model.save(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras")
    assert traced.outputs == ("zebra", "ant")
    assert [tensor.shape[-1] for tensor in traced.function.outputs] == [4, 1]
    assert (class_count(traced, "zebra"), class_count(traced, "ant"), class_count(traced, None)) == (4, None, None)
    assert load(tmp_path / "m.keras", output="ant", class_names=("no", "yes")).class_names == ("no", "yes")
    with pytest.raises(ModelRefused, match="2 class names, the model has 4 classes"):
        load(tmp_path / "m.keras", output="zebra", class_names=("no", "yes"))


def test_outputs_and_inputs_in_a_dict(tmp_path):
    inputs = {"photo": keras.Input((32, 32, 3), name="photo")}
    pooled = keras.layers.GlobalAveragePooling2D()(tiny_base(keras)(inputs["photo"]))
    outputs = {"b": keras.layers.Dense(3)(pooled), "a": keras.layers.Dense(2)(pooled)}
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras")
    assert traced.outputs == ("a", "b")
    wanted = model({"photo": images()})
    got = traced.function(tf.constant(images()))
    np.testing.assert_allclose(got[0], wanted["a"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(got[1], wanted["b"], rtol=1e-5, atol=1e-4)


@BOTH
def test_two_inputs_are_refused(tmp_path, library):
    inputs = [library.Input((32, 32, 3), name="photo"), library.Input((4,), name="age")]
    pooled = library.layers.GlobalAveragePooling2D()(inputs[0])
    library.Model(inputs, library.layers.Concatenate()([pooled, inputs[1]])).save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=r"2 inputs \(photo.* \[any, 32, 32, 3\], age.* \[any, 4\]\)"):
        load(tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("shape", "batch", "message"),
    [
        ((10,), None, r"takes \[any, 10\], not a batch of images.*A layer in front"),
        ((8, 8, 4), None, r"4 channels, where photos have 3.*A layer in front"),
        ((8, 8, 3), 1, r"exactly 1 image\(s\) at a time. Export it with a free batch size"),
    ],
)
def test_inputs_that_are_no_images_are_refused(tmp_path, shape, batch, message):
    inputs = keras.Input(shape, batch_size=batch)
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs))).save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=message):
        load(tmp_path / "m.keras")


def test_uint8_pixels_come_as_uint8(tmp_path):
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    model = keras.Model(
        inputs, keras.layers.GlobalAveragePooling2D()(tiny_base(keras)(keras.layers.Rescaling(1 / 255)(inputs)))
    )
    model.save(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras")
    assert traced.function.inputs[0].dtype == tf.uint8
    pixels = images().astype(np.uint8)
    np.testing.assert_allclose(scores_of(traced, pixels), model(pixels), rtol=1e-5, atol=1e-6)


def test_one_channel_models_are_given_luma(tmp_path):
    inputs = keras.Input((8, 8, 1))
    model = shake(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(inputs)))))
    model.save(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras")
    pixels = images(size=8)
    gray = pixels @ np.array([[0.299], [0.587], [0.114]], np.float32)
    np.testing.assert_allclose(scores_of(traced, pixels), model(gray), rtol=1e-4, atol=1e-3)
    assert "luma" in traced.notes[0]


@BOTH
@FORMATS
def test_a_lambda_layer_needs_trust(tmp_path, library, suffix):
    inputs = library.Input((32, 32, 3))
    scaled = library.layers.Lambda(lambda x: x / 255.0, output_shape=(32, 32, 3), name="scale_it")(inputs)
    model = library.Model(inputs, library.layers.GlobalAveragePooling2D()(tiny_base(library)(scaled)))
    model.save(tmp_path / f"m{suffix}")
    with pytest.raises(ModelRefused, match=r"Python code in a Lambda layer \(scale_it\).* model.trust: true"):
        load(tmp_path / f"m{suffix}")
    traced = load(tmp_path / f"m{suffix}", trust=True)
    np.testing.assert_allclose(scores_of(traced, images()), model(images()), rtol=1e-5, atol=1e-6)


MODULE = """
import {library}

class Net({library}.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = {library}.layers.Conv2D(4, 3, name="conv")
        self.pool = {library}.layers.GlobalAveragePooling2D()

    def call(self, x, training=None):
        return self.pool(self.conv(x))

class Doubled({library}.layers.Layer):
    def call(self, x):
        return x * 2.0
"""


@BOTH
def test_a_custom_layer_is_imported_only_when_trusted(tmp_path, library, monkeypatch):
    name = f"doubling_{library.__name__}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(library=library.__name__))
    monkeypatch.syspath_prepend(tmp_path)
    layer = __import__(name).Doubled
    inputs = library.Input((32, 32, 3))
    model = library.Model(inputs, library.layers.GlobalAveragePooling2D()(layer()(tiny_base(library)(inputs))))
    model.save(tmp_path / "m.keras")
    with pytest.raises(
        ModelRefused, match=rf"built with {name}.Doubled, .*model.trust: true .*package.module:function"
    ):
        load(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras", trust=True)
    np.testing.assert_allclose(scores_of(traced, images()), model(images()), rtol=1e-5, atol=1e-4)
    monkeypatch.undo()
    sys.modules.pop(name)
    with pytest.raises(ModelRefused, match=f"{name}.Doubled, which cannot be imported here .*install its package"):
        load(tmp_path / "m.keras", trust=True)


@BOTH
def test_a_subclassed_model_knows_the_size_it_was_built_with(tmp_path, library, monkeypatch):
    name = f"subclassed_{library.__name__}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(library=library.__name__))
    monkeypatch.syspath_prepend(tmp_path)
    model = __import__(name).Net()
    wanted = model(images())
    model.save(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras", trust=True)
    assert traced.function.inputs[0].shape.as_list() == [None, 32, 32, 3]
    np.testing.assert_allclose(scores_of(traced, images()), wanted, rtol=1e-5, atol=1e-4)
    assert "conv" in traced.layer_tensors


@BOTH
def test_a_custom_layer_in_h5_is_named(tmp_path, library):
    class Tripled(library.layers.Layer):
        def call(self, x):
            return x * 3.0

    inputs = library.Input((32, 32, 3))
    library.Model(inputs, library.layers.GlobalAveragePooling2D()(Tripled()(tiny_base(library)(inputs)))).save(
        tmp_path / "m.h5"
    )
    with pytest.raises(ModelRefused, match=r"custom object Tripled, .* package.module:function"):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize("version", ["2.15.0", "3.5.0"])
def test_a_file_that_names_foreign_code_runs_none_of_it(tmp_path, version):
    """A config may name any callable in any module; CVE-2025-1550 was one."""
    attack = {
        "module": "os",
        "class_name": "system",
        "config": {"command": f"touch {tmp_path}/attacked"},
        "registered_name": None,
    }
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [attack]}}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ModelRefused, match=r"os\.system, which is not part of Keras"):
        load(tmp_path / "m.keras")
    assert not (tmp_path / "attacked").exists()


@BOTH
def test_weights_alone_are_refused_with_the_remedy(tmp_path, library):
    fine_tuned(library).save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.weights.h5").rename(tmp_path / "m.h5")
    with pytest.raises(ModelRefused, match=r"weights and no architecture: give it as model\.weights"):
        load(tmp_path / "m.h5")


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelRefused, match="is not a Keras model file, or it is damaged"):
        load(tmp_path / "m.keras")
    fine_tuned(keras).save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "part.keras", "w") as part:
        for name in ("metadata.json", "config.json"):
            part.writestr(name, whole.read(name))
        part.writestr("model.weights.h5", whole.read("model.weights.h5")[:2000])
    with pytest.raises(ModelRefused, match=r"part.keras cannot be loaded"):
        load(tmp_path / "part.keras")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(ModelRefused, match="holds weights and no architecture"):
        load(tmp_path / "empty.h5")


def test_weights_are_for_architectures(tmp_path):
    with pytest.raises(ModelRefused, match=r"model.weights is for architectures .*; m.keras brings its own"):
        load("m.keras", weights="w.h5")


def test_python_conditions_over_tensors_are_for_keras_2():
    class Signed(tf_keras.Model):
        def call(self, x, training=None):
            if tf.reduce_mean(x) > 0:
                return x
            return -x

    function = trace_keras_model(Signed(), (8, 8)).function
    np.testing.assert_array_equal(function(-tf.ones([1, 8, 8, 3]))[0], np.ones([1, 8, 8, 3]))


def test_a_model_whose_code_fails():
    class Fails(keras.Model):
        def call(self, x, training=None):
            if tf.reduce_mean(x) > 0:
                return x
            return -x

    with pytest.raises(ModelRefused, match=r"(?s)fails.* cannot be called with images \[any, 8, 8, 3\].*tf\.cond"):
        trace_keras_model(Fails(), (8, 8))


def test_a_layer_that_safe_mode_refuses_needs_trust(tmp_path):
    module = tf.Module()
    kernel = tf.Variable(tf.ones([3, 3, 3, 4]))
    module.kernel = kernel
    spec = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    module.features = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), input_signature=[spec])
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.features)
    layer = keras.layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serving_default")
    inputs = keras.Input((8, 8, 3))
    features = layer(inputs)["output_0"]
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features)))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelRefused, match=r"If you know who wrote it, say model\.trust: true"):
        load(tmp_path / "m.keras")
    traced = load(tmp_path / "m.keras", trust=True)
    np.testing.assert_allclose(scores_of(traced, images(size=8)), model(images(size=8)), rtol=1e-5, atol=1e-3)


@pytest.mark.slow
def test_keras_on_another_backend(tmp_path):
    """A model that the user's keras.json would give to another framework runs on TensorFlow all the same."""
    fine_tuned(keras).save(tmp_path / "m.keras")
    code = (
        "import sys; from transforms.model.load.loaders import load_model; "
        "from transforms.model.options import ModelOptions; "
        "from transforms.storage import Storage; "
        "load_model(ModelOptions(sys.argv[1]), Storage()); import keras; print(keras.backend.backend())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.keras")],
        env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.split()[-1] == "tensorflow"


def test_names_with_spaces_are_refused_with_what_to_rename():
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, name="last map")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features)))
    with pytest.raises(ModelRefused, match=r"(?s)'last map' is not a valid scope name.*set layer\.name"):
        trace_keras_model(model, "auto")
    model.get_layer("last map").name = "last_map"
    assert "last_map" in trace_keras_model(model, "auto").layer_tensors
