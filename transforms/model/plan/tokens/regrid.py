"""A flat graph in which a tensor of tokens passes through a grid ``[B, h, w, C]``. Imports TensorFlow.

The tokens of the image are taken out of the tensor and laid out as a grid; behind it they are put back where they came
from, beside the class token and whatever else has no place. Numbers stay as they are, and the grid is a feature map as
any other.
"""

import dataclasses

from transforms.model.graph import FlatGraph, Graph, GraphDef, Tensor, empty_like, node_name, tensor_name
from transforms.model.plan.tokens.layout import TokenLayout, from_grid, lay_out, others_of
from transforms.model.tensorflow import tf


def lay_out_in_graph(graph: Graph, flat: FlatGraph, tensor: str, layout: TokenLayout) -> tuple[FlatGraph, str]:
    """The graph with the grid in it, and the name of the grid's tensor."""
    source = graph.get_tensor_by_name(tensor)
    scope = f"{node_name(tensor)}/patch_grid"
    nodes, grid, back = _nodes(source, layout, scope)
    laid_out = empty_like(flat.graph_def)
    for node in flat.graph_def.node:
        copy = laid_out.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [back if not i.startswith("^") and tensor_name(i) == tensor else i for i in node.input]
        if node.name == node_name(tensor):
            laid_out.node.extend(nodes.node)
    return dataclasses.replace(flat, graph_def=laid_out), tensor_name(grid)


def _nodes(source: Tensor, layout: TokenLayout, scope: str) -> tuple[GraphDef, str, str]:
    """The nodes to put behind the tensor, the name of the grid, and what the tensor's readers are to read."""
    with tf.Graph().as_default() as graph:
        tokens = tf.compat.v1.placeholder(source.dtype, source.shape, "tokens")
        with tf.name_scope(scope):
            grid = tf.identity(lay_out(tokens, layout), name="grid")
            others = others_of(tokens, layout) if layout.others else None
            back = tf.identity(from_grid(grid, others, layout), name="tokens")
        built = graph.as_graph_def()
    nodes = GraphDef()
    for node in built.node:
        if node.name == tokens.op.name:
            continue
        copy = nodes.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [source.name if node_name(i) == tokens.op.name else i for i in node.input]
    return nodes, grid.op.name, back.op.name
