"""A stranger's SavedModel: what would do more than compute is refused before it is loaded; the rest loads."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from plain_module import SPEC, Plain, images
from source_models import write_tf1
from watching import watching

from transforms.model.errors import ModelRefused
from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is touched is watched with inotify")
v1 = tf.compat.v1


def load(path, **options):
    return load_model(ModelOptions(str(path), **options), Storage())


def refused(path, canary, message):
    """As a SavedModel and as a module of TF Hub."""
    for source in (path, f"hub:{path}"):
        with watching(canary) as seen, pytest.raises(ModelRefused, match=message) as refusal:
            load(source, preprocessing="none")
        assert seen == []
        assert "model.trust: true" in str(refusal.value)


class Resource(tf.saved_model.experimental.TrackableResource):
    """Runs some code of its own when it is made, filled, or let go of."""

    def __init__(self, create=None, initialize=None, destroy=None):
        self._codes = (create, initialize, destroy)
        super().__init__()

    def _create_resource(self):
        if self._codes[0]:
            self._codes[0]()
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self):
        if self._codes[1]:
            self._codes[1]()

    def _destroy_resource(self):
        if self._codes[2]:
            self._codes[2]()


def holding(resource):
    """A classifier that holds a resource beside its scores."""
    module = Plain()
    module.resource = resource
    module.size = tf.function(
        lambda: tf.raw_ops.LookupTableSizeV2(table_handle=resource.resource_handle), input_signature=[]
    )
    return module


def save(module, path, function=None):
    tf.saved_model.save(module, path, signatures=function or module.__call__.get_concrete_function(SPEC))
    return path


CODES = {
    "WriteFile": lambda c: tf.io.write_file(f"{c}/new", "x"),
    "ReadFile": lambda c: tf.io.read_file(f"{c}/words.txt"),
    "MatchingFiles": lambda c: tf.io.matching_files(f"{c}/*"),
    "PrintV2": lambda c: tf.print("x", output_stream=f"file://{c}/new"),
    "SaveV2": lambda c: tf.raw_ops.SaveV2(
        prefix=f"{c}/new", tensor_names=["a"], shape_and_slices=[""], tensors=[1.0]
    ),
    "RestoreV2": lambda c: tf.raw_ops.RestoreV2(
        prefix=f"{c}/new", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    ),
    "EagerPyFunc": lambda c: tf.py_function(lambda: 1.0, [], tf.float32),
    "PyFunc": lambda c: tf.numpy_function(lambda: 1.0, [], tf.float64),
    "TextLineDataset": lambda c: tf.data.TextLineDataset(f"{c}/words.txt").reduce(0, lambda n, _: n + 1),
    "WholeFileReaderV2": lambda c: tf.raw_ops.WholeFileReaderV2(),
    "ImmutableConst": lambda c: tf.raw_ops.ImmutableConst(
        dtype=tf.float32, shape=[1], memory_region_name=f"{c}/words.txt"
    ),
    "CreateSummaryFileWriter": lambda c: tf.raw_ops.CreateSummaryFileWriter(
        writer=tf.raw_ops.SummaryWriter(), logdir=f"{c}/new", max_queue=1, flush_millis=1, filename_suffix="x"
    ),
    "DebugIdentity": lambda c: tf.raw_ops.DebugIdentity(input=1.0, debug_urls=[f"file://{c}/new"]),
}  # fmt: skip


@pytest.mark.parametrize("when", ["create", "initialize", "destroy"])
@pytest.mark.parametrize("operation", CODES)
def test_an_initialiser_may_only_compute(tmp_path, canary, operation, when):
    module = holding(Resource(**{when: lambda: CODES[operation](canary) if not tf.executing_eagerly() else None}))
    save(module, tmp_path / "m")
    refused(tmp_path / "m", canary, r"the operation \w+ \(.*\) is not on the list of those that only compute")


@pytest.mark.parametrize("operation", CODES)
@pytest.mark.parametrize("wrapped", ["", "in a branch", "in a loop", "in a call"])
def test_a_signature_may_only_compute(tmp_path, canary, operation, wrapped):
    module = Plain()

    def code():
        CODES[operation](canary)
        return 1.0

    def scores(photo):
        if wrapped == "in a branch":
            one = tf.cond(tf.reduce_sum(photo) > 0, code, lambda: 1.0)
        elif wrapped == "in a loop":
            one = tf.while_loop(lambda i: i < 1.0, lambda i: (i + code(),), (0.0,))[0]
        else:
            one = tf.function(code)() if wrapped else code()
        return module(photo) * one

    save(module, tmp_path / "m", tf.function(scores, input_signature=[SPEC]))
    refused(tmp_path / "m", canary, r"the operation \w+ \(.*\) is not on the list of those that only compute")


def test_a_function_under_a_name_that_the_loader_calls(tmp_path, canary):
    module, part = Plain(), tf.Module()

    @tf.function(input_signature=[])
    def write():
        tf.io.write_file(f"{canary}/new", "x")

    part._restore_from_tensors = write
    module.part = part
    save(module, tmp_path / "m")
    refused(tmp_path / "m", canary, "the operation WriteFile")


def test_what_is_evaluated_while_a_graph_is_imported(tmp_path, canary):
    """TensorFlow reads a file to know the shape of a tensor, in functions that nothing calls."""
    path = save(Plain(), tmp_path / "m")
    saved = tf.__internal__.saved_model.parse_saved_model(str(path))
    with tf.Graph().as_default() as graph:
        numbers = tf.io.decode_raw(tf.io.read_file(f"{canary}/words.txt"), tf.uint8)
        tf.reshape(tf.zeros([97, 10]), tf.cast(numbers[:2], tf.int32))
    saved.meta_graphs[0].graph_def.node.extend(graph.as_graph_def().node)
    function = saved.meta_graphs[0].graph_def.library.function.add()
    function.signature.name = "nobody"
    for node in graph.as_graph_def().node:
        copy = function.node_def.add()
        copy.CopyFrom(node)
        copy.input[:] = [_in_function(name, graph) for name in node.input]
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    refused(path, canary, "the operation ReadFile")


def _in_function(name, graph):
    """``node`` of a graph is ``node:output:0`` in a function."""
    operation = graph.get_operation_by_name(name.split(":")[0])
    return f"{operation.name}:{operation.op_def.output_arg[0].name}:0"


@pytest.mark.parametrize("way", ["main", "restore", "signature"])
def test_tf1(tmp_path, canary, way):
    with tf.Graph().as_default(), v1.Session() as session:
        photo = v1.placeholder(tf.float32, (None, 8, 8, 3), name="photo")
        weight = v1.get_variable("weight", [3, 4])
        scores = tf.reduce_mean(photo, [1, 2]) @ weight
        write = tf.io.write_file(f"{canary}/new", "x")
        with tf.control_dependencies([write]):
            after = tf.identity(scores)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def(
            {"photo": photo}, {"default": after if way == "signature" else scores}
        )
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=write if way == "main" else None
        )
        builder.save()
        if way == "restore":
            path = tmp_path / "m" / "saved_model.pb"
            saved = tf.__internal__.saved_model.parse_saved_model(str(tmp_path / "m"))
            for node in saved.meta_graphs[0].graph_def.node:
                if node.name == saved.meta_graphs[0].saver_def.restore_op_name:
                    node.input.append(f"^{write.name}")
            path.write_bytes(saved.SerializeToString())
    refused(tmp_path / "m", canary, r"the operation WriteFile \(WriteFile in graph\)")


def test_tf1_restores_its_own_checkpoint_alone(tmp_path, canary):
    write_tf1(tmp_path / "m", resource=True)
    saved = tf.__internal__.saved_model.parse_saved_model(str(tmp_path / "m"))
    graph = saved.meta_graphs[0].graph_def
    node = next(node for node in graph.node if node.op == "RestoreV2")
    prefix = graph.node.add(name="elsewhere", op="Const")
    prefix.attr["dtype"].type = tf.string.as_datatype_enum
    prefix.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(f"{canary}/new"))
    node.input[0] = "elsewhere"
    (tmp_path / "m" / "saved_model.pb").write_bytes(saved.SerializeToString())
    refused(tmp_path / "m", canary, "the operation RestoreV2")


# Tables: from the SavedModel's own assets, or from tensors.


def with_table(initializer):
    module = Plain()
    module.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(input_signature=[SPEC])
    def scores(photo):
        return {"scores": module(photo), "kind": module.table.lookup(tf.constant(["a", "b"]))}

    module.scores = scores
    return module


@pytest.mark.parametrize("form", ["file", "tensors"])
def test_a_vocabulary_of_its_own(tmp_path, form):
    (tmp_path / "words.txt").write_text("a\nb\n")
    index, whole = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    initializer = (
        tf.lookup.TextFileInitializer(str(tmp_path / "words.txt"), tf.string, whole, tf.int64, index)
        if form == "file"
        else tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    )
    module = with_table(initializer)
    save(module, tmp_path / "m", module.scores)
    (tmp_path / "words.txt").unlink()
    assert (tmp_path / "m" / "assets" / "words.txt").exists() == (form == "file")
    traced = load(tmp_path / "m", output="scores")
    kind, scores = traced.function(tf.constant(images()))
    np.testing.assert_array_equal(kind, [0, 1])
    np.testing.assert_allclose(scores, module(images()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["../../canary/words.txt", "/etc/passwd", "a/../../b", "gs://bucket/words"])
def test_a_vocabulary_from_elsewhere(tmp_path, canary, name):
    index, whole = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    words = tf.lookup.TextFileInitializer(str(canary / "words.txt"), tf.string, whole, tf.int64, index)
    module = with_table(words)
    save(module, tmp_path / "m", module.scores)
    saved = tf.__internal__.saved_model.parse_saved_model(str(tmp_path / "m"))
    saved.meta_graphs[0].asset_file_def[0].filename = name
    (tmp_path / "m" / "saved_model.pb").write_bytes(saved.SerializeToString())
    refused(tmp_path / "m", canary, "fills a table from .*, outside of its assets folder")


def test_a_vocabulary_whose_path_is_a_constant(tmp_path, canary):
    def fill():
        if not tf.executing_eagerly():
            table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
            tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=table, filename=f"{canary}/words.txt", key_index=-2, value_index=-1
            )

    save(holding(Resource(initialize=fill)), tmp_path / "m")
    refused(tmp_path / "m", canary, "the operation InitializeTableFromTextFileV2")


@pytest.mark.parametrize("path", ["assets", "elsewhere"])
def test_a_vocabulary_of_tf1(tmp_path, canary, path):
    words = str(canary / "words.txt")
    with tf.Graph().as_default(), v1.Session() as session:
        photo = v1.placeholder(tf.float32, (None, 8, 8, 3), name="photo")
        weight = v1.get_variable("weight", [3, 2], use_resource=True)
        scores = tf.reduce_mean(photo, [1, 2]) @ weight
        asset = tf.constant(words)
        table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(asset, tf.string, -2, tf.int64, -1), -1)
        kind = table.lookup(tf.constant(["b"]))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        signature = v1.saved_model.predict_signature_def({"photo": photo}, {"scores": scores, "kind": kind})
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=v1.tables_initializer(),
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )  # fmt: skip
        builder.save()
        wanted = session.run(scores, {photo: images(size=8)})
    if path == "elsewhere":
        saved = tf.__internal__.saved_model.parse_saved_model(str(tmp_path / "m"))
        del saved.meta_graphs[0].collection_def["saved_model_assets"]
        (tmp_path / "m" / "saved_model.pb").write_bytes(saved.SerializeToString())
        refused(tmp_path / "m", canary, "the operation InitializeTableFromTextFileV2")
        return
    with watching(canary) as seen:
        traced = load(tmp_path / "m", output="scores", preprocessing="none")
        found = traced.function(tf.constant(images(size=8)))
    np.testing.assert_allclose(found[traced.outputs.index("scores")], wanted, rtol=1e-5)
    assert seen == []


# What is harmless loads; what is broken is refused.


def test_what_training_left_behind_is_not_run(tmp_path):
    """Optimizers, random numbers, prints to the screen, decoding and assertions are in most SavedModels."""
    module = Plain()
    module.moments = tf.Variable(tf.zeros([3]))

    @tf.function(input_signature=[SPEC])
    def scores(photo):
        tf.debugging.assert_equal(tf.shape(photo)[3], 3)
        return module(photo)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def from_jpeg(encoded):
        tf.print("photos", tf.shape(encoded))
        photos = tf.map_fn(tf.io.decode_jpeg, encoded, fn_output_signature=tf.TensorSpec([32, 32, 3], tf.uint8))
        module.moments.assign_add(tf.random.normal([3]))
        return module(tf.cast(photos, tf.float32))

    module.scores, module.from_jpeg = scores, from_jpeg
    tf.saved_model.save(module, tmp_path / "m", signatures={"serving_default": scores, "jpeg": from_jpeg})
    traced = load(tmp_path / "m")
    np.testing.assert_allclose(traced.function(tf.constant(images()))[0], module(images()), rtol=1e-5, atol=1e-6)


def test_trust_runs_the_initialiser(tmp_path, canary):
    write = lambda: None if tf.executing_eagerly() else tf.io.write_file(f"{canary}/new", "x")  # noqa: E731
    module = holding(Resource(initialize=write))
    save(module, tmp_path / "m")
    traced = load(tmp_path / "m", trust=True)
    assert (canary / "new").read_text() == "x"
    np.testing.assert_allclose(traced.function(tf.constant(images()))[0], module(images()), rtol=1e-5, atol=1e-6)


def test_broken_files_are_refused(tmp_path):
    path = save(Plain(), tmp_path / "m")
    whole = (path / "saved_model.pb").read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2], whole[:-1], b"\xff" * 1000):
        (path / "saved_model.pb").write_bytes(content)
        with pytest.raises(ModelRefused, match=r"m cannot be loaded by TensorFlow|m has no signature"):
            load(path)
    (path / "saved_model.pb").write_bytes(whole)
    for metadata in (b"\xff" * 100, b"\n\x20" + b"x" * 10):
        (path / "keras_metadata.pb").write_bytes(metadata)
        with pytest.raises(ModelRefused, match=r"keras_metadata\.pb is damaged"):
            load(path)


def test_a_constant_that_is_larger_than_the_file_is_refused(tmp_path):
    path = save(Plain(), tmp_path / "m")
    saved = tf.__internal__.saved_model.parse_saved_model(str(path))
    node = saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="large", op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0.0, shape=[]))
    for _ in range(2):
        node.attr["value"].tensor.tensor_shape.dim.add(size=1 << 20)
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ModelRefused, match="the constant large has 1,099,511,627,776 elements"):
        load(path)
