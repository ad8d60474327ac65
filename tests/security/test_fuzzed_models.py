"""A minute of random Keras configurations: loaded without trust they touch nothing and give a model or a refusal."""

import copy
import json
import random
import signal
import sys
import time
import zipfile

import h5py
import keras
import pytest
import tf_keras
from source_models import fine_tuned, tiny_base
from stranger_models import KERAS_2, KERAS_3, calling, layer, write
from watching import watching

from transforms.model.errors import ModelRefused
from transforms.model.load.from_keras.harmless_names import ACTIVATIONS, INITIALIZERS, LAYERS, OPERATIONS
from transforms.model.load.from_keras.harmless_symbols import HARMLESS_SYMBOLS
from transforms.model.load.from_keras.keras_files import load_keras_file

SECONDS = 30  # for each of the two versions
LONGEST = 20  # seconds of CPU for one file of a few kilobytes
CLASSES = [
    *LAYERS, *OPERATIONS, *INITIALIZERS, "Lambda", "TFSMLayer", "StringLookup", "TextVectorization", "KerasLayer",
    "TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorFlowOpLayer", "DenseFeatures",
    "TorchModuleWrapper", "JaxLayer", "function", "__lambda__", "__typespec__", "TypeSpec", "__tensor__",
    "__numpy__", "__slice__", "deserialize", "system", "get_file", "Map", "WhileLoop",
]  # fmt: skip
MODULES = [
    None, "keras", "tf_keras", "keras.layers", "tf_keras.layers", "keras.src.layers", "keras.ops",
    "keras.src.ops.numpy", "keras.src.ops.core", "keras.utils", "keras.saving", "keras.activations",
    "keras.initializers", "builtins", "os", "subprocess", "tensorflow", "tensorflow_hub.keras_layer",
    "keras_hub.layers",
]  # fmt: skip
SYMBOLS = ["io.write_file", "io.read_file", "io.matching_files", "io.gfile.makedirs", "load_op_library", "print",
           "saved_model.load", "raw_ops.WriteFile", "keras.utils.get_file", "summary.create_file_writer",
           "io.TFRecordWriter"]  # fmt: skip
KEYS = ["activation", "kernel_initializer", "bias_regularizer", "kernel_constraint", "dtype", "layer", "layers", "cell",
        "function", "cls_symbol", "method_name", "vocabulary", "filepath", "handle", "node_def", "build_config",
        "compile_config", "registered_name", "module", "class_name", "config", "units", "filters", "shape", "value",
        "inbound_nodes", "shared_object_id", "name"]  # fmt: skip


def seeds(library):
    """Configurations that Keras itself wrote."""
    inputs = library.Input((8, 8, 3))
    if library is keras:
        x = keras.ops.relu(inputs / 127.5 - 1.0)[:, ::2]
        x = keras.ops.concatenate([x, keras.ops.mean(x, axis=1, keepdims=True)], axis=1)
    else:
        import tensorflow as tf

        x = tf.nn.relu(inputs / 127.5 - 1.0)[:, ::2]
        x = tf.concat([x, tf.reduce_mean(x, 1, keepdims=True)], 1)
    attention = library.layers.MultiHeadAttention(2, 2)
    sequence = library.layers.Reshape((-1, 3))(x)
    sequence = library.layers.Bidirectional(library.layers.LSTM(2, return_sequences=True))(
        attention(sequence, sequence)
    )
    ending = library.layers.TimeDistributed(library.layers.Dense(2, kernel_regularizer="l2"))(sequence)
    return [fine_tuned(library), tiny_base(library), library.Model(inputs, library.layers.Flatten()(ending))]


def configuration(model, path):
    model.save(path)
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(path) as file:
        return json.loads(file.attrs["model_config"])


def places(config):
    """Every (container, key) in a configuration."""
    found, pending = [], [config]
    while pending:
        value = pending.pop()
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in pairs:
            found.append((value, key))
            pending.append(child)
    return found


