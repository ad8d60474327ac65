"""A stranger's Keras file: nothing is touched without model.trust, and what is broken is refused."""

import contextlib
import http.server
import json
import sys
import threading
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras
from plain_module import images
from source_models import LIBRARIES, fine_tuned, shake, tiny_base
from stranger_models import KERAS_2, KERAS_3, calling, functional, layer, sequential, write
from watching import watching

from transforms.model.errors import ModelRefused
from transforms.model.graph.harmless import COMPUTES
from transforms.model.load.from_keras.harmless_symbols import HARMLESS_SYMBOLS
from transforms.model.load.from_keras.keras_files import load_keras_file
from transforms.model.load.from_keras.weights import open_weights
from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is touched is watched with inotify")
FORMATS = pytest.mark.parametrize("suffix", [".h5", ".keras"])
VERSIONS = pytest.mark.parametrize("version", [KERAS_2, KERAS_3], ids=["Keras 2", "Keras 3"])
BOTH = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


def refused(path, canary, message):
    """Load without trust; it must be refused with the message, and nothing touched."""
    with watching(canary) as seen, pytest.raises(ModelRefused, match=message) as refusal:
        load_keras_file(path, path.name, trust=False)
    assert seen == []
    return str(refusal.value)


SYMBOLS = {
    "io.write_file": lambda c: (f"{c}/new", {"contents": "x"}),
    "io.read_file": lambda c: (f"{c}/words.txt", {}),
    "io.matching_files": lambda c: (f"{c}/*", {}),
    "io.gfile.makedirs": lambda c: (f"{c}/new", {}),
    "io.gfile.copy": lambda c: (f"{c}/words.txt", {"dst": f"{c}/new"}),
    "io.gfile.rmtree": lambda c: (f"{c}", {}),
    "io.write_graph": lambda c: ({}, {"logdir": str(c), "name": "new"}),
    "load_op_library": lambda c: (f"{c}/lib.so", {}),
    "load_library": lambda c: (str(c), {}),
    "compat.v1.load_file_system_library": lambda c: (f"{c}/lib.so", {}),
    "experimental.register_filesystem_plugin": lambda c: (f"{c}/lib.so", {}),
    "raw_ops.WriteFile": lambda c: (f"{c}/new", {"contents": "x"}),
    "raw_ops.ReadFile": lambda c: (f"{c}/words.txt", {}),
    "print": lambda c: ("hello", {"output_stream": f"file://{c}/new"}),
    "summary.create_file_writer": lambda c: (f"{c}/new", {}),
    "profiler.experimental.start": lambda c: (f"{c}/new", {}),
    "saved_model.load": lambda c: (str(c), {}),
    "py_function": lambda c: ("print", {"inp": [], "Tout": "float32"}),
    "function": lambda c: ("print", {}),
    "keras.utils.get_file": lambda c: ("x", {"origin": "http://127.0.0.1:9/x", "cache_dir": str(c)}),
    "keras.models.load_model": lambda c: (f"{c}/words.txt", {}),
    "no.such.symbol": lambda c: (1, {}),
}


@FORMATS
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_an_op_layer_calls_only_what_computes(tmp_path, canary, symbol, suffix):
    first, keywords = SYMBOLS[symbol](canary)
    path = write(tmp_path / f"m{suffix}", functional(calling(symbol, first, **keywords)))
    message = refused(
        path, canary, rf"layer \(op\) of the class TFOpLambda calls tf\.{symbol}, which is not on the list"
    )
    assert "model.trust: true" in message


def node(inner):
    return {**inner, "inbound_nodes": [["_CONSTANT_VALUE", -1, [], {}]]}


