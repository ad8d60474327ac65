"""What the grid of the target layer covers of the model input. Imports TensorFlow.

A model may crop or pad its input by itself, and then its maps lie over less or more than the input. Convolutions' own
offsets are left alone: a stride or a VALID border moves what a cell sees by half a cell at the most in networks that
point best, once trained, where no such shift is taken into account.
"""

from collections.abc import Iterator

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.graph import Operation, operations, producers, reachable
from transforms.model.plan.front import CannotFollow, ImageInput, follow_input, window_of, without_own_padding
from transforms.model.plan.marks import centre_of_response, marked_images
from transforms.model.plan.network import FeatureMap, Network, channel_axis
from transforms.model.tensorflow import tf
from transforms.placement import WHOLE, within
from transforms.records import Box

_LINES = (1 / 6, 1 / 2, 5 / 6)
_COLOURS = (0, (255, 255, 255)), (0, (0, 0, 0)), (1, (255, 0, 0)), (1, (0, 0, 255))  # seed of the noise, mark
# Random weights alone move the answers by up to 0.95 cells (EfficientNetB0), chains of VALID convolutions by several
# small cells, which are then less than a tenth of the input; trained ones by less.
_CELLS = 1.25
_SHARE = 0.1
_UNANSWERED = 3  # of nine marks, where units are dead


def find_seen(
    network: Network, target: FeatureMap, images: ImageInput, stated: Box | None
) -> tuple[Box, tuple[str, ...]]:
    """What ``target`` covers, in 0..1 of the model input, and what a user should know about it.

    Args:
        stated: what the user says.

    Raises:
        ModelRefused: it cannot be followed, and marks in the image are answered at other places than they lie.
    """
    box, doubt = WHOLE, ""
    if target.tokens is not None:
        return _seen_by_tokens(network, target, images, stated)
    try:
        box = follow_input(network, target, images)
        doubt = next(_moves(network, target), "")
    except CannotFollow as error:
        doubt = str(error)
    if stated is not None:
        cells = np.abs(np.subtract(box, stated)) * ([target.width, target.height] * 2)
        differs = not doubt and cells.max() > 0.5
        return stated, ((f"model.geometry is {_text(stated)}, where the graph says {_text(box)}",) if differs else ())
    if doubt:
        off = _refuse_misplaced(target, images, box, doubt)
        found = "" if off is None else f"; marks in made-up images are answered within {off:.1f} cells of their places"
        return box, (doubt + found,)
    return box, _cropped_or_padded(box)


def _cropped_or_padded(box: Box) -> tuple[str, ...]:
    if box == WHOLE:
        return ()
    does = "pads" if min(box[:2]) < 0 or max(box[2:]) > 1 else "crops"
    return (f"the model {does} its input by itself: maps lie over {_text(box)} of it (x0, y0, x1, y1 in 0..1)",)


def _seen_by_tokens(
    network: Network, target: FeatureMap, images: ImageInput, stated: Box | None
) -> tuple[Box, tuple[str, ...]]:
    """The places of tokens are known one by one, from the pixels on or from the first grid that could be followed."""
    assert target.tokens is not None
    box = target.tokens.layout.covers
    doubt = ""
    if not target.tokens.from_pixels:
        try:
            left, top, right, bottom = follow_input(network, target, images)
            width, height = right - left, bottom - top
            box = (left + box[0] * width, top + box[1] * height, left + box[2] * width, top + box[3] * height)
        except CannotFollow as error:
            doubt = str(error)
    if stated is not None:
        differs = not doubt and (np.abs(np.subtract(box, stated)) * ([target.width, target.height] * 2)).max() > 0.5
        return stated, ((f"model.geometry is {_text(stated)}, where the graph says {_text(box)}",) if differs else ())
    if doubt:
        raise ModelRefused(
            f"Where the tokens of {target.name} lie cannot be said: {doubt}. Set model.geometry to the part of the "
            "model input, [x0, y0, x1, y1] in 0..1, that they cover; [0, 0, 1, 1] if it is all of it."
        )
    return box, _cropped_or_padded(box)


