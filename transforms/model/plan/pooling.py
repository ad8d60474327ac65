"""Pooling that does something to the features before it averages them: GeM, log-sum-exp, signed square root, attention.

What it does there has the shape of a feature map and is none: it belongs to the head. Imports TensorFlow.
"""

from collections.abc import Iterator

import numpy as np

from transforms.model.graph import (
    FlatGraph,
    Operation,
    Tensor,
    consumers,
    head_behind,
    operations,
    producers,
    reachable,
    same_value,
)
from transforms.model.plan.activation import run_head
from transforms.model.plan.network import FeatureMap, Network
from transforms.model.tensorflow import tf

_FAR = 16.0  # where an activation such as ReLU, swish or tanh has become a line or a constant
_LINE = 0.05


def before_pooling(network: Network, flat: FlatGraph, last: FeatureMap) -> FeatureMap:
    """The map that the pooling behind ``last`` begins with: ``last`` itself where it is no step of a pooling."""
    chosen, in_pooling = last, False
    while (ahead := _up_to_reductions(network, chosen)) is not None:
        in_pooling |= any(operation.type in operations.BENDS for operation in ahead)
        for before in _candidates_before(network, chosen):
            between = _between(network, before, chosen)
            if _weighs_cells(network, before, chosen, between) or _bends(network, flat, before, chosen, between):
                break
            if in_pooling and _clamps_or_scales(network, before, chosen, between):
                break
        else:
            return chosen
        chosen, in_pooling = before, True
    return chosen


def _up_to_reductions(network: Network, feature_map: FeatureMap) -> set[Operation] | None:
    """What is done to each cell before the grid is reduced to one value; None where anything else reads the cells."""
    cells = feature_map.height * feature_map.width
    start = network.graph.get_tensor_by_name(feature_map.tensor).op
    found: set[Operation] = set()
    pending = [reader for reader in consumers(start) if reader in network.position]
    while pending:
        operation = pending.pop()
        if operation in found or _reduces(operation, cells):
            continue
        if operation.type not in operations.ELEMENTWISE | operations.RESHAPES:
            return None
        found.add(operation)
        pending += [reader for reader in consumers(operation) if reader in network.position]
        if operation.type in operations.RESHAPES and _size(operation.outputs[0]) != _size(operation.inputs[0]):
            return None
    return found


def _reduces(operation: Operation, cells: int) -> bool:
    """A mean, sum or maximum over all cells, whose result has a value per channel."""
    if operation.type not in operations.REDUCES | operations.POOLS | {"Sum"}:
        return False
    before, after = _size(operation.inputs[0]), _size(operation.outputs[0])
    return before is not None and after is not None and before == after * cells


def _size(tensor: Tensor) -> int | None:
    return None if tensor.shape.rank is None else tensor.shape[1:].num_elements()


def _candidates_before(network: Network, chosen: FeatureMap) -> Iterator[FeatureMap]:
    """Those of the same grid, the nearest first, up to the first that has the name of a layer."""
    place = [candidate.tensor for candidate in network.candidates].index(chosen.tensor)
    for before in reversed(network.candidates[:place]):
        if (before.height, before.width) != (chosen.height, chosen.width):
            return
        if before.tokens is not None:
            return
        yield before
        if before.tensor in network.name_of:
            return


def _between(network: Network, before: FeatureMap, chosen: FeatureMap) -> set[Operation]:
    start, end = (network.graph.get_tensor_by_name(each.tensor).op for each in (before, chosen))
    return (reachable(start, consumers) & reachable(end, producers)) - {start}


def _bends(network: Network, flat: FlatGraph, before: FeatureMap, chosen: FeatureMap, between: set[Operation]) -> bool:
    """Whether far from zero the step is neither a line, as ReLU and swish are, nor a constant, as tanh is."""
    if not between or any(operation.type not in operations.ELEMENTWISE for operation in between):
        return False
    head = head_behind(flat.graph_def, before.tensor, chosen.tensor)
    if any(network.graph.get_tensor_by_name(name).op in network.position for name in head.others):
        return False
    start = network.graph.get_tensor_by_name(before.tensor)
    far = np.array([_FAR, 2 * _FAR, -_FAR, -2 * _FAR], np.float32).reshape(-1, 1, 1, 1)
    values = np.abs(run_head(head, flat, start, np.broadcast_to(far, (4, *start.shape[1:])))).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        right, left = np.log2(values[1::2]) - np.log2(values[::2])  # 1: a line, 0: a constant
    # What fades away on the left is an activation, as swish is, or grows on the right, as the exponential does.
    return _is_curved(right) or _is_curved(np.maximum(left, 0))


def _is_curved(growth: np.ndarray) -> bool:
    """NaN where a value is zero, or too large to tell."""
    known = growth[~np.isnan(growth)]
    return bool(known.size and (np.minimum(np.abs(known), np.abs(known - 1)) > _LINE).mean() > 0.5)


def _clamps_or_scales(network: Network, before: FeatureMap, chosen: FeatureMap, between: set[Operation]) -> bool:
    """Steps with a constant that is the same for all channels, as ``max(x, epsilon)`` or ``r * x``."""
    if chosen.tensor in network.name_of and before.tensor not in network.name_of:
        return False  # a step inside a layer
    steps = [operation for operation in between if operation.type not in operations.SAME_VALUE | {"Cast"}]
    return bool(steps) and all(
        operation.type in operations.CLAMPS_OR_SCALES and _has_number(operation) for operation in steps
    )


def _has_number(operation: Operation) -> bool:
    """All operands but one are single numbers; ``max(x, 0)`` is an activation."""
    numbers = [operand for operand in operation.inputs if operand.shape.num_elements() == 1]
    is_relu = operation.type == "Maximum" and any(tf.get_static_value(number) == 0 for number in numbers)
    return len(numbers) == len(operation.inputs) - 1 and not is_relu


def _weighs_cells(network: Network, before: FeatureMap, chosen: FeatureMap, between: set[Operation]) -> bool:
    """A product of the features with weights of the cells that are made of the same features."""
    product = network.graph.get_tensor_by_name(chosen.tensor).op
    features = same_value(network.graph.get_tensor_by_name(before.tensor))
    operands = [same_value(operand) for operand in product.inputs]
    if product.type != "Mul" or features not in operands:
        return False
    weights = [operand for operand in operands if operand is not features]
    if len(weights) != 1 or weights[0].op not in between:
        return False
    cells = _size(weights[0])
    if cells == chosen.height * chosen.width:
        return True
    made = reachable(weights[0].op, lambda operation: (p for p in producers(operation) if p in between))
    # As many weights as features: without layers of their own they are an activation, as x * sigmoid(x) is.
    return (
        cells == _size(features)
        and any(operation.type in operations.WEIGHTED for operation in made)
        and any(operation.type in operations.SQUASHES for operation in made)
    )