OTHER_LAYERS = {
    "SlicingOpLambda": lambda c: {**calling("io.read_file", f"{c}/words.txt"), "class_name": "SlicingOpLambda"},
    "TensorFlowOpLayer": lambda c: layer(
        "TensorFlowOpLayer",
        node_def={"name": "x", "op": "ReadFile", "input": ["f"]},
        constants={"0": f"{c}/words.txt"},
    ),
    "ClassMethod": lambda c: {
        **layer("ClassMethod", cls_symbol="io.TFRecordWriter", method_name="__call__"),
        "inbound_nodes": [["_CONSTANT_VALUE", -1, [f"{c}/new"], {"kwargs": {}}]],
    },
    "InstanceMethod": lambda c: layer("InstanceMethod", attr_name="numpy"),
    "InstanceProperty": lambda c: layer("InstanceProperty", attr_name="__class__"),
    "DenseFeatures": lambda c: layer("DenseFeatures", feature_columns=[]),
}


@FORMATS
@pytest.mark.parametrize("module", ["keras.layers", "keras.src.layers.core.tf_op_layer", "tf_keras.layers", None])
@pytest.mark.parametrize("kind", OTHER_LAYERS)
def test_other_layers_that_find_their_code_by_name(tmp_path, canary, kind, module, suffix):
    found = OTHER_LAYERS[kind](canary)
    found = {**found, "module": module} if module else {key: found[key] for key in found.keys() - {"module"}}
    refused(write(tmp_path / f"m{suffix}", functional(found)), canary, f"{kind}.*model.trust: true")


@VERSIONS
@FORMATS
@pytest.mark.parametrize(
    "kind", ["StringLookup", "IntegerLookup", "TextVectorization", "TFSMLayer", "TorchModuleWrapper"]
)
def test_layers_that_read_files(tmp_path, canary, kind, version, suffix):
    paths = {"vocabulary": f"{canary}/words.txt", "filepath": str(canary)}
    for module in ("keras.layers", None):
        bad = layer(kind, module, **paths)
        path = write(tmp_path / f"m{suffix}", sequential(bad, shape=(None, 1), version=version), version)
        refused(path, canary, f"{kind}.*model.trust: true")


PLACES = {
    "initializer": lambda bad: layer("Dense", units=2, kernel_initializer=bad),
    "regularizer": lambda bad: layer("Dense", units=2, bias_regularizer=bad),
    "constraint": lambda bad: layer("Dense", units=2, kernel_constraint=bad),
    "activation": lambda bad: layer("Activation", activation=bad),
    "dtype": lambda bad: layer("Dense", units=2, dtype=bad),
    "nested layer": lambda bad: layer("TimeDistributed", layer=bad),
    "cell": lambda bad: layer("RNN", cell=bad),
    "in a list": lambda bad: layer("StackedRNNCells", cells=[{"deep": [bad]}]),
    "in a nested model": lambda bad: sequential(sequential(bad)),
    "constant of a call": lambda bad: calling("math.add", 1.0, y=bad),
    "build_config": lambda bad: {**layer("Dense", units=2), "build_config": {"input_shape": bad}},
    "a setting that no layer has": lambda bad: layer("Dense", units=2, anything=bad),
}
BAD = {
    "a system call": {"module": "os", "class_name": "system", "config": {"command": "touch CANARY/new"}},
    "a function": {"module": "tf_keras.utils", "class_name": "function", "config": "get_file",
                   "registered_name": "get_file"},
    "a function under a known name": {"module": "keras.utils", "class_name": "function", "config": "relu",
                                      "registered_name": "get_file"},
    "a class under a known name": {"module": "keras.layers", "class_name": "Dense", "config": {},
                                   "registered_name": "Lambda"},
    "a known name elsewhere": {"module": "keras_elsewhere", "class_name": "Dense", "config": {},
                               "registered_name": None},
    "a known name in a part of Keras": {"module": "keras.utils", "class_name": "Dense", "config": {}},
    "a lambda": {"class_name": "__lambda__", "config": {"value": "4wAAAAA="}},
    "a type": {"class_name": "__typespec__", "module": "os", "spec_name": "system", "registered_name": None,
               "config": []},
    "a TypeSpec": {"class_name": "TypeSpec", "type_spec": "tf.TensorSpec", "serialized": []},
    "a function of keras.layers": {"class_name": "deserialize", "config": {"config": "x"}},
    "a loss": {"module": "keras.losses", "class_name": "MeanSquaredError", "config": {}},
    "an operation with a function": {"module": "keras.src.ops.core", "class_name": "Map", "config": {}},
    "no name": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
    "no module": {"module": 7, "class_name": "Dense", "config": {}},
}  # fmt: skip


