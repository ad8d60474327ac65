"""Layer names lead to the tensors that the layers produced: nested, shared, subclassed, in both Kerases."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from plain_module import images
from source_models import LIBRARIES, fine_tuned, tiny_base

from transforms.model.load.layer_recording import layer_tensors, recording_layers
from transforms.model.load.tracing import trace_keras_model

BOTH = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


def values_of(traced, names, pixels):
    """The values of tensors in the traced graph."""
    captured = zip(traced.function.inputs[1:], traced.function.captured_inputs, strict=True)

    @tf.function
    def values(x):
        graph = tf.compat.v1.get_default_graph()
        given = {traced.function.inputs[0].name: x, **{t.name: graph.capture(value) for t, value in captured}}
        return tf.graph_util.import_graph_def(traced.function.graph.as_graph_def(), given, names)

    return [value.numpy() for value in values(tf.constant(pixels))]


@BOTH
def test_paths_of_nested_layers_lead_to_their_tensors(library):
    model = fine_tuned(library)
    traced = trace_keras_model(model, "auto")
    assert {"tiny_base", "tiny_base/base_bn", "tiny_base/base_out", "pool", "scores"} <= set(traced.layer_tensors)
    assert not any(path.startswith("fine_tuned") for path in traced.layer_tensors)
    base = model.get_layer("tiny_base")
    inner = library.Model(base.input, [base.get_layer(name).output for name in ("base_bn", "base_add", "base_out")])
    wanted = inner(model.get_layer("rescaling")(images()), training=False)
    names = [traced.layer_tensors[f"tiny_base/{name}"][0] for name in ("base_bn", "base_add", "base_out")]
    for got, want in zip(values_of(traced, names, images()), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@BOTH
def test_a_shared_layer_has_a_tensor_for_each_call(library):
    layers = library.layers
    inputs = library.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    first = shared(inputs)
    model = library.Model(inputs, layers.GlobalAveragePooling2D()(shared(first)))
    traced = trace_keras_model(model, "auto")
    assert len(traced.layer_tensors["shared"]) == 2
    got = values_of(traced, traced.layer_tensors["shared"], images(size=8))
    np.testing.assert_allclose(got[0], shared(images(size=8)), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(got[1], shared(shared(images(size=8))), rtol=1e-5, atol=1e-3)


@BOTH
def test_subclassed_models(library):
    class Block(library.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.conv = library.layers.Conv2D(4, 3, name="inner_conv")

        def call(self, x):
            return self.conv(x) * 2.0

    class Net(library.Model):
        def __init__(self):
            super().__init__(name="net")
            self.block, self.dense = Block(), library.layers.Dense(2, name="dense")

        def call(self, x, training=None):
            return self.dense(tf.reduce_mean(self.block(x), [1, 2]))

    net = Net()
    net(images(size=8))
    traced = trace_keras_model(net, (8, 8))
    assert set(traced.layer_tensors) == {"block", "block/inner_conv", "dense"}
    conv, block = values_of(
        traced, [traced.layer_tensors[path][0] for path in ("block/inner_conv", "block")], images(size=8)
    )
    np.testing.assert_allclose(block, conv * 2)


@BOTH
def test_nothing_is_left_behind(library):
    base = library.Operation if hasattr(library, "Operation") else library.layers.Layer
    before = base.__call__
    with contextlib.suppress(ZeroDivisionError), recording_layers(base):
        assert base.__call__ is not before
        1 / 0  # noqa: B018
    assert base.__call__ is before


def test_tensors_of_other_graphs_are_left_out():
    model = tiny_base(LIBRARIES["keras"])
    with recording_layers(LIBRARIES["keras"].Operation) as calls:
        one = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec([None, 32, 32, 3]))
        two = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec([None, 32, 32, 3]))
    assert layer_tensors(calls, one.graph).keys() == layer_tensors(calls, two.graph).keys()
    assert all(len(names) == 1 for names in layer_tensors(calls, one.graph).values())
