"""What keeps a graph from being explained, found before any job starts. Imports TensorFlow."""

import contextlib
from collections.abc import Iterator, Sequence

from transforms.model.errors import ModelRefused
from transforms.model.graph import (
    FlatGraph,
    Graph,
    GraphDef,
    Operation,
    Tensor,
    node_name,
    open_inputs,
    operations,
    same_value,
)
from transforms.model.plan.network import FeatureMap
from transforms.model.plan.scores import ScoreTensor
from transforms.model.tensorflow import tf

_RESOURCE = tf.resource.as_datatype_enum
_RANDOM = ("Random", "TruncatedNormal", "Multinomial", "StatefulUniform", "StatefulStandardNormal", "RngReadAndSkip")


@contextlib.contextmanager
def refusing_failures() -> Iterator[None]:
    """Around a run on made-up images.

    Raises:
        ModelRefused: in place of an error of TensorFlow.
    """
    try:
        yield
    except tf.errors.UnimplementedError as error:  # NCHW convolutions on a processor without oneDNN, for one
        raise ModelRefused(
            f"TensorFlow cannot run the model on this machine: {error.message} Compile it on a "
            "machine with the device that the workers have."
        ) from error
    except (tf.errors.OpError, ValueError) as error:  # the latter where the shapes alone show that it must fail
        raise ModelRefused(
            f"The model fails on made-up images: {str(error).rstrip('. ')}. If it was trained with images of another "
            "size, set model.input_size."
        ) from error


def refuse_other_than_images(flat: FlatGraph) -> None:
    """Refuse a graph that needs more than the images and its weights.

    Raises:
        ModelRefused: it calls Python code, reads weights inside control flow, or has further inputs.
    """
    python = [f"{node.name} ({node.op})" for node in flat.graph_def.node if node.op in operations.PYTHON]
    if python:
        raise ModelRefused(
            f"The scores need Python code, which no model file holds and no worker has: {_first(python)}. Replace "
            "tf.py_function and tf.numpy_function by TensorFlow operations."
        )
    missing = open_inputs(flat)
    if any(node.attr["dtype"].type == _RESOURCE for node in flat.graph_def.node if node.name in missing):
        raise ModelRefused(
            "Weights or tables are read inside control flow or by an unusual operation: "
            f"{_first(_readers(flat.graph_def, missing))}. Build the model without "
            "tf.cond, loops and tables between the image and the scores; recurrent layers with unroll=True."
        )
    if missing:
        raise ModelRefused(
            f"The scores need other inputs than the image: {_first(missing)}. Export the model with these fixed."
        )


def _readers(graph_def: GraphDef, names: Sequence[str]) -> list[str]:
    """The operations that read some nodes, themselves or through identities."""
    readers = [node for node in graph_def.node if {node_name(i) for i in node.input} & set(names)]
    identities = [node.name for node in readers if node.op == "Identity"]
    found = [f"{node.name} ({node.op})" for node in readers if node.op != "Identity"]
    return [*found, *(_readers(graph_def, identities) if identities else ())]


def refuse_native_serialization(graph_def: GraphDef) -> None:
    """Refuse a network that is one operation, compiled for XLA, of which no layer can be seen.

    Raises:
        ModelRefused: it is an ``XlaCallModule``, and no layer with weights lies outside of it.
    """
    compiled = [node.name for node in graph_def.node if node.op == "XlaCallModule"]
    if compiled and not any(node.op in operations.WEIGHTED for node in graph_def.node):
        raise ModelRefused(
            f"The whole network is in {_first(compiled)}, an XlaCallModule: it was exported from JAX with native "
            "serialization (Keras' model.export() with the JAX backend, or jax2tf), which leaves one compiled "
            "operation without layers and gradients. Give the .keras file of the same model, or export it anew with "
            "native_serialization=False: jax2tf.convert(function, native_serialization=False), or model.export() with "
            "the TensorFlow backend."
        )


def refuse_training_mode(graph_def: GraphDef) -> None:
    """Refuse a graph whose scores differ between runs, or depend on the other images of the batch.

    Raises:
        ModelRefused: it has random operations, or batch norms that use the statistics of the batch.
    """
    library = [node for function in graph_def.library.function for node in function.node_def]
    nodes = [*graph_def.node, *library]
    norms = [node.name for node in nodes if node.op in operations.BATCH_NORMS and node.attr["is_training"].b]
    if norms:
        raise ModelRefused(
            f"Batch normalisation is in training mode ({_first(norms)}): an image's scores would depend on the others "
            "in its batch. Export the model in inference mode (training=False)."
        )
    random = [f"{node.name} ({node.op})" for node in nodes if any(word in node.op for word in _RANDOM)]
    if random:
        raise ModelRefused(
            f"The scores depend on random numbers ({_first(random)}), as of dropout or augmentation in training mode. "
            "Export the model in inference mode (training=False)."
        )


def refuse_broken_gradient(
    graph_def: GraphDef, head: Sequence[Operation], target: FeatureMap, scores: ScoreTensor
) -> None:
    """Refuse a graph in which the scores cannot be differentiated with respect to the target layer.

    Raises:
        ModelRefused: there is control flow, or an operation without a gradient, between the two.
    """
    remedy = "Set model.target_layer to a layer behind it, or rebuild the model's head without it."
    control_flow = [
        f"{operation.name} ({operation.type})" for operation in head if operation.type in operations.CONTROL_FLOW
    ]
    if control_flow:
        raise ModelRefused(f"Control flow lies between {target.name} and the scores: {_first(control_flow)}. {remedy}")
    with tf.Graph().as_default():
        features, logits = tf.graph_util.import_graph_def(graph_def, {}, [target.tensor, scores.tensor], name="")
        try:
            gradient = tf.gradients(logits, features)[0]
        except LookupError as error:
            raise ModelRefused(
                f"An operation between {target.name} and the scores has no gradient: {error} {remedy}"
            ) from error
        if gradient is None:
            kinds = sorted({operation.type for operation in head})
            raise ModelRefused(
                f"No gradient reaches {target.name} from the scores: an operation between them is not differentiable "
                f"(there are: {', '.join(kinds)}). {remedy}"
            )


def refuse_straight_through(head: Sequence[Operation], target: FeatureMap, custom_gradients: int) -> None:
    """Refuse a quantised head, whose gradient by its own operations is not that of the training.

    Rounding has no gradient, so that training replaces it by a custom one (Bengio et al., arXiv 1308.3432), which
    a graph does not carry.

    Raises:
        ModelRefused: values are rounded between the target layer and the scores, and a custom gradient was taken off.
    """
    rounding = [
        f"{operation.name} ({operation.type})"
        for operation in head
        if operation.type in operations.ROUNDS or (operation.type == "Cast" and _is_coarse(operation.outputs[0].dtype))
    ]
    if rounding and custom_gradients:
        raise ModelRefused(
            f"Activations are rounded between {target.name} and the scores, as in a quantised model, and the gradient "
            f"that passes through it is not in the graph: {_first(rounding)}. Explain the model that was quantised, or "
            "quantise its weights alone."
        )


def _is_coarse(dtype: tf.DType) -> bool:
    """Whole numbers, or floating point of 8 bits and less."""
    return dtype.is_integer or dtype.name.startswith(("float8", "float4"))


def _first(names: Sequence[str], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


_RESHAPES = operations.RESHAPES | {"Cast", "ConcatV2", "Pack"}
_POOLING = operations.POOLS | operations.REDUCES
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