@VERSIONS
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", BAD)
def test_objects_are_on_the_list_wherever_they_stand(tmp_path, canary, bad, place, version):
    inner = json.loads(json.dumps(BAD[bad]).replace("CANARY", str(canary)))
    for suffix in (".keras", ".h5"):
        path = write(tmp_path / f"m{suffix}", sequential(PLACES[place](inner), version=version), version)
        refused(path, canary, "m.(keras|h5) (is built with|carries|has a|is damaged)")


@VERSIONS
@pytest.mark.parametrize("setting", ["activation", "recurrent_activation", "kernel_initializer", "beta_constraint"])
def test_names_in_settings_are_on_the_list(tmp_path, canary, setting, version):
    bad = layer("Dense", units=2, **{setting: "deserialize"})
    path = write(tmp_path / "m.keras", sequential(bad, version=version), version)
    refused(path, canary, rf"custom object deserialize \({setting} of dense\)")


def test_a_module_is_not_even_imported(tmp_path, canary, monkeypatch):
    """tf_keras imports any module that a file names, and puts tf_ in front of those whose names begin with keras."""
    code = f"open({str(canary / 'imported')!r}, 'w')"
    for name in ("keras_elsewhere", "tf_keras_elsewhere", "elsewhere"):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("keras_elsewhere", "elsewhere"):
        bad = {"module": module, "class_name": "Dense", "config": {}, "registered_name": None}
        for version in (KERAS_2, KERAS_3):
            path = write(tmp_path / "m.keras", sequential(bad, version=version), version)
            refused(path, canary, f"built with {module}.Dense, which is not part of Keras: say model.trust: true")


@FORMATS
def test_a_lambda_in_a_nested_model(tmp_path, canary, suffix):
    inner = tf_keras.Sequential([tf_keras.layers.Lambda(lambda x: x / 255.0, name="scale", input_shape=(8, 8, 3))])
    tf_keras.Sequential([inner, tf_keras.layers.Flatten()]).save(tmp_path / f"m{suffix}")
    refused(tmp_path / f"m{suffix}", canary, r"Python code in a Lambda layer \(scale\)")


def test_the_file_that_is_checked_is_the_one_that_is_loaded(tmp_path, canary):
    """A harmless .keras file can lie at the end of an HDF5 file: it is both."""
    write(tmp_path / "m.h5", functional(calling("io.read_file", f"{canary}/words.txt")))
    tf_keras.Sequential([tf_keras.layers.Flatten(input_shape=(8, 8, 3))]).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "m.h5", "a") as both:
        for name in good.namelist():
            both.writestr(name, good.read(name))
    with watching(canary) as seen:
        model = load_keras_file(tmp_path / "m.h5", "m.h5", trust=False)
    assert (seen, [type(each).__name__ for each in model.layers]) == ([], ["Flatten"])


@BOTH
@pytest.mark.parametrize("way", ["link", "array", "virtual"])
def test_weights_that_lie_in_another_file(tmp_path, canary, library, way):
    """They would come out again in the compiled model."""
    model = library.Sequential([library.Input((8, 8, 3)), library.layers.Flatten(), library.layers.Dense(2, name="d")])
    model.save(tmp_path / "m.h5")
    with h5py.File(canary / "other.h5", "w") as other:
        other["x"] = np.ones((192, 2), np.float32)
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, value: found.append(name) if getattr(value, "shape", None) == (192, 2) else None)
        del file[found[0]]
        if way == "link":
            file[found[0]] = h5py.ExternalLink(str(canary / "other.h5"), "x")
        elif way == "array":
            file.create_dataset(found[0], (192, 2), "f4", external=[(str(canary / "words.txt"), 0, 1536)])
        else:
            layout = h5py.VirtualLayout((192, 2), "f4")
            layout[:] = h5py.VirtualSource(str(canary / "other.h5"), "x", (192, 2))
            file.create_virtual_dataset(found[0], layout)
    refused(tmp_path / "m.h5", canary, r"m\.h5 takes .* (an)?other files?.*: save it as one file")


