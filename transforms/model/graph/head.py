"""The part of a flat graph behind some tensor, to be run again on other values of it. Imports TensorFlow."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

from transforms.model.graph.graph_def import GraphDef, Tensor, ancestors, empty_like, node_name, splice, tensor_name
from transforms.model.tensorflow import tf


@dataclasses.dataclass(frozen=True, eq=False)
class Head:
    """The operations between ``start`` and ``output``, and nothing of what comes before."""

    graph_def: GraphDef
    start: str  # the tensor that is given anew
    output: str
    others: tuple[str, ...]  # what the operations read besides: weights, constants, shapes

    def run(self, start: Tensor, others: Mapping[str, Tensor]) -> Tensor:
        """``output`` for another value of ``start``; may be called in the body of a loop.

        Args:
            others: at least the tensors of that name, as they are in the function that is being traced.
        """
        if self.start == self.output:  # the scores are the means of a map, as behind a last convolution to classes
            return start
        # An import does not capture tensors from around a loop, an operation does.
        feeds = {name: tf.identity(others[name]) for name in self.others}
        return splice(self.graph_def, feeds | {self.start: start}, [self.output])[0]


def head_behind(graph_def: GraphDef, start: str, output: str) -> Head:
    """Cut out what turns ``start`` into ``output``."""
    readers = defaultdict(set)
    for node in graph_def.node:
        for reference in node.input:
            readers[tensor_name(reference)].add(node.name)
            readers[node_name(reference)].add(node.name)
    behind: set[str] = set()
    stack = [*readers[tensor_name(start)]]
    while stack:
        name = stack.pop()
        if name not in behind:
            behind.add(name)
            stack += readers[name]
    part = empty_like(graph_def)
    part.node.extend(node for node in ancestors(graph_def, [output]).node if node.name in behind)
    others: dict[str, None] = {}
    for node in part.node:
        data = [reference for reference in node.input if not reference.startswith("^")]
        del node.input[:]
        node.input.extend(data)
        others |= dict.fromkeys(tensor_name(i) for i in data if node_name(i) not in behind)
    others.pop(tensor_name(start), None)
    return Head(part, tensor_name(start), output, tuple(others))
