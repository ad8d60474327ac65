"""Where in a flat graph the class scores are: the logits behind the output activation. Imports TensorFlow."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from transforms.model.errors import ModelRefused
from transforms.model.graphs import Graph, Tensor, same_value

Activation = Literal["softmax", "sigmoid", "none"]

_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
# What may follow the activation without changing which class a value belongs to, or which is the largest.
_AFTER_ACTIVATION = frozenset({"Log", "Cast", "Squeeze", "Reshape", "ClipByValue", "Minimum", "Maximum"})


@dataclasses.dataclass(frozen=True)
class ScoreTensor:
    """The class scores of one output of the model."""

    output: str  # the output's name
    tensor: str  # in the graph: the logits, or the output itself where no activation was found
    activation: Activation  # what was peeled off
    units: int  # values per image
    are_probabilities: bool = False  # no activation was found, yet the values are probabilities already

    @property
    def class_count(self) -> int:
        """A single sigmoid unit decides between two classes."""
        return 2 if self.units == 1 else self.units


def find_scores(graph: Graph, names: Sequence[str], tensors: Sequence[str], wanted: str | None) -> ScoreTensor:
    """The class scores of the output called ``wanted``, or of the only output that can be class scores.

    Args:
        names, tensors: the outputs' names, and their tensors' names in the graph.

    Raises:
        ModelRefused: no such output, several that it could be, or none that is one score per class.
    """
    outputs = dict(zip(names, (graph.get_tensor_by_name(tensor) for tensor in tensors), strict=True))
    described = ", ".join(f"{name} {_shape(tensor)}" for name, tensor in outputs.items())
    if wanted is not None:
        if wanted not in outputs:
            raise ModelRefused(f"The model has no output {wanted!r}. Set model.output to one of: {described}.")
        scores = _scores_of(wanted, outputs[wanted])
        if scores is None:
            raise ModelRefused(
                f"Output {wanted} has shape {_shape(outputs[wanted])}, which is not one score per class and image. "
                f"Set model.output to an output that is; there are: {described}."
            )
        return scores
    found = [scores for name, tensor in outputs.items() if (scores := _scores_of(name, tensor)) is not None]
    if not found:
        raise ModelRefused(
            f"No output of the model is one score per class and image: {described}. A model that gives features, "
            "segments or detections needs a classifier head on top: explain the model with that head."
        )
    # An output of logits beside one of their probabilities are the same scores.
    found.sort(key=lambda scores: scores.activation == "none")
    if len({scores.tensor for scores in found}) > 1:
        raise ModelRefused(f"The model has several outputs. Set model.output to one of: {described}.")
    return found[0]


def _scores_of(name: str, output: Tensor) -> ScoreTensor | None:
    logits, activation = _behind_activation(output)
    if not logits.dtype.is_floating or logits.shape.rank is None or logits.shape.rank < 2:
        return None
    sizes = logits.shape.as_list()[1:]
    if None in sizes or math.prod(sizes) != max(sizes):  # [B, 1, 1, C] is as good as [B, C]; a grid of scores is not
        return None
    if max(sizes) == 1 and activation == "softmax":
        return None  # always 1
    return ScoreTensor(name, logits.name, activation, max(sizes))


def _behind_activation(output: Tensor) -> tuple[Tensor, Activation]:
    """The tensor in front of a softmax or sigmoid; the output itself where there is none."""
    tensor = same_value(output)
    while tensor.op.type in _AFTER_ACTIVATION:
        tensor = same_value(tensor.op.inputs[0])
    if tensor.op.type in _ACTIVATIONS:
        return same_value(tensor.op.inputs[0]), _ACTIVATIONS[tensor.op.type]
    logits = _logits_of_spelled_out_softmax(tensor)
    if logits is not None:
        return logits, "softmax"
    return same_value(output), "none"


def _logits_of_spelled_out_softmax(tensor: Tensor) -> Tensor | None:
    """``z`` where the tensor is ``e / sum(e)`` with ``e = exp(z)`` or ``e = exp(z - max(z))``."""
    if tensor.op.type not in ("RealDiv", "Div"):
        return None
    exponential, total = (same_value(factor) for factor in tensor.op.inputs)
    if exponential.op.type != "Exp" or total.op.type != "Sum" or same_value(total.op.inputs[0]) is not exponential:
        return None
    logits = same_value(exponential.op.inputs[0])
    if logits.op.type == "Sub":
        minuend, shift = (same_value(term) for term in logits.op.inputs)
        if shift.op.type == "Max" and same_value(shift.op.inputs[0]) is minuend:
            return minuend
    return logits


def _shape(tensor: Tensor) -> str:
    sizes = tensor.shape.as_list() if tensor.shape.rank is not None else ["unknown"]
    return "[" + ", ".join("batch" if size is None else str(size) for size in sizes) + "]"
