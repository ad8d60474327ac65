"""The activation at the end of a model, known by what it does, in whatever operations it is spelled out.

Imports TensorFlow. What lies between some tensor and an output is run on random numbers: where it gives their softmax
or sigmoid, they stand for logits. Neither the images nor the weights in front of the tensor play a part in it.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from transforms.model.graph import (
    FlatGraph,
    Graph,
    Head,
    Operation,
    Tensor,
    consumers,
    evaluate,
    head_behind,
    made_up_inputs,
    node_name,
    operations,
    producers,
    reachable,
)
from transforms.model.tensorflow import tf

Activation = Literal["softmax", "sigmoid", "none"]

_ROWS = 16
_FAR = 40.0  # a sigmoid is 0 or 1 there
_SAME = 1e-3  # of the range of values; other functions are further off


def _both_classes(logits: Tensor) -> Tensor:
    return tf.concat([1 - tf.sigmoid(logits), tf.sigmoid(logits)], 1)


_ACTIVATIONS: tuple[tuple[Activation, Callable[[Tensor], Tensor]], ...] = (
    ("softmax", tf.nn.softmax),
    ("softmax", tf.nn.log_softmax),
    ("sigmoid", tf.sigmoid),
    ("sigmoid", _both_classes),  # of a single unit
)


def find_activation(graph: Graph, flat: FlatGraph, output: Tensor) -> tuple[Tensor, Activation] | None:
    """The logits, and of what activation ``output`` is a positive multiple, perhaps shifted; None where there is none.

    Of several tensors that the same activation gives the output of, the first is taken: in ``e / sum(e)`` with
    ``e = exp(z - max(z))`` it is ``z``.
    """
    unknown = {operation for start in _unknown(graph, flat) for operation in reachable(start, consumers)}
    for logits in _last_tensors(graph, output):
        head = head_behind(flat.graph_def, logits.name, output.name)
        if not head.graph_def.node:
            continue  # another output of an operation that gives the logits too
        if any(graph.get_tensor_by_name(name).op in unknown for name in head.others):
            continue  # the output depends on more of the image than this
        numbers = np.random.default_rng(0).normal(0, 2, (_ROWS, *logits.shape[1:])).astype(np.float32)
        try:
            values = run_head(head, flat, logits, numbers)
        except tf.errors.OpError:  # it is not made for any number of rows: several crops of an image, for one
            continue
        for name, activation in _ACTIVATIONS:
            if _is_positive_multiple(values, activation(numbers.reshape(_ROWS, -1)).numpy()):
                return logits, name
    return None


def limits_of(graph: Graph, flat: FlatGraph, logits: Tensor, output: Tensor) -> tuple[float, float]:
    """The least and the greatest that ``output`` can be: what it is for ``logits`` far below and far above zero."""
    head = head_behind(flat.graph_def, logits.name, output.name)
    far = np.full((_ROWS, *(size or 1 for size in logits.shape[1:])), _FAR, np.float32)
    far[::2] *= -1
    values = run_head(head, flat, logits, far)
    return float(values.min()), float(values.max())


def squashed_by(output: Tensor) -> Activation:
    """What is among the operations behind the last layers with weights: a softmax, else a sigmoid, or neither."""
    found = {operation.type for operation in _behind_last_weights(output)}
    return "softmax" if "Softmax" in found else "sigmoid" if "Sigmoid" in found else "none"


def _unknown(graph: Graph, flat: FlatGraph) -> list[Operation]:
    """The images, and whatever else is not in the model."""
    return [o for o in graph.get_operations() if o.type == "Placeholder" and o.name not in flat.weights]


def _last_tensors(graph: Graph, output: Tensor) -> Iterator[Tensor]:
    """The tensors between the last layers with weights and ``output`` that may be its logits, the earliest first."""
    last = _behind_last_weights(output)
    sizes = {output.shape[1:].num_elements()}
    if sizes == {2}:
        sizes.add(1)
    for operation in graph.get_operations():  # each after those that it reads
        if operation not in last or operation is output.op:
            continue
        for tensor in operation.outputs:
            shape = tensor.shape
            if tensor.dtype.is_floating and shape.rank and shape[0] is None and shape[1:].num_elements() in sizes:
                yield tensor


def _behind_last_weights(output: Tensor) -> set[Operation]:
    return reachable(output.op, lambda operation: () if operation.type in operations.WEIGHTED else producers(operation))


def run_head(head: Head, flat: FlatGraph, logits: Tensor, numbers: np.ndarray) -> np.ndarray:
    """What a head makes of numbers in place of the tensor that it begins with, float32 ``[rows, values]``."""
    others = {name: flat.weights[node_name(name)] for name in head.others if node_name(name) in flat.weights}
    given = {**flat.weights, **made_up_inputs(flat, len(numbers))}
    others |= evaluate(flat.graph_def, given, set(head.others) - set(others))
    constants = {name: tf.constant(value) for name, value in others.items()}
    signature = [tf.TensorSpec(logits.shape, logits.dtype)]
    function = tf.function(lambda start: head.run(start, constants), input_signature=signature, autograph=False)
    values = tf.cast(function.get_concrete_function()(tf.cast(numbers, logits.dtype)), tf.float32).numpy()
    return values.reshape(values.shape[0], -1)


def _is_positive_multiple(values: np.ndarray, reference: np.ndarray) -> bool:
    """Whether ``values = a * reference + b`` with ``a > 0``."""
    if values.shape != reference.shape or not np.isfinite(values).all() or not np.ptp(reference):
        return False
    slope, offset = np.polyfit(reference.ravel(), values.ravel(), 1)
    return bool(slope > 0 and np.abs(values - slope * reference - offset).max() <= _SAME * slope * np.ptp(reference))