@BOTH
def test_weights_for_an_architecture_that_lie_in_another_file(tmp_path, canary, library):
    model = library.Sequential([library.Input((8, 8, 3)), library.layers.Flatten(), library.layers.Dense(2, name="d")])
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        file["more"] = h5py.ExternalLink(str(canary / "words.txt"), "x")
    with (
        watching(canary) as seen,
        pytest.raises(ModelRefused, match=r"model\.weights w takes more from another file, .*words\.txt"),
        open_weights(tmp_path / "m.weights.h5", "w"),
    ):
        pass
    assert seen == []


class _Counting(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        self.send_error(404)


@pytest.mark.parametrize("scheme", ["http", "https", "gs", "s3", "hdfs", "file", "ram"])
def test_a_part_from_tf_hub_is_not_fetched(tmp_path, canary, scheme):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handle = f"{scheme}://127.0.0.1:{server.server_port}/module/1"
    bad = layer("KerasLayer", "tensorflow_hub.keras_layer", handle=handle)
    for suffix in (".h5", ".keras"):
        path = write(tmp_path / f"m{suffix}", sequential(bad))
        message = refused(path, canary, f"fetches a part of itself, a hub.KerasLayer, from {handle}")
        assert "model.trust: true" in message
    server.shutdown()
    assert _Counting.asked == []


def test_a_local_part_from_tf_hub_may_only_compute(tmp_path, canary):
    module = tf.Module()
    module.read = tf.function(
        lambda x: x + tf.cast(tf.strings.length(tf.io.read_file(f"{canary}/words.txt")), tf.float32),
        input_signature=[tf.TensorSpec([None, 8, 8, 3])],
    )
    module.__call__ = module.read
    tf.saved_model.save(module, tmp_path / "module")
    path = write(tmp_path / "m.keras", sequential(layer("KerasLayer", "tensorflow_hub.keras_layer",
                                                        handle=str(tmp_path / "module"))))  # fmt: skip
    refused(path, canary, r"module: the operation ReadFile \(.*\) is not on the list.*model\.trust: true")


def test_a_part_from_tf_hub_without_a_name(tmp_path, canary):
    for config in ({}, {"handle": None}, {"handle": 7}, {"handle": ""}, {"handle": {"class_name": "x"}}, None, 3):
        bad = {**layer("KerasLayer", "tensorflow_hub.keras_layer"), "config": config}
        for trust in (False, True):
            path = write(tmp_path / "m.keras", sequential(bad))
            with pytest.raises(ModelRefused, match="does not say which module of TF Hub it is"):
                load_keras_file(path, "m.keras", trust)


# What is legitimate still loads, without trust.


@FORMATS
def test_op_layers_that_compute(tmp_path, suffix):
    inputs = tf_keras.Input((8, 8, 3))
    x = tf.nn.relu(inputs / 127.5 - 1.0)[:, ::2]
    x = tf.image.resize(tf.concat([x, -x], 3), (4, 4)) * tf.cast(tf.shape(x)[1], tf.float32)
    model = shake(tf_keras.Model(inputs, tf_keras.layers.Dense(2)(tf.reduce_mean(x, [1, 2]))))
    model.save(tmp_path / f"m{suffix}")
    loaded = load_keras_file(tmp_path / f"m{suffix}", "m", trust=False)
    pixels = images(size=8)
    np.testing.assert_allclose(loaded(pixels), model(pixels), rtol=1e-5)


@FORMATS
def test_operations_of_keras_3(tmp_path, suffix):
    """Keras itself cannot load an ``.h5`` of x + y, which it takes for the layer Add."""
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.relu(inputs / 127.5 - 1.0) + keras.ops.mean(inputs, axis=1, keepdims=True)
    x = keras.ops.concatenate([x, keras.layers.Add()([x, inputs])], axis=3)
    model = shake(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))))
    model.save(tmp_path / f"m{suffix}")
    loaded = load_keras_file(tmp_path / f"m{suffix}", "m", trust=False)
    pixels = images(size=8)
    np.testing.assert_allclose(loaded(pixels), model(pixels), rtol=1e-5)