def _moves(network: Network, target: FeatureMap) -> Iterator[str]:
    """The operations behind the first layers with weights that take off or add more than half a cell at a border."""
    needed = reachable(network.graph.get_tensor_by_name(target.tensor).op, producers)
    weighted = False
    for operation in network.order:
        weighted |= operation.type in operations.WEIGHTED
        if not weighted or operation not in needed or operation.type not in operations.MOVES:
            continue
        before, after = operation.inputs[0], operation.outputs[0]
        if not before.shape.rank == after.shape.rank == 4 or not network.lies_over_the_image(before):
            continue
        rows, columns = (axis for axis in (1, 2, 3) if axis != channel_axis(before))
        for axis, cells in ((rows, target.height), (columns, target.width)):
            if None in (before.shape[axis], after.shape[axis]):
                continue
            changed = abs(_taken(operation, axis)) * cells / before.shape[axis]
            if changed > 0.5 + 1e-6 and not _is_own_padding(network, operation):
                yield (
                    f"{operation.name} ({operation.type}) makes a map of {before.shape[rows]} x "
                    f"{before.shape[columns]} cells one of {after.shape[rows]} x {after.shape[columns]}"
                )


def _taken(operation: Operation, axis: int) -> int:
    """Cells that a slice takes off on an axis, less than none where a pad adds them."""
    before, after, stride = operation.inputs[0].shape[axis], operation.outputs[0].shape[axis], 1
    if operation.type == "StridedSlice":
        strides = tf.get_static_value(operation.inputs[3])
        stride = 1 if strides is None or axis >= len(strides) else abs(int(strides[axis]))
    return before - after * stride if stride == 1 else max(0, before - after * stride)


def _is_own_padding(network: Network, operation: Operation) -> bool:
    if operation.type not in operations.PADS:
        return False
    output = operation.outputs[0]
    readers = [reader for reader in output.consumers() if reader in network.position]
    return all(
        window_of(reader) is not None and without_own_padding(output, reader) is not output for reader in readers
    )


def _refuse_misplaced(target: FeatureMap, images: ImageInput, box: Box, doubt: str) -> float | None:
    """How many cells the answers to marks are off at the most; None where there is not one map of each image.

    Raises:
        ModelRefused: that is too much, or marks are not answered.
    """
    remedy = (
        "Set model.geometry to the part of the model input, [x0, y0, x1, y1] in 0..1, that the layer covers; "
        "[0, 0, 1, 1] if it is all of it. Or set model.target_layer to a layer whose place is known."
    )
    places = [(x, y) for y in _LINES for x in _LINES]
    # Not smaller than a cell, of which a strided kernel may look at one pixel alone.
    share = max(1 / 12, 1 / target.height), max(1 / 12, 1 / target.width)
    total = np.zeros((len(places), target.height, target.width))
    for seed, colour in _COLOURS:
        pictures, centres = marked_images(images.height, images.width, places, colour, share, seed)
        values = images.run(pictures, target.tensor).astype(np.float64)
        if len(values) != len(pictures):
            return None
        channels = 1 if target.channel_axis == 1 else 3
        change = np.nan_to_num(np.abs(values[1:] - values[0]).sum(axis=channels))
        largest = change.max(axis=(1, 2), keepdims=True)
        total += np.where(largest > 1e-3 * largest.max(), change / np.where(largest > 0, largest, 1.0), 0.0)
    answered = total.max(axis=(1, 2)) > 0
    if (~answered).sum() > _UNANSWERED:
        unseen = ", ".join(f"({x:.2f}, {y:.2f})" for (x, y), seen in zip(centres, answered, strict=True) if not seen)
        raise ModelRefused(
            f"Where the maps of {target.name} lie cannot be said: {doubt}, and marks at {unseen} (x, y in 0..1 of the "
            f"model input) change nothing in it. {remedy}"
        )
    found = np.array([centre_of_response(each).centre for each in total[answered]])
    expected = within(np.tile(centres[answered], 2), box)[:, :2]
    worst = 0.0
    for axis, cells in ((0, target.width), (1, target.height)):
        step, start = np.polyfit(expected[:, axis], found[:, axis], 1)
        for place in sorted(set(expected[:, axis].round(6).tolist())):
            off = abs(start + step * place - place)
            if off * cells > _CELLS and off > _SHARE:
                raise ModelRefused(
                    f"The maps of {target.name} do not lie where they should: {doubt}, and a mark at {'xy'[axis]} = "
                    f"{place:.2f} of what the layer should cover is answered at {start + step * place:.2f}, "
                    f"{off * cells:.1f} cells off. {remedy}"
                )
            worst = max(worst, off * cells)
    return worst


def _text(box: Box) -> str:
    return str([round(edge, 3) for edge in box])
