"""A loaded model and the user's options -> everything that must be known to explain it. Imports TensorFlow."""

import dataclasses
import functools

from transforms.model.choose_sampling import choose_sampling
from transforms.model.errors import ModelRefused
from transforms.model.extra_inputs import ExtraInput
from transforms.model.graph import (
    CUSTOM_GRADIENT,
    FlatGraph,
    ancestors,
    flatten_function,
    import_graph,
    same_value,
)
from transforms.model.load import TracedModel
from transforms.model.options import ATTENTION_METHODS, ModelOptions
from transforms.model.plan.attention import AttentionMaps, find_attention
from transforms.model.plan.checks import (
    refuse_broken_gradient,
    refuse_features,
    refuse_native_serialization,
    refuse_other_than_images,
    refuse_straight_through,
    refuse_training_mode,
)
from transforms.model.plan.contrast import Contrast, find_contrast
from transforms.model.plan.evidence import gather_evidence
from transforms.model.plan.front import ImageInput, without_own_padding
from transforms.model.plan.fused import fused_before, same_view
from transforms.model.plan.geometry import find_seen
from transforms.model.plan.layers import finest_grid
from transforms.model.plan.network import FeatureMap, Network
from transforms.model.plan.output_kind import output_kind_of
from transforms.model.plan.pooled import PooledFeatures, find_pooled
from transforms.model.plan.scores import ScoreTensor, find_scores, with_kind
from transforms.model.plan.shapes import learn_shapes
from transforms.model.plan.target_layer import choose_layer
from transforms.model.plan.token_probe import TokenProbe
from transforms.model.plan.tokens import find_tokens, lay_out_in_graph
from transforms.model.preprocessing import Preprocessing
from transforms.model.thresholds import thresholds_of
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
    earlier: tuple[FeatureMap, ...]  # whose maps are fused with the target's, from the image on; mostly none
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
    contrast: Contrast | None
    class_names: tuple[str, ...] | None
    extra: tuple[ExtraInput, ...]  # the other inputs, in the order of ``flat.extra``
    thresholds: tuple[float, ...] | None  # multi_label: from which probability on a class is found
    attention: AttentionMaps | None  # for a method that is made of them
    pooled: PooledFeatures | None  # what stands for an image; None: the means of the target layer
    custom_gradients: int  # taken off between the target layer and the scores
    notes: tuple[str, ...]

    @property
    def pixel_type(self) -> str:
        """Of the images that are explained: uint8 or uint16."""
        return f"uint{self.preprocessing.bits}"

    @property
    def grid(self) -> tuple[int, int]:
        """Of the maps, height and width in cells: the finest of the layers that are fused."""
        return finest_grid([*self.earlier, self.target])

    @property
    def keep(self) -> tuple[str, ...]:
        """The tensors that folding must leave alone."""
        attention = () if self.attention is None else self.attention.tensors
        earlier = [layer.tensor for layer in self.earlier]
        pooled = () if self.pooled is None else (self.pooled.tensor,)
        means = () if self.global_mean is None else (self.global_mean,)
        tensors = (self.target.tensor, self.scores.tensor, *means, *attention, *earlier, *pooled)
        return tuple(dict.fromkeys(tensors))

    @property
    def embedding_size(self) -> int:
        """Values that stand for an image."""
        return self.target.channels if self.pooled is None else self.pooled.size


