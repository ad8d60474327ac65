"""The tensors of a network whose numbers are tokens over the image. Imports TensorFlow."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from transforms.model.graph import FlatGraph, Graph, Operation, Tensor, made_up_inputs, node_name, operations, splice
from transforms.model.plan.checks import refusing_failures
from transforms.model.plan.tokens.layout import NO_TOKENS, TokenLayout, Tokens, TokenTensor, layout_of
from transforms.model.plan.tokens.places import IMAGES, Places, lattice
from transforms.model.plan.tokens.rules import Seen, on_grid, rule_of
from transforms.model.tensorflow import tf

_LARGEST_NUMBERS = 1 << 20  # values of what says how to move


def find_tokens(
    graph: Graph,
    flat: FlatGraph,
    before_own_padding: Callable[[Tensor, Operation], Tensor],
    order: Sequence[Operation],
) -> Tokens:
    """How the tokens of each tensor lie; nothing of a network without rows of them or attention.

    Args:
        graph: that of ``flat``.
        before_own_padding: what a convolution or pooling reads, without a pad that is its own.
        order: the operations between the images and the scores, each after those that it reads.
    """
    if not any(_points_to_tokens(operation) for operation in order):
        return NO_TOKENS
    seen = _run(graph, flat, order)
    found: dict[str, TokenTensor] = {}
    places = _follow(graph, flat, order, seen, before_own_padding)
    layouts: dict[int, TokenLayout | None] = {}
    for operation in order:
        for tensor in operation.outputs:
            known = places.get(tensor.name)
            if known is None or not _may_be_tokens(tensor):
                continue
            if id(known[0]) not in layouts:
                layouts[id(known[0])] = layout_of(known[0])
            layout = layouts[id(known[0])]
            if layout is not None and tensor.shape[layout.batch_axis] is None:
                found[tensor.name] = TokenTensor(layout, known[1])
    return Tokens(found, seen.shapes)


def _points_to_tokens(operation: Operation) -> bool:
    rows = any(tensor.dtype.is_floating and tensor.shape.rank == 3 for tensor in operation.outputs)
    return rows or operation.type in operations.MATRIX_PRODUCTS


def _may_be_tokens(tensor: Tensor) -> bool:
    return bool(tensor.dtype.is_floating and tensor.shape.rank in (3, 4, 5))


def _follow(
    graph: Graph,
    flat: FlatGraph,
    order: Sequence[Operation],
    seen: Seen,
    before_own_padding: Callable[[Tensor, Operation], Tensor],
) -> Mapping[str, tuple[Places, bool]]:
    images = graph.get_tensor_by_name(flat.input)
    channels_first = images.shape[1] == 3 and images.shape[3] != 3
    axis = 1 if channels_first else 3
    height, width = (images.shape[i] for i in (1, 2, 3) if i != axis)
    whole = (0.0, 1.0), (0.0, 1.0)
    places: dict[str, tuple[Places, bool]] = {
        images.name: (lattice(height, width, *whole, channels=3, channel_axis=axis), True)
    }
    for operation in order:
        if operation is images.op:
            continue
        known = [places.get(tensor.name) for tensor in operation.inputs]
        if known and operation.type in operations.CONVOLUTIONS | operations.POOLS:
            known[0] = places.get(before_own_padding(operation.inputs[0], operation).name)
        rule = rule_of(operation)
        if rule is None or not all(tensor.name in seen.shapes for tensor in operation.outputs[:1]):
            continue
        inputs = [None if each is None else each[0] for each in known]
        from_pixels = all(each[1] for each in known if each is not None)
        if not any(each is not None for each in inputs):
            if rule is not on_grid or operation.inputs[0].shape.rank != 4:
                continue
            inputs, from_pixels = [_unknown_origin(operation, seen), *inputs[1:]], False
        for tensor, result in zip(operation.outputs, rule(operation, inputs, seen), strict=False):
            if result is not None:
                places[tensor.name] = result, from_pixels
    return places


def _unknown_origin(operation: Operation, seen: Seen) -> Places | None:
    """A grid whose own origin could not be followed, as behind a loop that crops: taken for the whole."""
    shape = seen.shapes.get(operation.inputs[0].name, ())
    if len(shape) != 4 or shape[0] != IMAGES:
        return None
    formatted = operation.type not in ("MaxPoolV2",) and "data_format" in operation.node_def.attr
    axis = 1 if formatted and operation.get_attr("data_format") == b"NCHW" else 3
    height, width = (shape[i] for i in (1, 2, 3) if i != axis)
    return lattice(height, width, (0.0, 1.0), (0.0, 1.0), channels=shape[axis], channel_axis=axis)


def _run(graph: Graph, flat: FlatGraph, order: Sequence[Operation]) -> Seen:
    """One run over blank images: shapes of everything, values of what says how to move."""
    inputs = {tensor.name: tensor for operation in order for tensor in operation.inputs}
    every = inputs | {tensor.name: tensor for operation in order for tensor in operation.outputs}
    shaped = [name for name, tensor in every.items() if tensor.dtype.is_floating]
    numbers = [name for name, tensor in inputs.items() if tensor.dtype.is_integer]
    images = graph.get_tensor_by_name(flat.input)
    blank = np.zeros((IMAGES, *images.shape[1:]), images.dtype.as_numpy_dtype)
    feeds = {**flat.weights, node_name(flat.input): blank, **made_up_inputs(flat, IMAGES)}

    @tf.function(autograph=False)
    def run(values: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        fetched = splice(flat.graph_def, values, [*shaped, *numbers])
        return [tf.shape(tensor) for tensor in fetched[: len(shaped)]], fetched[len(shaped) :]

    tensors = {name: tf.constant(array) for name, array in feeds.items()}
    with refusing_failures():
        shapes, values = run.get_concrete_function(tensors)(tensors)
    return Seen(
        {name: tuple(shape.numpy().tolist()) for name, shape in zip(shaped, shapes, strict=True)},
        {
            name: value.numpy()
            for name, value in zip(numbers, values, strict=True)
            if value.shape.num_elements() <= _LARGEST_NUMBERS
        },
    )
