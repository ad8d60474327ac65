"""A plan -> the function that explains: uint8 or uint16 images in, scores and maps out. Imports TensorFlow."""

from collections.abc import Callable, Mapping

import numpy as np

from transforms.model.cam.attention import attention_map_of
from transforms.model.cam.contrasted import contrasted_classes
from transforms.model.cam.fuse import coarsened, fuse
from transforms.model.cam.masking import masked_probabilities
from transforms.model.cam.methods import evidence, feature_method
from transforms.model.extra_inputs import given_inputs
from transforms.model.graph import FlatGraph, Tensor, head_behind, node_name, splice, tensor_name
from transforms.model.plan import FeatureMap, Plan, lay_out
from transforms.model.tensorflow import tf

# In bytes: models up to this size have their kernels as constants; a GraphDef cannot hold 2 GB.
_LARGEST_CONSTANTS = 256 << 20


class Explainer(tf.Module):
    """Two functions, ``explain`` and ``predict``, each of which gives the arrays of a ``BatchExplanation`` by name.

    ``explain(images [B, H, W, 3] of the plan's pixel type, targets int32 [B, K])``; ``predict(images)`` is for the
    class with the highest score. The other inputs of the model, if any, come behind, ``[B, ...]`` each, and last,
    where classes are contrasted with the label, the label, int32 ``[B]``, -1 for none. One forward pass; then the part
    behind the target layer is differentiated once per target class, and run twice more: on the features that the map
    shows, and on the rest.

    Args:
        plan: what is explained, and how.
        graph: the plan's graph, folded or not.
        largest_constants: bytes.
    """

    def __init__(self, plan: Plan, graph: FlatGraph, largest_constants: int = _LARGEST_CONSTANTS):
        super().__init__(name="explainer")
        small = sum(array.nbytes for array in graph.weights.values()) <= largest_constants
        # Kernels as constants are laid out for oneDNN once. A bias never: were it zero, as in a network that was never
        # trained, Grappler would drop it and then not fuse convolution and activation.
        self._constants = {name: array for name, array in graph.weights.items() if small and array.ndim > 1}
        self._names = [name for name in graph.weights if name not in self._constants]
        self.weights = [
            tf.Variable(graph.weights[name], trainable=False, name=f"weight_{i}") for i, name in enumerate(self._names)
        ]
        self._plan, self._graph = plan, graph
        self._method = feature_method(plan.options.method)
        self._head = head_behind(graph.graph_def, plan.global_mean or plan.target.tensor, plan.scores.tensor)
        attention = plan.attention
        self._behind_blocks = (
            None if attention is None else head_behind(graph.graph_def, attention.head, plan.scores.tensor)
        )
        images = tf.TensorSpec([None, plan.input_height, plan.input_width, 3], plan.pixel_type, "images")
        targets = tf.TensorSpec([None, None], tf.int32, "targets")
        given = given_inputs(plan.extra, plan.contrast)
        extra = [tf.TensorSpec([None, *one.shape], one.dtype, f"input_{i}") for i, one in enumerate(given)]
        self.explain = tf.function(self._explain, autograph=False, input_signature=[images, targets, *extra])
        self.predict = tf.function(self._predict, autograph=False, input_signature=[images, *extra])

    def _predict(self, images: Tensor, *extra: Tensor) -> dict[str, Tensor]:
        return self.explain(images, tf.fill([tf.shape(images)[0], 1], -1), *extra)

    def _explain(self, images: Tensor, targets: Tensor, *extra: Tensor) -> dict[str, Tensor]:
        plan, graph, head = self._plan, self._graph, self._head
        labels = extra[-1] if plan.contrast == "label" else None
        extra = extra[: len(plan.extra)]
        feeds = {node_name(graph.input): model_input(images, plan), **self._weights()}
        feeds |= dict(zip(map(node_name, graph.extra), extra, strict=True))
        beside = [name for name in head.others if node_name(name) not in feeds]
        read = dict.fromkeys([*plan.keep, *beside, *(self._behind_blocks.others if self._behind_blocks else ())])
        names = [name for name in read if node_name(name) not in feeds]
        others = {tensor_name(name): value for name, value in feeds.items()}
        others |= dict(zip(names, splice(graph.graph_def, feeds, names), strict=True))
        features, output = others[plan.target.tensor], others[plan.scores.tensor]
        means = [others[plan.global_mean]] if plan.global_mean else []
        scores, probabilities = class_scores(output, plan)
        classes = _resolve(targets, scores)
        activations = channels_last(features, plan.target.channel_axis)
        earlier = [others[layer.tensor] for layer in plan.earlier]
        differentiated = probabilities if plan.options.score == "probability" else scores
        by_attention = self._by_attention(others, differentiated)
        contrasted = contrasted_classes(plan.contrast, differentiated, classes, labels)
        maps = self._maps(differentiated, classes, contrasted, features, activations, means, earlier, by_attention)
        kept, removed = masked_probabilities(
            lambda head_input: class_scores(head.run(head_input, others), plan)[1],
            means[0] if means else features,
            activations,
            coarsened(maps["cams"], plan.target.height, plan.target.width),
            classes,
            channel_axis=None if means else plan.target.channel_axis,
            at_once=bool(means) and not beside and not extra,  # it reads only weights besides
        )
        return {
            **maps,
            "classes": classes,
            **({} if contrasted is None else {"contrasted": contrasted}),
            "scores": scores,
            "probabilities": probabilities,
            "kept_probabilities": kept,
            "removed_probabilities": removed,
            "finite": _are_finite(maps, scores),
            "embedding": _embedding(others, activations, plan),
        }

    def _weights(self) -> dict[str, Tensor]:
        variables = {name: variable.read_value() for name, variable in zip(self._names, self.weights, strict=True)}
        return variables | {name: tf.constant(array) for name, array in self._constants.items()}

    def _by_attention(self, tensors: Mapping[str, Tensor], differentiated: Tensor) -> Callable[[Tensor], Tensor] | None:
        """The map as a function of the direction of the scores, of a method that is made of attention maps."""
        plan, behind = self._plan, self._behind_blocks
        if plan.attention is None or behind is None:
            return None

        def score_of(tokens: Tensor) -> Tensor:
            scores, probabilities = class_scores(behind.run(tokens, tensors), plan)
            return probabilities if plan.options.score == "probability" else scores

        return attention_map_of(plan.options.method, tensors.__getitem__, score_of, differentiated, plan.attention)

    def _maps(
        self,
        differentiated: Tensor,
        classes: Tensor,
        contrasted: Tensor | None,
        features: Tensor,
        activations: Tensor,
        means: list[Tensor],
        earlier: list[Tensor],
        by_attention: Callable[[Tensor], Tensor] | None,
    ) -> Mapping[str, Tensor]:
        """``cams`` float32 ``[B, K, h, w]``; ``evidence``, ``target_scores`` and ``guarded`` (int32) ``[B, K]``.

        Args:
            differentiated: scores or probabilities, float32 ``[B, C]``.
            classes: int32 ``[B, K]``.
            contrasted: of each of them, the class whose score is taken off, int32 ``[B, K]``; None: none is.
            features: the target layer's tensor, as it lies in the graph.
            activations: the same, float32 ``[B, h, w, channels]``.
            means: of the features over all cells, where the scores depend on nothing else of them; else empty.
            earlier: tensors of the layers whose maps are fused with the target layer's.
            by_attention: of a method that is made of attention maps.
        """
        plan = self._plan
        earlier_activations = [on_grid(each, layer) for each, layer in zip(earlier, plan.earlier, strict=True)]
        cells = plan.target.height * plan.target.width

        def explain_class(indices: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            """For one target class per image, int32 ``[B]``, and the one that it is contrasted with, if any."""
            index, *other = indices
            direction = tf.one_hot(index, plan.scores.class_count, dtype=differentiated.dtype)
            for each in other:
                direction -= tf.one_hot(each, plan.scores.class_count, dtype=differentiated.dtype)
            # Summed over the batch, and yet per image: an image's scores depend on no other image.
            # Of means the gradient is the same in every cell: nine tenths of the work for many classes.
            gradient, *before = tf.gradients(differentiated, [*(means or [features]), *earlier], grad_ys=direction)
            if means:
                gradient = tf.reshape(tf.cast(gradient, tf.float32), [-1, 1, 1, plan.target.channels]) / cells
            else:
                gradient = channels_last(gradient, plan.target.channel_axis)
            cam, guarded = self._method(activations, gradient)
            if before:
                cams = [cam]
                for a, g, layer in zip(earlier_activations[::-1], before[::-1], plan.earlier[::-1], strict=True):
                    another, more = self._method(a, on_grid(g, layer))
                    cams.insert(0, another)
                    guarded += more
                cam = fuse(cams, *plan.grid, plan.options.fusion)
            if by_attention is not None:
                cam, guarded = by_attention(direction), tf.zeros_like(guarded)
            return cam, evidence(activations, gradient), tf.reduce_sum(differentiated * direction, 1), guarded

        # A loop, so that the number of classes is free; the forward pass lies outside it.
        stacked = tf.map_fn(
            explain_class,
            tuple(tf.transpose(each) for each in (classes, contrasted) if each is not None),
            fn_output_signature=(
                tf.TensorSpec([None, *plan.grid]),
                tf.TensorSpec([None]),
                tf.TensorSpec([None]),
                tf.TensorSpec([None], tf.int32),
            ),
        )
        by_image = (tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)]) for tensor in stacked)
        return dict(zip(("cams", "evidence", "target_scores", "guarded"), by_image, strict=True))


