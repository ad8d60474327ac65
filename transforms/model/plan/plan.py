"""A loaded model and the user's options -> everything that must be known to explain it. Imports TensorFlow."""

import dataclasses

import numpy as np

from transforms.model.choose_sampling import choose_sampling
from transforms.model.errors import ModelRefused
from transforms.model.graph import (
    CUSTOM_GRADIENT,
    FlatGraph,
    Graph,
    ancestors,
    evaluate,
    flatten_function,
    import_graph,
    node_name,
    same_value,
)
from transforms.model.load import TracedModel
from transforms.model.options import ModelOptions
from transforms.model.plan.activation import ends_squashed
from transforms.model.plan.checks import (
    refuse_broken_gradient,
    refuse_features,
    refuse_native_serialization,
    refuse_other_than_images,
    refuse_straight_through,
    refuse_training_mode,
    refusing_failures,
)
from transforms.model.plan.front import ImageInput
from transforms.model.plan.geometry import find_seen
from transforms.model.plan.network import FeatureMap, Network
from transforms.model.plan.scores import ScoreTensor, find_scores
from transforms.model.plan.shapes import learn_shapes
from transforms.model.plan.target_layer import choose_layer
from transforms.model.preprocessing import Preprocessing
from transforms.records import Box
from transforms.sampling import Sampling

