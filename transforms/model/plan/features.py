"""A model without a head: features in place of class scores. Imports TensorFlow."""

from transforms.model.errors import ModelRefused
from transforms.model.graph.graph_def import Graph, Tensor, same_value
from transforms.model.plan.scores import ScoreTensor

_RESHAPES = frozenset({"Squeeze", "Reshape", "Cast", "ConcatV2", "Pack"})
_POOLING = frozenset({"Mean", "Max", "AvgPool", "MaxPool", "MaxPoolV2"})
_LINEAR = frozenset({"Conv2D", "BiasAdd", "MatMul"})


def refuse_features(graph: Graph, scores: ScoreTensor) -> None:
    """Refuse pooled activations: no linear layer comes after them, or right before the pooling, to make scores of them.

    Raises:
        ModelRefused: with what does work, a head on top.
    """
    tensor = _without_reshapes(graph.get_tensor_by_name(scores.tensor))
    pooled = tensor.shape.rank == 4
    if tensor.op.type in _POOLING:
        pooled, tensor = True, _without_reshapes(tensor.op.inputs[0])
    if not pooled or tensor.op.type in _LINEAR or _adds_a_bias(tensor):
        return
    raise ModelRefused(
        f"The output {scores.output} is a feature vector of {scores.units} numbers ({tensor.op.type}, pooled), not one "
        "score per class, and Grad-CAM needs the score of a class. Train a head on top and explain the whole: "
        "Sequential([base, GlobalAveragePooling2D(), Dense(CLASSES)]); with a module of TF Hub, "
        "tf_keras.Sequential([hub.KerasLayer(HANDLE), tf_keras.layers.Dense(CLASSES)]) saved as .keras, .h5 or "
        f"SavedModel. If these are class scores after all, set model.output: {scores.output}."
    )


def _without_reshapes(tensor: Tensor) -> Tensor:
    tensor = same_value(tensor)
    while tensor.op.type in _RESHAPES:
        tensor = same_value(tensor.op.inputs[0])
    return tensor


def _adds_a_bias(tensor: Tensor) -> bool:
    """A weight, or a constant, is added: not two branches of a network."""
    terms = [_without_reshapes(term) for term in tensor.op.inputs] if tensor.op.type in ("Add", "AddV2") else []
    return any(term.op.type in ("Placeholder", "Const") for term in terms)
