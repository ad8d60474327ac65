"""The flat graph: calls inlined, weights kept apart, constants and batch norms folded."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.graph import operations
    from transforms.model.graph.flatten import CUSTOM_GRADIENT, FlatGraph, flatten_function, made_up_inputs, open_inputs
    from transforms.model.graph.fold import fold_graph
    from transforms.model.graph.graph_def import (
        Graph,
        GraphDef,
        NodeDef,
        Operation,
        Tensor,
        ancestors,
        consumers,
        empty_like,
        evaluate,
        import_graph,
        node_name,
        placeholder,
        producers,
        reachable,
        same_value,
        splice,
        tensor_name,
    )
    from transforms.model.graph.harmless import COMPUTES, HARMLESS, PRINTS, STREAMS, names
    from transforms.model.graph.head import Head, head_behind
    from transforms.model.graph.one_token import with_read_tokens
    from transforms.model.graph.precision import narrowed_graph

__all__ = [
    "COMPUTES",
    "CUSTOM_GRADIENT",
    "HARMLESS",
    "PRINTS",
    "STREAMS",
    "FlatGraph",
    "Graph",
    "GraphDef",
    "Head",
    "NodeDef",
    "Operation",
    "Tensor",
    "ancestors",
    "consumers",
    "empty_like",
    "evaluate",
    "flatten_function",
    "fold_graph",
    "head_behind",
    "import_graph",
    "made_up_inputs",
    "names",
    "narrowed_graph",
    "node_name",
    "open_inputs",
    "operations",
    "placeholder",
    "producers",
    "reachable",
    "same_value",
    "splice",
    "tensor_name",
    "with_read_tokens",
]
__getattr__ = lazy_face(__name__, __file__)
