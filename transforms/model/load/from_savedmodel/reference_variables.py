"""TF1 graphs whose variables are not resources: the same function with its weights in variables of TF2.

Imports TensorFlow. Reference variables live inside the graph of one function: a function that calls it can
neither inline it nor read its weights.
"""

from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.graph import ancestors, node_name, placeholder
from transforms.model.tensorflow import tf

_REFERENCES = ("VariableV2", "Variable")


def has_reference_variables(function: Any) -> bool:
    """Whether a concrete function of a TF1 SavedModel keeps variables in its own graph."""
    return any(operation.type in _REFERENCES for operation in function.graph.get_operations())


class ReferenceFunction:
    """A callable of one tensor that computes what ``function`` does, with weights that can be captured."""

    def __init__(self, function: Any):
        """
        Args:
            function: a concrete function of one tensor, from a TF1 SavedModel.

        Raises:
            ModelRefused: a variable is never read.
        """
        self._function = function
        self._outputs = [tensor.name for tensor in function.outputs]
        graph_def: Any = ancestors(function.graph.as_graph_def(), [function.inputs[0].name, *self._outputs])
        self._variables = {name: tf.Variable(value, trainable=False) for name, value in self._values(graph_def).items()}
        for node in graph_def.node:
            if node.name in self._variables:
                node.CopyFrom(placeholder(node.name, self._variables[node.name].numpy()))
            for attribute in ("_output_shapes", "_class"):  # of the shapes and the colocations before
                if attribute in node.attr:
                    del node.attr[attribute]
        self._graph_def = graph_def

    def __call__(self, images: Any) -> dict[str, Any]:
        """The outputs by name; to be called while a ``tf.function`` is traced."""
        graph = tf.compat.v1.get_default_graph()
        function = self._function
        captured = zip(function.inputs[1:], function.captured_inputs, strict=True)
        present = {node.name for node in self._graph_def.node}
        given = {function.inputs[0].name: images}
        given |= {tensor.name: graph.capture(value) for tensor, value in captured if tensor.op.name in present}
        given |= {f"{name}:0": variable.read_value() for name, variable in self._variables.items()}
        tensors = tf.graph_util.import_graph_def(self._graph_def, given, self._outputs, name="model")
        return tf.nest.pack_sequence_as(function.structured_outputs, tensors)

    def _values(self, graph_def: Any) -> dict[str, Any]:
        reads: dict[str, str] = {}
        variables = {node.name for node in graph_def.node if node.op in _REFERENCES}
        for node in graph_def.node:
            if node.op == "Identity" and node_name(node.input[0]) in variables:
                reads.setdefault(node_name(node.input[0]), f"{node.name}:0")
        if unread := variables - set(reads):
            raise ModelRefused(
                f"the TF1 variable {min(unread)} is used without being read by an Identity: save the model with "
                "resource variables (tf.compat.v1.enable_resource_variables)"
            )
        return dict(zip(reads, self._function.prune([], list(reads.values()))(), strict=True))
