"""Does a model scale its own pixels? Read off its graph, whatever kind of model it is."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

from transforms.model.graph import operations

LUMA = "luma_of_images"  # scope of what loading puts in front of models of one channel; it is not the model's own

_SCALING = operations.SCALES_OR_SHIFTS | operations.DIVIDES
_ENDS = operations.WEIGHTED | operations.POOLS  # what follows is no matter of pixels
_FLOATS = frozenset((1, 2, 14, 19))  # DT_FLOAT, DT_DOUBLE, DT_BFLOAT16, DT_HALF


def own_scaling(function: Any) -> str | None:
    """The first operation that shifts or scales the pixels before a layer with weights, or None.

    Such an operation is a Rescaling or Normalization layer, a batch normalisation of the input, or arithmetic
    such as ``images / 127.5 - 1``; ``function`` is a concrete function whose first input is the images.
    """
    graph = function.graph.as_graph_def()
    library = {f.signature.name: f for f in graph.library.function}
    return _first_scaling(graph.node, [function.inputs[0].op.name], library)[0]


def _first_scaling(nodes: Sequence[Any], start: Iterable[str], library: dict[str, Any]) -> tuple[str | None, bool]:
    """The name of the first scaling operation behind ``start``, and whether the pixels leave ``nodes`` unweighted."""
    consumers = collections.defaultdict(list)
    for node in nodes:
        for position, tensor in enumerate(node.input):
            if not tensor.startswith("^"):
                consumers[tensor.split(":")[0]].append((node, position))
    pending, seen, leaves = collections.deque(start), set(start), True
    while pending:
        for node, position in consumers[pending.popleft()]:
            if node.op in _SCALING and node.attr["T"].type in _FLOATS and not node.name.startswith(f"{LUMA}/"):
                return node.name, True
            if node.op in _ENDS:
                leaves = False
                continue
            if node.op in operations.READS_SHAPE:
                continue
            called = library.get(node.attr["f"].func.name if "f" in node.attr else node.op)
            if called is not None:
                argument = called.signature.input_arg[position].name
                scaling, passes = _first_scaling(called.node_def, [argument], library)
                if scaling is not None:
                    return f"{node.name}/{scaling}", True
                if not passes:
                    leaves = False
                    continue
            if node.name not in seen:
                seen.add(node.name)
                pending.append(node.name)
    return None, leaves
