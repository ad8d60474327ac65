"""Embeddings: rows looked up in a variable, spelled as the read of the variable and a gather. Imports TensorFlow."""

from transforms.model.graph.graph_def import GraphDef, NodeDef
from transforms.model.tensorflow import tf


def without_lookups(graph_def: GraphDef) -> GraphDef:
    """The same graph with ``ReadVariableOp`` and ``GatherV2`` for each ``ResourceGather``, in place."""
    for node in [node for node in graph_def.node if node.op == "ResourceGather"]:
        read, axis = graph_def.node.add(), graph_def.node.add()
        read.name, read.op = f"{node.name}/read", "ReadVariableOp"
        read.input.append(node.input[0])
        read.attr["dtype"].CopyFrom(node.attr["dtype"])
        batch_dims = node.attr["batch_dims"].i
        axis.name, axis.op = f"{node.name}/axis", "Const"
        axis.attr["dtype"].type = tf.int32.as_datatype_enum
        axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(batch_dims, tf.int32))
        _gather(node, read.name, axis.name, batch_dims)
    return graph_def


def _gather(node: NodeDef, table: str, axis: str, batch_dims: int) -> None:
    """Make ``node`` a GatherV2."""
    indices, kinds = node.input[1], (node.attr["dtype"].type, node.attr["Tindices"].type)
    node.op = "GatherV2"
    del node.input[:]
    node.input.extend([table, indices, axis])
    node.attr.clear()
    node.attr["Tparams"].type, node.attr["Tindices"].type = kinds
    node.attr["Taxis"].type = tf.int32.as_datatype_enum
    node.attr["batch_dims"].i = batch_dims
