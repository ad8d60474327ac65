"""What the graphs in a SavedModel may do without ``model.trust``: compute, nothing else.

The check reads saved_model.pb before TensorFlow loads it, since loading runs parts of it: the initialisers of tables
and other resources, what restores them from the checkpoint, and the init and restore operations of TF1. Everything that
these, the signatures and the functions can reach must be on the allow-list; tables may be filled from files in the
SavedModel's own assets folder, and TF1's variables from its own checkpoint. Even what nothing reaches is looked at:
when TensorFlow imports a graph, it evaluates stateless operations on constants to know their shapes.

Imports TensorFlow.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorflow.core.framework import variable_pb2
from tensorflow.python.framework import op_def_registry

from transforms.model.errors import ModelRefused
from transforms.model.graph import HARMLESS, PRINTS, STREAMS, node_name
from transforms.model.load.from_savedmodel.assets import asset_arguments, asset_files, refuse_assets_elsewhere
from transforms.model.tensorflow import tf

_TEXT_TABLES = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_RESTORES = frozenset({"Restore", "RestoreV2"})
_PATHS = frozenset({"ShardedFilename", "ShardedFilespec"})  # of saving: names alone
_SAME = frozenset({"Identity", "PlaceholderWithDefault"})
_INIT_SIGNATURE = "__saved_model_init_op"
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op", "table_initializer")
_LARGEST_CONSTANT = 1 << 28  # elements that are not in the file one by one


def refuse_code_in_savedmodel(folder: Path, source: str) -> None:
    """Refuse a SavedModel that may do more than compute when it is loaded or called.

    Raises:
        ModelRefused: with the operation and the remedy; or the file cannot be read.
    """
    try:
        saved = tf.__internal__.saved_model.parse_saved_model(str(folder))
    except Exception as error:
        # Of half a dozen types, one of which, DecodeError, is not public.
        raise ModelRefused(
            f"{source} cannot be loaded by TensorFlow {tf.__version__}: {type(error).__name__}: {error}"
        ) from error
    # As tf.saved_model.load tells the versions apart.
    is_tf2 = len(saved.meta_graphs) == 1 and saved.meta_graphs[0].HasField("object_graph_def")
    for meta_graph in saved.meta_graphs:
        refuse_assets_elsewhere(meta_graph, folder, source)
        library = _Library(meta_graph, source)
        library.refuse_unreached()
        if is_tf2:
            for name, assets in asset_arguments(meta_graph).items():
                library.refuse_function(name, assets)
            for gradient in meta_graph.graph_def.library.registered_gradients:
                library.refuse_function(gradient.gradient_func, frozenset())
        else:
            _refuse_tf1(meta_graph, library)


class _Library:
    """The functions and the graph of one meta graph, and which of them have been looked at."""

    def __init__(self, meta_graph: Any, source: str):
        self.nodes = {node.name: node for node in meta_graph.graph_def.node}
        self._functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
        self._source = source
        self._seen: set[tuple[str, frozenset[str]]] = set()

    def refuse_unreached(self) -> None:
        """Refuse stateless operations that are not on the list, wherever they are; and constants that fill memory."""
        for where, nodes in [("graph", self.nodes.values()), *((n, f.node_def) for n, f in self._functions.items())]:
            for node in nodes:
                self._refuse_constant(node)
                if node.op in HARMLESS | PRINTS | _PATHS | _TEXT_TABLES or node.op in self._functions:
                    continue
                definition = op_def_registry.get(node.op)
                if definition is None or not definition.is_stateful:
                    self._refuse(node, where)

    def refuse_function(self, name: str, assets: frozenset[str]) -> None:
        """Look at a function and at all that it calls.

        Args:
            assets: those of its arguments that are paths in the assets folder.
        """
        pending = [(name, assets)]
        while pending:
            called = pending.pop()
            if called in self._seen or called[0] not in self._functions:
                continue
            self._seen.add(called)
            pending.extend(self.refuse_nodes(self._functions[called[0]].node_def, called[0], called[1]))

    def refuse_nodes(
        self, nodes: Iterable[Any], where: str, assets: frozenset[str], checkpoint: frozenset[str] = frozenset()
    ) -> list[tuple[str, frozenset[str]]]:
        """Look at some operations; the functions that they call are returned, each with its assets.

        Args:
            assets, checkpoint: names of arguments or nodes: paths in the assets folder, of the variables.
        """
        nodes = list(nodes)
        by_name = {node.name: node for node in nodes}
        called = []
        for node in nodes:
            if node.op in _TEXT_TABLES and _is_one_of(node.input[1], assets, by_name):
                continue
            if node.op in _RESTORES and _is_one_of(node.input[0], checkpoint, by_name):
                continue
            if node.op in PRINTS and node.attr["output_stream"].s.decode("utf-8", "replace") in STREAMS:
                continue
            if node.op not in HARMLESS and node.op not in self._functions:
                self._refuse(node, where)
            for name in _called(node, self._functions):
                arguments = [argument.name for argument in self._functions[name].signature.input_arg]
                given = [_is_one_of(tensor, assets, by_name) for tensor in node.input if not tensor.startswith("^")]
                # Where the arguments do not pair with the inputs (branches, loops), none is known to be an asset.
                paired = zip(arguments, given, strict=True) if len(arguments) == len(given) else ()
                called.append((name, frozenset(argument for argument, is_asset in paired if is_asset)))
        return called

    def _refuse(self, node: Any, where: str) -> None:
        if node.op == "XlaCallModule":
            raise ModelRefused(
                f"{self._source} was exported from JAX with native serialization (Keras' model.export() with the JAX "
                f"back end, or jax2tf): {node.name} in {where} is an XlaCallModule, one compiled operation in which no "
                "layer can be seen and nothing can be differentiated. Give the .keras file of the same model, or "
                "export it anew with native_serialization=False: jax2tf.convert(function, "
                "native_serialization=False), or model.export() with the TensorFlow back end"
            )
        raise ModelRefused(
            f"{self._source}: the operation {node.op} ({node.name} in {where}) is not on the list of those that only "
            "compute: it may touch files or run code, and some of a SavedModel runs while it is loaded. If you know "
            "who wrote it, say model.trust: true; or export the model again without it"
        )

    def _refuse_constant(self, node: Any) -> None:
        if node.op != "Const":
            return
        value = node.attr["value"].tensor
        elements = 1
        for dimension in value.tensor_shape.dim:
            elements *= max(dimension.size, 0)
        if elements > max(_LARGEST_CONSTANT, len(value.tensor_content)):
            raise ModelRefused(
                f"{self._source} is damaged: the constant {node.name} has {elements:,} elements, which are not in the "
                "file"
            )


def _refuse_tf1(meta_graph: Any, library: _Library) -> None:
    """Look at what TensorFlow's loader of TF1's graphs runs or makes a function of: see load_v1_in_v2 in TensorFlow."""
    assets = frozenset(node_name(asset.tensor_info.name) for asset in asset_files(meta_graph))
    checkpoint = frozenset((node_name(meta_graph.saver_def.filename_tensor_name),)) - {""}
    restore = [meta_graph.saver_def.restore_op_name]
    initialise: list[str] = []
    signatures: list[str] = []
    for name in _INIT_COLLECTIONS:
        initialise += meta_graph.collection_def[name].node_list.value if name in meta_graph.collection_def else []
    if "local_variables" in meta_graph.collection_def:
        for variable in meta_graph.collection_def["local_variables"].bytes_list.value:
            initialise.append(variable_pb2.VariableDef.FromString(variable).initializer_name)
    for name, signature in meta_graph.signature_def.items():
        tensors = [tensor for info in signature.outputs.values() for tensor in _tensors(info)]
        (initialise if name == _INIT_SIGNATURE else signatures).extend(tensors)
    # The paths are given where the graph restores and initialises; in a signature they are what the file says.
    for roots, paths, of_variables in ((restore, (), checkpoint), (initialise, assets, ()), (signatures, (), ())):
        nodes = _ancestors(library.nodes, roots)
        for name, given in library.refuse_nodes(nodes, "graph", frozenset(paths), frozenset(of_variables)):
            library.refuse_function(name, given)


def _tensors(info: Any) -> Iterator[str]:
    if info.WhichOneof("encoding") == "coo_sparse":
        yield from (info.coo_sparse.values_tensor_name, info.coo_sparse.indices_tensor_name)
        yield info.coo_sparse.dense_shape_tensor_name
    elif info.WhichOneof("encoding") == "composite_tensor":
        for component in info.composite_tensor.components:
            yield from _tensors(component)
    else:
        yield info.name


def _ancestors(nodes: dict[str, Any], roots: Iterable[str]) -> list[Any]:
    pending, found = [node_name(root) for root in roots], {}
    while pending:
        name = pending.pop()
        if name in nodes and name not in found:
            found[name] = nodes[name]
            pending.extend(node_name(tensor) for tensor in nodes[name].input)
    return list(found.values())


def _is_one_of(tensor: str, given: frozenset[str], nodes: dict[str, Any]) -> bool:
    """Whether a tensor is one of some nodes or arguments, itself or through operations that pass it on."""
    name = node_name(tensor)
    for _ in range(len(nodes) + 1):
        if name in given:
            return True
        if name not in nodes or nodes[name].op not in _SAME or not nodes[name].input:
            return False
        name = node_name(nodes[name].input[0])
    return False


def _called(node: Any, functions: dict[str, Any]) -> Iterator[str]:
    """The functions that a node names: as its operation, or in an attribute."""
    if node.op in functions:
        yield node.op
    for value in node.attr.values():
        names = [value.func.name, *(function.name for function in value.list.func)]
        yield from (name for name in names if name in functions)
