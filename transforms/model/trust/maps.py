"""All methods on several layers of a plan at once. Imports TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from transforms.model.cam import METHODS, attention_map_of, class_scores, model_input, on_grid
from transforms.model.errors import ModelRefused
from transforms.model.graph import Head, Tensor, head_behind, node_name, splice, tensor_name
from transforms.model.options import ATTENTION_METHODS
from transforms.model.plan import AttentionMaps, FeatureMap, Plan, layers_up_to, make_plan, refusing_failures
from transforms.model.planned import PlannedModel
from transforms.model.tensorflow import tf

LAYERS = 3
_BATCH = 16


def sensible_layers(plan: Plan, count: int = LAYERS) -> list[FeatureMap]:
    """The target layer, as the plan has it, and those before it; see :func:`transforms.model.plan.layers_up_to`."""
    made_of = plan.target.tensor.partition("/patch_grid/")[0]
    names = [node_name(candidate.tensor) for candidate in plan.candidates]
    place = next((i for i, name in enumerate(names) if name in (made_of, node_name(plan.target.tensor))), None)
    return layers_up_to(plan.target, plan.candidates if place is None else plan.candidates[:place], count)


def places_of(plan: Plan, layers: Sequence[FeatureMap]) -> tuple[str | int, ...]:
    """What ``model.target_layer`` would say for each: the name of a layer that no other candidate has, else the number.

    Names of tensors may differ from one loading of a model to the next, the number of a candidate does not.
    """
    names, tensors = [each.name for each in plan.candidates], [each.tensor for each in plan.candidates]
    return tuple(
        tensors.index(layer.tensor)
        if layer.tensor in tensors and (":" in layer.name or names.count(layer.name) > 1)
        else layer.name
        for layer in layers
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """Of N images, for one class each."""

    probabilities: np.ndarray  # float64 [N, C]
    maps: Mapping[tuple[str, str], np.ndarray]  # method, layer -> signed maps, float32 [N, h, w]


class EveryMap:
    """A plan's network, asked for probabilities and for maps of every method on some layers.

    Args:
        model: of classes.
        layers: from the image to the scores.
    """

    def __init__(self, model: PlannedModel, layers: Sequence[FeatureMap]):
        self._plan, self._layers = model.plan, layers
        self._attention = _attention_of(model)
        plan = self._plan
        self._behind: Head | None = None
        if self._attention is not None:
            self._behind = head_behind(plan.flat.graph_def, self._attention.head, plan.scores.tensor)
        self._weights = {name: tf.constant(array) for name, array in plan.flat.weights.items()}
        shape = (None, plan.input_height, plan.input_width, 3)
        signature = [
            tf.TensorSpec(shape, plan.pixel_type),
            [tf.TensorSpec((None, *one.shape), one.dtype) for one in plan.extra],
            {name: tf.TensorSpec(array.shape, array.dtype) for name, array in plan.flat.weights.items()},
        ]
        self._only_scores = tf.function(self._probabilities, autograph=False, input_signature=signature)
        with_classes = [*signature, tf.TensorSpec([None], tf.int32)]
        self._maps = tf.function(self._all_maps, autograph=False, input_signature=with_classes)

    @property
    def ways(self) -> int:
        """How many maps an image has at most: every method on every layer, two fusions of each, two baselines."""
        of_attention = len(ATTENTION_METHODS) if self._attention is not None else 0
        return len(METHODS) * (len(self._layers) + 2) + of_attention + 2

    def probabilities(self, images: np.ndarray, beside: Sequence[np.ndarray]) -> np.ndarray:
        """float64 ``[N, C]`` of images ``[N, H, W, 3]`` of the plan's pixel type."""
        parts = []
        for start in range(0, len(images), 2 * _BATCH):
            part = slice(start, start + 2 * _BATCH)
            with refusing_failures():
                given = tf.constant(images[part]), [tf.constant(rows[part]) for rows in beside]
                parts.append(self._only_scores(*given, self._weights).numpy())
        return np.concatenate(parts).astype(np.float64)

    def answers(
        self,
        images: np.ndarray,
        beside: Sequence[np.ndarray],
        classes: np.ndarray,
        weights: Mapping[str, np.ndarray] | None = None,
    ) -> Answers:
        """Probabilities and every map.

        Args:
            classes: of each image, int ``[N]``.
            weights: other ones than the model's, by node.
        """
        own = self._weights if weights is None else {name: tf.constant(array) for name, array in weights.items()}
        parts = []
        for start in range(0, len(images), _BATCH):
            part = slice(start, start + _BATCH)
            with refusing_failures():
                given = tf.constant(images[part]), [tf.constant(rows[part]) for rows in beside]
                outcome = self._maps(*given, own, tf.constant(classes[part], tf.int32))
            parts.append({key: value.numpy() for key, value in outcome.items()})
        joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        probabilities = joined.pop("probabilities").astype(np.float64)
        keys = [(method, layer.name) for layer in self._layers for method in METHODS]
        keys += [(method, self._layers[-1].name) for method in ATTENTION_METHODS if self._attention is not None]
        return Answers(probabilities, {key: joined["\n".join(key)] for key in keys})

    def _fetch(
        self, images: Tensor, beside: Sequence[Tensor], weights: Mapping[str, Tensor], names: Sequence[str]
    ) -> dict[str, Tensor]:
        flat = self._plan.flat
        feeds = {node_name(flat.input): model_input(images, self._plan), **weights}
        feeds |= dict(zip(map(node_name, flat.extra), beside, strict=True))
        wanted = [name for name in dict.fromkeys(names) if node_name(name) not in feeds]
        found = {tensor_name(name): value for name, value in feeds.items()}
        return found | dict(zip(wanted, splice(flat.graph_def, feeds, wanted), strict=True))

    def _probabilities(self, images: Tensor, beside: Sequence[Tensor], weights: Mapping[str, Tensor]) -> Tensor:
        tensors = self._fetch(images, beside, weights, [self._plan.scores.tensor])
        return class_scores(tensors[self._plan.scores.tensor], self._plan)[1]

    def _all_maps(
        self, images: Tensor, beside: Sequence[Tensor], weights: Mapping[str, Tensor], classes: Tensor
    ) -> dict[str, Tensor]:
        plan, attention, behind = self._plan, self._attention, self._behind
        names = [plan.scores.tensor, *(layer.tensor for layer in self._layers)]
        if attention is not None and behind is not None:
            names += [*attention.tensors, *behind.others]
        tensors = self._fetch(images, beside, weights, names)

        def differentiated(output: Tensor) -> Tensor:
            scores, probabilities = class_scores(output, plan)
            return probabilities if plan.options.score == "probability" else scores

        score = differentiated(tensors[plan.scores.tensor])
        direction = tf.one_hot(classes, plan.scores.class_count, dtype=score.dtype)
        features = [tensors[layer.tensor] for layer in self._layers]
        gradients = tf.gradients(score, features, grad_ys=direction)
        outcome = {"probabilities": class_scores(tensors[plan.scores.tensor], plan)[1]}
        for layer, feature, gradient in zip(self._layers, features, gradients, strict=True):
            a, g = (on_grid(tensor, layer) for tensor in (feature, gradient))
            for method, compute in METHODS.items():
                outcome[f"{method}\n{layer.name}"] = compute(a, g)[0]
        if attention is not None and behind is not None:
            for method in ATTENTION_METHODS:
                by_attention = attention_map_of(
                    method,
                    tensors.__getitem__,
                    lambda tokens: differentiated(behind.run(tokens, tensors)),
                    score,
                    attention,
                )
                outcome[f"{method}\n{self._layers[-1].name}"] = by_attention(direction)
        return outcome


def _attention_of(model: PlannedModel) -> AttentionMaps | None:
    """None where the model has no attention over all tokens of the target layer."""
    if "/patch_grid/" not in model.plan.target.tensor:
        return None
    try:
        return make_plan(model.traced, dataclasses.replace(model.options, method="legrad")).attention
    except ModelRefused:
        return None