_MUCH_BEHIND = 1 / 3  # of the network's multiply-adds


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What is explained, on which layer and how."""

    flat: FlatGraph  # from the images to the target layer and the logits; nothing folded yet
    scores: ScoreTensor
    target: FeatureMap
    reason: str  # why this layer
    global_mean: str | None  # the tensor of its means over all cells, where the scores depend on nothing else of it
    candidates: tuple[FeatureMap, ...]
    outputs: dict[str, tuple[int | None, ...] | None]  # name -> shape, where it is known
    preprocessing: Preprocessing
    sampling: Sampling
    input_height: int  # pixels
    input_width: int
    channels_first: bool
    input_dtype: str
    options: ModelOptions
    seen: Box  # what the grid of the target layer covers, in 0..1 of the input; beyond it where the model pads it
    contrast: int | None  # class index
    class_names: tuple[str, ...] | None
    custom_gradients: int  # taken off between the target layer and the scores
    notes: tuple[str, ...]

    @property
    def pixel_type(self) -> str:
        """Of the images that are explained: uint8 or uint16."""
        return f"uint{self.preprocessing.bits}"

    @property
    def keep(self) -> tuple[str, ...]:
        """The tensors that folding must leave alone."""
        return self.target.tensor, self.scores.tensor, *([self.global_mean] if self.global_mean else [])


def make_plan(traced: TracedModel, options: ModelOptions) -> Plan:
    """Find the scores and the target layer of a model, and refuse it where it cannot be explained.

    Raises:
        ModelRefused: with the value, the cause and the remedy.
    """
    flat = flatten_function(traced.function)
    channels_first, height, width = _image_layout(traced)
    refuse_native_serialization(flat.graph_def)
    graph = import_graph(flat.graph_def)
    learn_shapes(graph, flat)

    scores = find_scores(graph, flat, traced.outputs, options.output)
    part = ancestors(flat.graph_def, [flat.input, scores.tensor])
    kept = {node.name for node in part.node}
    needed = FlatGraph(part, {n: w for n, w in flat.weights.items() if n in kept}, flat.input, flat.outputs)
    refuse_other_than_images(needed)
    refuse_training_mode(part)
    if scores.activation == "none":
        sum_to_one, are_probabilities = _probabilities(graph, needed, scores)
        scores = dataclasses.replace(scores, are_probabilities=are_probabilities)
        if options.output is None and scores.units > 1 and not sum_to_one:
            refuse_features(graph, scores)
    network = Network(graph, flat.input, scores.tensor, traced.layer_tensors)
    target, reason = choose_layer(network, options.target_layer, needed)
    head = network.head_of(target)
    marked = {node.name for node in part.node if CUSTOM_GRADIENT in node.attr}
    custom_gradients = sum(o.name in marked and same_value(o.outputs[0]).name != target.tensor for o in head)
    refuse_straight_through(head, target, custom_gradients)
    refuse_broken_gradient(part, head, target, scores)

    preprocessing = _preprocessing(traced, options)
    sampling, sampling_notes = choose_sampling(options, traced.resizing)
    dtype = traced.function.inputs[0].dtype
    images = ImageInput(needed, preprocessing, height, width, channels_first, dtype.as_numpy_dtype)
    seen, seen_notes = find_seen(network, target, images, options.geometry)
    if traced.class_names is not None and len(traced.class_names) != scores.class_count:
        raise ModelRefused(
            f"There are {len(traced.class_names)} class names for {scores.class_count} classes. Set model.class_names "
            "to one name for each class, or leave it out."
        )
    return Plan(
        flat=needed,
        scores=scores,
        target=target,
        reason=reason,
        global_mean=network.global_mean_of(target),
        candidates=network.candidates,
        outputs={
            name: tuple(shape) if (shape := graph.get_tensor_by_name(tensor).shape).rank is not None else None
            for name, tensor in zip(traced.outputs, flat.outputs, strict=True)
        },
        preprocessing=preprocessing,
        sampling=sampling,
        input_height=height,
        input_width=width,
        channels_first=channels_first,
        input_dtype=dtype.name,
        seen=seen,
        options=options,
        contrast=_contrast(options.contrast, scores.class_count, traced.class_names),
        class_names=traced.class_names,
        custom_gradients=custom_gradients,
        notes=(
            *traced.notes,
            *sampling_notes,
            *_notes(scores, custom_gradients),
            *_early(target, options),
            *seen_notes,
        ),
    )


def _image_layout(traced: TracedModel) -> tuple[bool, int, int]:
    shape = traced.function.inputs[0].shape.as_list()
    channels_first = shape[1] == 3 and shape[3] != 3
    height, width = shape[2:] if channels_first else shape[1:3]
    if height is None or width is None:
        raise ModelRefused(
            f"The model takes images of any size ({shape}). Set model.input_size to the [height, width] that it was "
            "trained with."
        )
    return channels_first, height, width


def _probabilities(graph: Graph, flat: FlatGraph, scores: ScoreTensor) -> tuple[bool, bool]:
    """Whether the values sum to one, and whether they are probabilities of an activation that could not be found."""
    images, output = (graph.get_tensor_by_name(name) for name in (flat.input, scores.tensor))
    noise = np.random.default_rng(0).uniform(0, 255, (4, *images.shape[1:])).astype(images.dtype.as_numpy_dtype)
    with refusing_failures():
        found = evaluate(flat.graph_def, {**flat.weights, node_name(flat.input): noise}, [scores.tensor])
    values = found[scores.tensor].reshape(len(noise), -1)
    in_range = bool(np.all((values >= 0) & (values <= 1 + 1e-3)))
    sum_to_one = in_range and scores.units > 1 and bool(np.allclose(values.sum(1), 1, atol=1e-3))
    return sum_to_one, sum_to_one or (in_range and ends_squashed(output))


def _preprocessing(traced: TracedModel, options: ModelOptions) -> Preprocessing:
    preprocessing = traced.preprocessing
    if preprocessing is None:
        raise ModelRefused(
            "Nothing is known about what the model expects of pixels. Set model.preprocessing: none, unit, "
            "minus_one_to_one, caffe, torch or {scale, offset, bgr}."
        )
    dtype = traced.function.inputs[0].dtype
    if dtype.name == "uint16" and options.preprocessing == "auto":  # its input says so
        preprocessing = dataclasses.replace(preprocessing, bits=16)
    if dtype.name == "uint8" and preprocessing.bits == 16:
        raise ModelRefused(
            "The model takes pixels of 8 bits, which those of 16 do not fit: leave model.preprocessing.bits out."
        )
    if not dtype.is_floating and (set(preprocessing.scale), set(preprocessing.offset)) != ({1.0}, {0.0}):
        raise ModelRefused(
            f"The model takes {dtype.name} pixels, which preprocessing {preprocessing.name} would round away. Set "
            "model.preprocessing to none."
        )
    return preprocessing


def _contrast(contrast: int | str | None, class_count: int, class_names: tuple[str, ...] | None) -> int | None:
    if contrast is None:
        return None
    if isinstance(contrast, str) and class_names is not None and class_names.count(contrast) == 1:
        return class_names.index(contrast)
    try:
        index = int(contrast)
    except ValueError:
        raise ModelRefused(
            f"explain.contrast: there is no class {contrast!r}, or several share the name. Give its index."
        ) from None
    if not 0 <= index < class_count:
        raise ModelRefused(f"explain.contrast: there is no class {index}; the model has 0 to {class_count - 1}.")
    return index


def _early(target: FeatureMap, options: ModelOptions) -> list[str]:
    """Said of a layer that nobody has asked for."""
    if options.target_layer != "auto" or target.share_behind <= _MUCH_BEHIND:
        return []
    return [
        f"{target.share_behind:.0%} of the network's work comes after the target layer, {target.name}: it is the last "
        "feature map that every path to the scores goes through, and may be too early to show what decides. "
        "model.target_layer takes a layer inside a branch too"
    ]


def _notes(scores: ScoreTensor, custom_gradients: int) -> list[str]:
    notes = []
    if scores.are_probabilities:
        notes.append(
            "the scores are probabilities whose logits were not found: what is differentiated is a probability, "
            "whose gradient vanishes where the model is sure. Set model.output to the logits if the model gives them"
        )
    elif scores.activation == "none":
        notes.append(
            "no softmax or sigmoid was found behind the scores: the output is taken as logits, and probabilities are "
            + ("its sigmoid" if scores.units == 1 else "its softmax")
        )
    if scores.units == 1:
        notes.append("one unit decides between two classes: class 1 is the unit, class 0 its negative")
    if custom_gradients:
        notes.append(
            f"{custom_gradients} custom gradients between the target layer and the scores were replaced by the "
            "gradients of the operations themselves"
        )
    return notes
