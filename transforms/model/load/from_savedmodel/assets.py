"""The files in a SavedModel's assets folder, from which tables are filled. Imports TensorFlow's protocol buffers."""

from pathlib import Path, PurePosixPath
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2

from transforms.model.errors import ModelRefused

_COLLECTION = "saved_model_assets"  # where TF1 lists them


def asset_files(meta_graph: Any) -> list[Any]:
    """The ``AssetFileDef`` of a meta graph that TensorFlow's loader goes by."""
    if meta_graph.asset_file_def or _COLLECTION not in meta_graph.collection_def:
        return list(meta_graph.asset_file_def)
    values = meta_graph.collection_def[_COLLECTION].any_list.value
    return [meta_graph_pb2.AssetFileDef.FromString(value.value) for value in values]


def refuse_assets_elsewhere(meta_graph: Any, folder: Path, source: str) -> None:
    """Refuse assets that lie outside of the SavedModel, or are no files but devices or pipes.

    Raises:
        ModelRefused: with the path.
    """
    for asset in asset_files(meta_graph):
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in asset.filename or ":" in asset.filename:
            raise ModelRefused(
                f"{source} fills a table from {asset.filename}, outside of its assets folder: if you know who wrote "
                "it, say model.trust: true; or export the model again with its vocabulary as an asset"
            )
        file = folder / "assets" / path
        if file.exists() and not file.is_file():
            raise ModelRefused(f"{source}: its asset {asset.filename} is no regular file: export the model again")


def asset_arguments(meta_graph: Any) -> dict[str, frozenset[str]]:
    """The functions of a TF2 SavedModel, each with those of its arguments that are bound to files in the assets."""
    objects = meta_graph.object_graph_def
    library = {function.signature.name: function.signature for function in meta_graph.graph_def.library.function}
    names = {name for node in objects.nodes for name in node.function.concrete_functions}
    names |= {node.bare_concrete_function.concrete_function_name for node in objects.nodes}
    names |= {node.captured_tensor.concrete_function for node in objects.nodes}
    found: dict[str, frozenset[str]] = {name: frozenset() for name in names if name in library}
    for name, function in objects.concrete_functions.items():
        if name not in library:
            continue
        # What is bound comes behind what is given.
        arguments = [argument.name for argument in library[name].input_arg]
        bound = list(function.bound_inputs)
        paired = zip(arguments[len(arguments) - len(bound) :], bound, strict=False) if bound else ()
        found[name] = frozenset(
            argument
            for argument, node in paired
            if node < len(objects.nodes) and objects.nodes[node].WhichOneof("kind") == "asset"
        )
    return found