@BOTH
@FORMATS
def test_layers_of_keras_applications(tmp_path, library, suffix):
    """LayerScale of ConvNeXt and CustomScaleLayer of InceptionResNetV2 are no layers of Keras."""
    convnext = sys.modules[library.applications.ConvNeXtTiny.__module__]
    model = convnext.ConvNeXt([1, 1, 1, 1], [4, 8, 8, 8], 0.1, weights=None, input_shape=(32, 32, 3), classes=3,
                              **({"name": "convnext"} if library is keras else {"model_name": "convnext"}))  # fmt: skip
    shake(model).save(tmp_path / f"m{suffix}")
    loaded = load_keras_file(tmp_path / f"m{suffix}", "m", trust=False)
    assert "LayerScale" in {type(each).__name__ for each in loaded.layers}
    np.testing.assert_allclose(loaded(images()), model(images()), rtol=1e-4, atol=1e-5)


@BOTH
@FORMATS
def test_how_a_model_was_trained_does_not_matter(tmp_path, library, suffix):
    base = tiny_base(library)
    base.compile(loss=lambda a, b: library.losses.mse(a, b), optimizer="adam")
    model = fine_tuned(library, base)
    model.compile(loss=lambda a, b: library.losses.mse(a, b), optimizer=library.optimizers.SGD())
    model.save(tmp_path / f"m{suffix}")
    loaded = load_keras_file(tmp_path / f"m{suffix}", "m", trust=False)
    np.testing.assert_allclose(loaded(images(), training=False), model(images(), training=False), rtol=1e-4, atol=1e-5)


def test_a_stored_model_under_another_suffix(tmp_path):
    model = fine_tuned(keras, augmented=False)
    model.save(tmp_path / "m.keras")
    (tmp_path / "m.keras").rename(tmp_path / "m.h5")
    loaded = load_keras_file(tmp_path / "m.h5", "m", trust=False)
    np.testing.assert_allclose(loaded(images()), model(images()), rtol=1e-5)


def test_a_local_part_from_tf_hub_is_loaded(tmp_path):
    base = tiny_base(tf_keras)
    base.save(tmp_path / "module", save_format="tf")
    model = tf_keras.Sequential([hub.KerasLayer(str(tmp_path / "module"), input_shape=(32, 32, 3))])
    model.save(tmp_path / "m.keras")
    loaded = load_keras_file(tmp_path / "m.keras", "m", trust=False)
    np.testing.assert_allclose(loaded(images()), model(images()), rtol=1e-5)


def test_trust_runs_what_the_file_calls(tmp_path, canary):
    path = write(tmp_path / "m.keras", functional(calling("io.write_file", f"{canary}/new", contents="x")))
    with pytest.raises(ModelRefused, match="cannot be loaded"):
        load_keras_file(path, "m.keras", trust=True)
    assert (canary / "new").read_text() == "x"


def test_the_lists_hold_what_they_say():
    from tensorflow.python.framework import op_def_registry
    from tensorflow.python.util.tf_export import get_symbol_from_name

    known = {name: op_def_registry.get(name) for name in COMPUTES}
    assert len([1 for definition in known.values() if definition is not None]) > 600
    assert [name for name, definition in known.items() if definition is not None and definition.is_stateful] == []
    found = {name: get_symbol_from_name(name) for name in HARMLESS_SYMBOLS}
    assert len([1 for symbol in found.values() if symbol is not None]) > 1000
    assert [name for name, symbol in found.items() if isinstance(symbol, type)] == []
    words = ("file", "library", "py_func", "print", "summary", "queue", "dataset", "decode", "encode", "gfile", "load")
    assert [name for name in HARMLESS_SYMBOLS for word in words if word in name.lower().split(".")[-1].split("_")] == []


# What is broken is refused, and in little time and memory.