def anything(rng, canary, depth=0):
    """A value that a stranger may put anywhere."""
    symbol = rng.choice([*SYMBOLS, *rng.sample(sorted(HARMLESS_SYMBOLS), 3)])
    path = f"{canary}/{rng.choice(['new', 'words.txt', 'lib.so', '*'])}"
    simple = [None, True, 0, -1, 2, 7, 2**31, 2**40, 10**30, 1.5, float("nan"), "", "relu", "float32", path, symbol,
              [], {}, [path], rng.choice(CLASSES), rng.choice(sorted(ACTIVATIONS)), f"file://{path}",
              "http://127.0.0.1:9/x"]  # fmt: skip
    if depth > 2 or rng.random() < 0.4:
        return rng.choice(simple)
    kind = rng.randrange(5)
    if kind == 0:
        return calling(symbol, path, contents="x", filename=path)
    if kind == 1:
        keys = rng.sample(KEYS, 3)
        return layer(rng.choice(CLASSES), rng.choice(MODULES), **{
            key: anything(rng, canary, depth + 1) for key in keys if key not in ("module", "class_name", "name")
        })  # fmt: skip
    if kind == 2:
        node = {"class_name": rng.choice(CLASSES), "config": anything(rng, canary, depth + 1)}
        return node | rng.choice(
            [{}, {"module": rng.choice(MODULES), "registered_name": rng.choice([None, *CLASSES[:3]])}]
        )
    if kind == 3:
        return [anything(rng, canary, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): anything(rng, canary, depth + 1) for _ in range(rng.randrange(4))}


def changed(rng, config, canary):
    config = copy.deepcopy(config)
    for _ in range(rng.choice([1, 1, 2, 4])):
        container, key = rng.choice(places(config))
        way = rng.randrange(5)
        if way == 0:
            container[key] = anything(rng, canary)
        elif way == 1 and isinstance(container, dict):
            container[rng.choice(KEYS)] = anything(rng, canary)
        elif way == 2:
            other, from_key = rng.choice(places(config))
            container[key] = copy.deepcopy(other[from_key])
        elif way == 3 and isinstance(container, list):
            container.insert(rng.randrange(len(container) + 1), anything(rng, canary))
        else:
            del container[key]
        if not places(config):
            break
    return config


def _too_long(*_):
    raise TimeoutError(f"more than {LONGEST} s of CPU")


@pytest.mark.fuzz
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="what is touched is watched with inotify")
@pytest.mark.parametrize("library", [keras, tf_keras], ids=["Keras 3", "Keras 2"])
def test_random_configurations_touch_nothing(tmp_path, canary, library):
    version = KERAS_3 if library is keras else KERAS_2
    configs = [
        (suffix, configuration(model, tmp_path / f"seed{suffix}"))
        for model in seeds(library)
        for suffix in (".keras", ".h5")
    ]
    for suffix, config in configs:  # what is imported late is imported
        with pytest.raises(ModelRefused):
            load_keras_file(write(tmp_path / f"warm{suffix}", config, version), "warm", trust=False)
    signal.signal(signal.SIGVTALRM, _too_long)
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    loaded, refusals, end = 0, 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        suffix, config = rng.choice(configs)
        path = write(tmp_path / f"m{suffix}", changed(rng, config, canary), version)
        with watching(canary) as seen:
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
            try:
                load_keras_file(path, "m", trust=False)
                loaded += 1
            except ModelRefused as refusal:
                if isinstance(refusal.__cause__, TimeoutError):  # every error of Keras is a refusal
                    raise AssertionError(f"seed {seed}: {path.read_bytes()!r}") from refusal
                refusals += 1
            except Exception as error:
                kept = path.read_bytes()
                raise AssertionError(f"seed {seed}, after {loaded + refusals} files: {kept!r}") from error
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        assert seen == [], f"seed {seed}, after {loaded + refusals} files: {path.read_bytes()!r}"
    assert refusals > 100
