"""Shapes that shape inference leaves open, learned from a run. Imports TensorFlow."""

import numpy as np

from transforms.model.graph import (
    FlatGraph,
    Graph,
    Operation,
    Tensor,
    consumers,
    evaluate,
    made_up_inputs,
    node_name,
    open_inputs,
    operations,
    reachable,
)
from transforms.model.plan.checks import refuse_other_than_images, refusing_failures

_IMAGES = 2


def learn_shapes(graph: Graph, flat: FlatGraph) -> None:
    """Fill in what is not known of the shapes of ``graph``, that of ``flat``, from one run over blank images.

    What cannot be run, such as the label that a table gives, is left as it is, unless that is the whole model.

    Raises:
        ModelRefused: the run fails, or no output can be run.
    """
    no_values = {operation for start in _without_values(graph, flat) for operation in reachable(start, consumers)}
    if all(graph.get_tensor_by_name(output).op in no_values for output in flat.outputs):
        refuse_other_than_images(flat)
    unknown = [
        tensor
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if tensor.dtype.is_floating
        and operation.type != "Placeholder"
        and operation not in no_values
        and not _is_known(tensor)
    ]
    if not unknown:
        return
    images = graph.get_tensor_by_name(flat.input)
    blank = np.zeros((_IMAGES, *images.shape[1:]), images.dtype.as_numpy_dtype)
    with refusing_failures():
        feeds = {**flat.weights, node_name(flat.input): blank, **made_up_inputs(flat, _IMAGES)}
        values = evaluate(flat.graph_def, feeds, [tensor.name for tensor in unknown])
    for tensor in unknown:
        shape = values[tensor.name].shape
        if shape and shape[0] == _IMAGES:
            tensor.set_shape([None, *shape[1:]])


def _without_values(graph: Graph, flat: FlatGraph) -> list[Operation]:
    missing = set(open_inputs(flat))
    return [o for o in graph.get_operations() if o.name in missing or o.type in operations.PYTHON]


def _is_known(tensor: Tensor) -> bool:
    return tensor.shape.rank is not None and None not in tensor.shape.as_list()[1:]