BROKEN = {
    "nested too deep": '{"a":' * 200_000 + "1" + "}" * 200_000,
    "lists nested too deep": "[" * 200_000 + "]" * 200_000,
    "nested deeper than a model": json.dumps({"class_name": "Sequential", "config": json.loads("[" * 300 + "]" * 300)}),
    "a list": "[]",
    "a number": "7",
    "nothing": "null",
    "a text": '"Sequential"',
    "no JSON": "{",
    "a number of many digits": '{"a": ' + "9" * 10_000 + "}",
    "a class that is a list": json.dumps({"class_name": [], "config": {}}),
    "a class that is null": json.dumps({"class_name": None, "config": {}}),
    "no class": json.dumps({"config": {}}),
    "no configuration": json.dumps({"class_name": "Sequential"}),
    "a configuration that is a number": json.dumps({"module": "keras", "class_name": "Sequential", "config": 3}),
    "layers that are numbers": json.dumps(
        {"module": "keras", "class_name": "Sequential", "config": {"layers": [1, 2]}}
    ),
    "layers that are no list": json.dumps({"module": "keras", "class_name": "Functional", "config": {"layers": "x"}}),
}


ENDLESS = {
    "of itself": [["dense", 0, 0, {}]],
    "of a call that there is not": [["other", 3, 0, {}]],
    "of a layer that is not called": [["third", 0, 0, {}]],
    "of the next one": [["other", 0, 0, {}]],
}


@VERSIONS
@FORMATS
@pytest.mark.parametrize("what", ENDLESS)
def test_layers_that_wait_for_ever_are_refused(tmp_path, canary, what, suffix, version):
    first, other, third = (layer("Dense", name=name, units=2) for name in ("dense", "other", "third"))
    first["inbound_nodes"] = [ENDLESS[what]]
    other["inbound_nodes"] = [[["dense", 0, 0, {}]]]
    path = write(tmp_path / f"m{suffix}", functional(first, other, third, version=version), version)
    refused(path, canary, "waits for an output that no layer gives" if version == KERAS_2 else "cannot be loaded: ")


@VERSIONS
@FORMATS
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_configuration_is_refused(tmp_path, canary, what, suffix, version):
    refused(write(tmp_path / f"m{suffix}", BROKEN[what], version), canary, r"^m\.(h5|keras) ")


@pytest.mark.parametrize("metadata", [[], ["keras_version"], {}, 7, "3.5.0", {"keras_version": 3},
                                      {"keras_version": None}, {"keras_version": [3]}, {"keras_version": "x"},
                                      {"keras_version": "9" * 5000}, {"keras_version": ""}])  # fmt: skip
def test_broken_metadata_is_refused(tmp_path, canary, metadata):
    path = write(tmp_path / "m.keras", sequential(), metadata={} if metadata is None else metadata)
    refused(path, canary, r"m\.keras is not a Keras model file, or it is damaged")


@pytest.mark.parametrize("version", [3, 3.5, [1, 2]])
def test_a_broken_version_in_hdf5_is_refused(tmp_path, canary, version):
    refused(write(tmp_path / "m.h5", sequential(), version), canary, "m.h5 is not a Keras model file, or it is damaged")


LARGE = {
    "units": lambda: layer("Dense", units=2**40),
    "units of both sides": lambda: [layer("Dense", name="a", units=2**20), layer("Dense", name="b", units=2**20)],
    "filters": lambda: layer("Conv2D", filters=2**40, kernel_size=[3, 3]),
    "a kernel": lambda: layer("Conv2D", filters=8, kernel_size=[2**20, 2**20], padding="same"),
    "words": lambda: layer("Embedding", input_dim=2**40, output_dim=8),
    "a cell": lambda: [layer("Reshape", target_shape=[8, 24]), layer("LSTM", units=2**20)],
    "more than any machine has": lambda: layer("Dense", units=10**30),
}


