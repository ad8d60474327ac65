"""Where in a flat graph the class scores are: the logits behind the output activation. Imports TensorFlow."""

import dataclasses
import math
from collections.abc import Sequence

from transforms.model.errors import ModelRefused
from transforms.model.graph import FlatGraph, Graph, Tensor, operations, same_value
from transforms.model.options import OutputKind
from transforms.model.plan.activation import Activation, find_activation
from transforms.model.plan.output_kind import Evidence

_ACTIVATIONS: dict[str, Activation] = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
# What may follow the activation without changing which class a value belongs to, or which is the largest.
_AFTER_ACTIVATION = operations.RESHAPES | {"Log", "Cast", "ClipByValue", "Minimum", "Maximum"}
_ONLY_THE_BEST = frozenset({"TopK", "TopKV2"})


@dataclasses.dataclass(frozen=True)
class ScoreTensor:
    """The class scores of one output of the model."""

    output: str  # the output's name
    tensor: str  # in the graph: the logits, or the output itself where no activation was found
    activation: Activation  # what was peeled off
    units: int  # values per image
    values: str = ""  # in the graph: the output itself, whatever was peeled off
    are_probabilities: bool = False  # no activation was found, yet the values are probabilities already
    kind: OutputKind = "classes"

    @property
    def class_count(self) -> int:
        """A single unit decides between two classes, unless it is a value."""
        return 2 if self.units == 1 and self.kind != "value" else self.units


def find_scores(graph: Graph, flat: FlatGraph, names: Sequence[str], wanted: str | None) -> ScoreTensor:
    """The class scores of the output called ``wanted``, or of the only output that can be class scores.

    Args:
        graph: that of ``flat``, imported.
        names: of the outputs of ``flat``.

    Raises:
        ModelRefused: no such output, several that it could be, or none that is one score per class.
    """
    outputs = dict(zip(names, (graph.get_tensor_by_name(tensor) for tensor in flat.outputs), strict=True))
    described = ", ".join(f"{name} {_shape(tensor)}" for name, tensor in outputs.items())
    if wanted is not None:
        if wanted not in outputs:
            raise ModelRefused(f"The model has no output {wanted!r}. Set model.output to one of: {described}.")
        scores = _scores_of(graph, flat, wanted, outputs[wanted], least_rank=1)
        if scores is None:
            raise ModelRefused(
                f"Output {wanted} has shape {_shape(outputs[wanted])}, which is not one score per class and image. "
                f"Set model.output to an output that is; there are: {described}."
            )
        return scores
    found: list[ScoreTensor] = []
    for least_rank in (2, 1):  # [batch] is the score of one unit, unless it stands beside the scores of all classes
        found = found or [
            scores
            for name, tensor in outputs.items()
            if (scores := _scores_of(graph, flat, name, tensor, least_rank)) is not None
        ]
    if not found:
        raise ModelRefused(
            f"No output of the model is one score per class and image: {described}. A model that gives features, "
            "segments or detections needs a classifier head on top: explain the model with that head. One that gives "
            "only its best classes must be exported with the scores of all."
        )
    # An output of logits beside one of their probabilities are the same scores.
    found.sort(key=lambda scores: scores.activation == "none")
    if len({scores.tensor for scores in found}) > 1:
        raise ModelRefused(f"The model has several outputs. Set model.output to one of: {described}.")
    return found[0]


def with_kind(graph: Graph, scores: ScoreTensor, kind: OutputKind, evidence: Evidence) -> ScoreTensor:
    """The scores, known to mean ``kind``; a value is what the model gives, with nothing peeled off."""
    if kind != "value":
        return dataclasses.replace(scores, kind=kind, are_probabilities=evidence.in_unit_range)
    units = math.prod(graph.get_tensor_by_name(scores.values).shape.as_list()[1:])
    return dataclasses.replace(scores, kind=kind, tensor=scores.values, activation="none", units=units)


def _scores_of(graph: Graph, flat: FlatGraph, name: str, output: Tensor, least_rank: int) -> ScoreTensor | None:
    logits, activation = _behind_activation(graph, flat, output)
    if (
        logits.op.type in _ONLY_THE_BEST
        or not logits.dtype.is_floating
        or logits.shape.rank is None
        or logits.shape.rank < least_rank
        or output.shape.rank in range(least_rank)
    ):
        return None
    sizes = logits.shape.as_list()[1:] or [1]
    if None in sizes or math.prod(sizes) != max(sizes):  # [B, 1, 1, C] is as good as [B, C]; a grid of scores is not
        return None
    if max(sizes) == 1 and activation == "softmax":
        return None  # always 1
    return ScoreTensor(name, logits.name, activation, max(sizes), same_value(output).name)


def _behind_activation(graph: Graph, flat: FlatGraph, output: Tensor) -> tuple[Tensor, Activation]:
    """The tensor in front of a softmax or sigmoid; the output itself where there is none."""
    tensor = same_value(output)
    while tensor.op.type in _AFTER_ACTIVATION:
        tensor = same_value(tensor.op.inputs[0])
    if tensor.op.type in _ACTIVATIONS:
        return same_value(tensor.op.inputs[0]), _ACTIVATIONS[tensor.op.type]
    output = same_value(output)
    return find_activation(graph, flat, output) or (output, "none")


def _shape(tensor: Tensor) -> str:
    sizes = tensor.shape.as_list() if tensor.shape.rank is not None else ["unknown"]
    return "[" + ", ".join("batch" if size is None else str(size) for size in sizes) + "]"
