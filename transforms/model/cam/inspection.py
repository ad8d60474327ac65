"""What a model looks like to the explainer, for a person to read. Imports TensorFlow."""

import dataclasses
import json

from transforms.model.cam.dry_run import sample_images
from transforms.model.cam.explainer import model_input
from transforms.model.graph import made_up_inputs, node_name, splice
from transforms.model.plan import FeatureMap, Plan, lay_out, refusing_failures
from transforms.model.tensorflow import tf
from transforms.records import Box


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A feature map that every path from the image to the scores goes through."""

    index: int  # for model.target_layer
    name: str
    tensor: str
    height: int  # cells
    width: int
    channels: int
    share_behind: float  # of the network's multiply-adds, 0..1
    # Mean magnitude of the gradient of a random mixture of all class scores, on made-up images; 0: no class
    # depends on this map; None: an operation behind it has no gradient.
    gradient: float | None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The answer of ``beam-gradcam inspect``."""

    source: str
    input_height: int  # pixels
    input_width: int
    input_layout: str  # NHWC or NCHW
    input_dtype: str
    preprocessing: dict[str, object]  # name, scale, offset, bgr; resize, interpolation ...: as in the card
    outputs: dict[str, tuple[int | None, ...] | None]  # name -> shape, where it is known
    score_output: str  # the output that holds the class scores
    logits_tensor: str
    output_kind: str  # classes, multi_label, binary or value
    activation: str  # what was peeled off the output: softmax, sigmoid or none
    class_count: int
    class_names: tuple[str, ...] | None
    target_layer: str
    target_tensor: str
    target_height: int  # cells
    target_width: int
    target_channels: int
    target_reason: str
    target_gradient: float | None  # as for candidates
    custom_gradients: int  # between the target layer and the scores, replaced by the operations' own
    # x0, y0, x1, y1 in 0..1 of the input that the layer covers: not all where the model crops or pads by itself.
    seen: Box
    candidates: tuple[Candidate, ...]  # from the image to the scores
    notes: tuple[str, ...]

    def is_target(self, candidate: Candidate) -> bool:
        """Tokens are explained on a grid that is made of them, which has their name in front."""
        made_of = candidate.tensor.partition(":")[0] + "/patch_grid/"
        return self.target_tensor == candidate.tensor or self.target_tensor.startswith(made_of)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)


def describe(plan: Plan) -> Inspection:
    """Everything that a user would ask about a model before explaining it; gradients are probed on made-up images."""
    maps = [*plan.candidates, plan.target]
    *gradients, target_gradient = _mean_gradients(plan, maps)
    return Inspection(
        source=plan.options.source,
        input_height=plan.input_height,
        input_width=plan.input_width,
        input_layout="NCHW" if plan.channels_first else "NHWC",
        input_dtype=plan.input_dtype,
        preprocessing=dataclasses.asdict(plan.preprocessing) | plan.sampling.as_fields(),
        outputs=plan.outputs,
        score_output=plan.scores.output,
        logits_tensor=plan.scores.tensor,
        output_kind=plan.scores.kind,
        activation=plan.scores.activation,
        class_count=plan.scores.class_count,
        class_names=plan.class_names,
        target_layer=plan.target.name,
        target_tensor=plan.target.tensor,
        target_height=plan.target.height,
        target_width=plan.target.width,
        target_channels=plan.target.channels,
        target_reason=plan.reason,
        target_gradient=target_gradient,
        custom_gradients=plan.custom_gradients,
        seen=plan.seen,
        candidates=tuple(
            Candidate(i, c.name, c.tensor, c.height, c.width, c.channels, c.share_behind, gradient)
            for i, (c, gradient) in enumerate(zip(plan.candidates, gradients, strict=True))
        ),
        notes=plan.notes,
    )


def _mean_gradients(plan: Plan, maps: list[FeatureMap]) -> list[float | None]:
    """Mean magnitude of the gradient with respect to each map; None where there is none."""
    graph, pictures = plan.flat, sample_images(plan)

    @tf.function(autograph=False)
    def run(images: tf.Tensor, weights: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        others = {name: tf.constant(array) for name, array in made_up_inputs(graph, len(pictures)).items()}
        feeds = {node_name(graph.input): model_input(images, plan), **weights, **others}
        *features, scores = splice(graph.graph_def, feeds, [*(m.tensor for m in maps), plan.scores.tensor])
        mixture = tf.random.stateless_normal(tf.shape(scores), [1, 2], dtype=scores.dtype)
        gradients: dict[str, tf.Tensor] = {}
        for position in range(len(maps)):  # from here on every operation must have a gradient
            try:
                values = tf.gradients(scores, features[position:], mixture)
            except LookupError:
                continue
            for feature_map, value in zip(maps[position:], values, strict=True):
                if value is not None:
                    if feature_map.tokens is not None:  # not of the class token
                        value = lay_out(value, feature_map.tokens.layout)
                    gradients[feature_map.tensor] = tf.reduce_mean(tf.abs(tf.cast(value, tf.float32)))
            break
        return gradients

    given = tf.constant(pictures), {name: tf.constant(array) for name, array in graph.weights.items()}
    with refusing_failures():
        gradients = run.get_concrete_function(*given)(*given)
    return [float(gradients[m.tensor]) if m.tensor in gradients else None for m in maps]