@VERSIONS
@FORMATS
@pytest.mark.parametrize("what", LARGE)
def test_more_weights_than_the_file_has_are_not_made(tmp_path, canary, what, suffix, version):
    layers = LARGE[what]()
    layers = layers if isinstance(layers, list) else [layers]
    path = write(tmp_path / f"m{suffix}", sequential(*layers, version=version), version)
    refused(path, canary, r"m\.(h5|keras) does not fit its own weights: its layers need more than [\d,]+ numbers")


GIANT = {
    "an image": (list, {"shape": (None, 2**30, 2**30, 3)}),
    "an image of a terabyte": (list, {"shape": (None, 2**16, 2**16, 3)}),
    "enlarged": (lambda: [layer("UpSampling2D", size=[2**14, 2**14])], {}),
    "padded": (lambda: [layer("ZeroPadding2D", padding=[2**15, 2**15])], {}),
    "resized": (lambda: [layer("Resizing", height=2**20, width=2**20)], {}),
}


@VERSIONS
@pytest.mark.parametrize("what", GIANT)
def test_what_no_machine_can_run_is_refused(tmp_path, what, version):
    layers, shape = GIANT[what]
    layers = [*layers(), layer("GlobalAveragePooling2D")]
    path = write(tmp_path / "m.h5", sequential(*layers, version=version, **shape), version)
    with pytest.raises(ModelRefused, match=r"numbers for each image, more than any machine takes"):
        load_model(ModelOptions(str(path)), Storage())


@BOTH
@FORMATS
def test_a_truncated_file_is_refused(tmp_path, canary, library, suffix):
    fine_tuned(library, augmented=False).save(tmp_path / f"whole{suffix}")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999):
        (tmp_path / f"m{suffix}").write_bytes(whole[: int(len(whole) * share)])
        refused(tmp_path / f"m{suffix}", canary, r"^m\.")


@FORMATS
def test_a_file_with_other_bytes_in_it_is_refused_or_loaded(tmp_path, canary, suffix):
    """Bytes of weights may be any; those of the structure may not."""
    rng = np.random.default_rng(4)
    fine_tuned(tf_keras, augmented=False).save(tmp_path / f"whole{suffix}")
    whole = np.frombuffer((tmp_path / f"whole{suffix}").read_bytes(), np.uint8)
    for _ in range(20):
        damaged = whole.copy()
        start = rng.integers(0, len(whole))
        damaged[start : start + 40] = rng.integers(0, 256, len(damaged[start : start + 40]))
        (tmp_path / f"m{suffix}").write_bytes(damaged.tobytes())
        with contextlib.suppress(ModelRefused):
            load_keras_file(tmp_path / f"m{suffix}", "m", trust=False)


def test_zips_that_lie_are_refused(tmp_path, canary):
    config = json.dumps(sequential())
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": KERAS_2}))
        archive.writestr("config.json", config + " " * (1 << 27))
        archive.writestr("model.weights.h5", b"")
    refused(tmp_path / "bomb.keras", canary, "would unpack to 134,21")
    with zipfile.ZipFile(tmp_path / "weights.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": KERAS_2}))
        archive.writestr("config.json", config)
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(128):
                member.write(bytes(1 << 20))
    refused(tmp_path / "weights.keras", canary, "model.weights.h5 in it would unpack to")
    with zipfile.ZipFile(tmp_path / "twice.keras", "w") as archive:
        archive.writestr("config.json", config)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("config.json", "{}")
    refused(tmp_path / "twice.keras", canary, "two files of one name")


def test_arrays_that_are_not_in_the_file_are_refused(tmp_path, canary):
    fine_tuned(tf_keras).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.create_dataset("model_weights/large", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
    refused(tmp_path / "m.h5", canary, r"large of the shape \[1048576, 1048576\] would take 4,398,046,511,104 bytes")


def test_a_refusal_comes_through_the_launcher(tmp_path, canary):
    path = write(tmp_path / "m.keras", functional(calling("io.write_file", f"{canary}/new", contents="x")))
    with watching(canary) as seen, pytest.raises(ModelRefused, match=r"calls tf\.io\.write_file"):
        load_model(ModelOptions(str(path)), Storage())
    assert seen == []