def make_plan(traced: TracedModel, options: ModelOptions) -> Plan:
    """Find the scores and the target layer of a model, and refuse it where it cannot be explained.

    Raises:
        ModelRefused: with the value, the cause and the remedy.
    """
    if options.method == "auto":
        raise ModelRefused(
            "explain.method: auto is found out by a run, from its images. Say a method here, such as gradcam; "
            "beam-gradcam methods MODEL MANIFEST shows which."
        )
    flat = flatten_function(traced.function, len(traced.extra))
    channels_first, height, width = _image_layout(traced)
    refuse_native_serialization(flat.graph_def)
    graph = import_graph(flat.graph_def)
    learn_shapes(graph, flat)

    scores = find_scores(graph, flat, traced.outputs, options.output)
    needed = _part_for(scores, flat)
    evidence = gather_evidence(graph, flat, needed, scores, traced, options)
    is_asked = options.output is not None or options.output_kind != "auto"
    if scores.activation == "none" and not is_asked and scores.units > 1 and not evidence.sum_to_one:
        refuse_features(graph, scores)
    kind, kind_notes = output_kind_of(evidence, options.output_kind)
    scores = with_kind(graph, scores, kind, evidence)
    if kind == "value":
        needed = _part_for(scores, flat)
    _refuse_pointless_options(scores, options)
    dtype = traced.function.inputs[0].dtype
    preprocessing = _preprocessing(traced, options)
    images = ImageInput(needed, preprocessing, height, width, channels_first, dtype.as_numpy_dtype)
    tokens = functools.partial(find_tokens, graph, needed, without_own_padding)
    network = Network(graph, flat.input, scores.tensor, traced.layer_tensors, tokens)
    target, reason = choose_layer(network, options.target_layer, needed, TokenProbe(network, images, scores.tensor))
    is_of_attention = options.method in ATTENTION_METHODS
    attention = find_attention(network, target, options.method) if is_of_attention else None
    earlier = fused_before(network, target, options)
    first = (*earlier, target)[0]
    head = network.head_of(first)
    marked = {node.name for node in needed.graph_def.node if CUSTOM_GRADIENT in node.attr}
    custom_gradients = sum(o.name in marked and same_value(o.outputs[0]).name != first.tensor for o in head)
    refuse_straight_through(head, first, custom_gradients)
    refuse_broken_gradient(needed.graph_def, head, first, scores)

    sampling, sampling_notes = choose_sampling(options, traced.resizing)
    seen, seen_notes = find_seen(network, target, images, options.geometry)
    for layer in earlier:
        same_view(layer, find_seen(network, layer, images, options.geometry)[0], target, seen)
    if traced.class_names is not None and len(traced.class_names) != scores.class_count:
        raise ModelRefused(
            f"There are {len(traced.class_names)} class names for {scores.class_count} classes. Set model.class_names "
            "to one name for each class, or leave it out."
        )
    global_mean, target_notes = network.global_mean_of(target), _early(target, options)
    pooled = find_pooled(network, scores.tensor)
    if target.tokens is not None:
        needed, grid = lay_out_in_graph(graph, needed, target.tensor, target.tokens.layout)
        target = dataclasses.replace(target, tensor=grid, channel_axis=3, tokens=None)
    return Plan(
        flat=needed,
        scores=scores,
        target=target,
        reason=reason,
        earlier=earlier,
        global_mean=global_mean,
        pooled=pooled,
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
        contrast=find_contrast(options.contrast, scores.kind, scores.class_count, traced.class_names),
        class_names=traced.class_names,
        attention=attention,
        custom_gradients=custom_gradients,
        extra=traced.extra,
        thresholds=thresholds_of(options.threshold, scores.class_count) if kind == "multi_label" else None,
        notes=(
            *traced.notes,
            *sampling_notes,
            *kind_notes,
            *_notes(scores, custom_gradients),
            *target_notes,
            *_baseline(options),
            *_fused(earlier, target, options),
            *seen_notes,
        ),
    )


def _part_for(scores: ScoreTensor, flat: FlatGraph) -> FlatGraph:
    """What the scores are computed from; refused where that is more than images and weights, or random."""
    part = ancestors(flat.graph_def, [*flat.inputs, scores.tensor])
    kept = {node.name for node in part.node}
    needed = dataclasses.replace(flat, graph_def=part, weights={n: w for n, w in flat.weights.items() if n in kept})
    refuse_other_than_images(needed)
    refuse_training_mode(part)
    return needed


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


def _refuse_pointless_options(scores: ScoreTensor, options: ModelOptions) -> None:
    if scores.kind == "value" and options.score == "probability":
        raise ModelRefused("model.score is probability, but the output is a value: say logit, the value itself.")
    if scores.kind != "multi_label" and options.threshold is not None:
        raise ModelRefused(
            "model.threshold is for models of several labels (model.output_kind: multi_label); this one is "
            f"{scores.kind}. Leave it out."
        )


def _early(target: FeatureMap, options: ModelOptions) -> list[str]:
    """Said of a layer that nobody has asked for."""
    # Of tokens the last that the scores read are taken: nothing is passed over.
    if options.target_layer != "auto" or target.tokens is not None or target.share_behind <= _MUCH_BEHIND:
        return []
    return [
        f"{target.share_behind:.0%} of the network's work comes after the target layer, {target.name}: it is the last "
        "feature map that every path to the scores goes through, and may be too early to show what decides. "
        "model.target_layer takes a layer inside a branch too"
    ]


def _baseline(options: ModelOptions) -> list[str]:
    if options.method != "attention_rollout":
        return []
    return ["attention_rollout gives the same map for every class: a baseline to compare with, no explanation of one"]


def _fused(earlier: tuple[FeatureMap, ...], target: FeatureMap, options: ModelOptions) -> list[str]:
    if not earlier:
        return []
    names = [f"{layer.name} ({layer.height} x {layer.width})" for layer in (*earlier, target)]
    height, width = finest_grid([*earlier, target])
    return [f"maps are the {options.fusion} of those of {', '.join(names)}, on {height} x {width} cells"]


def _notes(scores: ScoreTensor, custom_gradients: int) -> list[str]:
    if scores.kind == "value":
        return ["what is explained is the value itself: a positive cell raises it", *_stripped(custom_gradients)]
    notes = []
    if scores.are_probabilities:
        notes.append(
            "the scores are probabilities whose logits were not found: what is differentiated is a probability, "
            "whose gradient vanishes where the model is sure. Set model.output to the logits if the model gives them"
        )
    elif scores.activation == "none":
        notes.append(
            "no softmax or sigmoid was found behind the scores: the output is taken as logits, and probabilities are "
            + ("its sigmoid" if scores.units == 1 or scores.kind == "multi_label" else "its softmax")
        )
    if scores.units == 1:
        notes.append("one unit decides between two classes: class 1 is the unit, class 0 its negative")
    return [*notes, *_stripped(custom_gradients)]


def _stripped(custom_gradients: int) -> list[str]:
    if not custom_gradients:
        return []
    return [
        f"{custom_gradients} custom gradients between the target layer and the scores were replaced by the "
        "gradients of the operations themselves"
    ]