def model_input(images: Tensor, plan: Plan) -> Tensor:
    """See :class:`transforms.model.preprocessing.Preprocessing`."""
    preprocessing = plan.preprocessing
    pixels = tf.reverse(images, [3]) if preprocessing.bgr else images
    scale, offset = np.array(preprocessing.scale, np.float32), np.array(preprocessing.offset, np.float32)
    if np.any(scale != 1) or np.any(offset != 0):
        # Whole rows of pixels: a constant of three channels is broadcast three times as slowly.
        rows = tf.cast(tf.reshape(pixels, [-1, plan.input_width * 3]), tf.float32)
        rows = rows * np.tile(scale, plan.input_width) + np.tile(offset, plan.input_width)
        pixels = tf.reshape(rows, [-1, plan.input_height, plan.input_width, 3])
    pixels = tf.cast(pixels, plan.input_dtype)
    return tf.transpose(pixels, [0, 3, 1, 2]) if plan.channels_first else pixels


def class_scores(output: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Scores and probabilities, float32 ``[B, C]``.

    A single unit ``z`` stands for the two classes ``[-z, z]``, a single probability ``p`` for ``[1 - p, p]``. Values
    have no probabilities: the values stand for them too.
    """
    scores = tf.cast(tf.reshape(output, [-1, plan.scores.units]), tf.float32)
    if plan.scores.kind == "value":
        return scores, scores
    if plan.scores.are_probabilities:
        scores = tf.concat([1 - scores, scores], 1) if plan.scores.units == 1 else scores
        return scores, scores
    if plan.scores.units == 1:
        scores = tf.concat([-scores, scores], 1)
        return scores, tf.sigmoid(scores)
    each = plan.scores.activation == "sigmoid" or plan.scores.kind == "multi_label"
    return scores, tf.sigmoid(scores) if each else tf.nn.softmax(scores)


def _embedding(tensors: Mapping[str, Tensor], activations: Tensor, plan: Plan) -> Tensor:
    """What the classifier reads of an image, float32 ``[B, D]``; the means of the activations where nothing is that."""
    if plan.pooled is None:
        return tf.reduce_mean(activations, [1, 2])
    pooled = tf.cast(tensors[plan.pooled.tensor], tf.float32)
    if plan.pooled.cells:
        pooled = tf.reduce_mean(pooled, plan.pooled.cells)
    return tf.reshape(pooled, [-1, plan.pooled.size])


def _resolve(targets: Tensor, scores: Tensor) -> Tensor:
    """Class indices; a negative target is a rank: -1 the class with the highest score."""
    count = scores.shape[1]
    known = tf.debugging.Assert(
        tf.reduce_all((targets >= -count) & (targets < count)),
        [f"a target is not among the {count} classes:", targets],
        summarize=32,
    )
    with tf.control_dependencies([known]):
        ranks = tf.maximum(-targets, 1)
    ranked = tf.math.top_k(scores, tf.maximum(tf.reduce_max(ranks), 1)).indices
    return tf.where(targets < 0, tf.gather(ranked, ranks - 1, batch_dims=1), targets)


def _are_finite(maps: Mapping[str, Tensor], scores: Tensor) -> Tensor:
    return (
        tf.reduce_all(tf.math.is_finite(maps["cams"]), [2, 3])
        & tf.math.is_finite(maps["evidence"])
        & tf.reduce_all(tf.math.is_finite(scores), 1, keepdims=True)
    )


def channels_last(tensor: Tensor, axis: int) -> Tensor:
    return tf.cast(tf.transpose(tensor, [0, 2, 3, 1]) if axis == 1 else tensor, tf.float32)


def on_grid(tensor: Tensor, layer: FeatureMap) -> Tensor:
    """A layer's features, or their gradient, float32 ``[B, h, w, channels]``; of tokens those that are cells."""
    if layer.tokens is not None:
        return tf.cast(lay_out(tensor, layer.tokens.layout), tf.float32)
    return channels_last(tensor, layer.channel_axis)
