"""A few made-up images through the model before any job starts. Imports TensorFlow."""

import logging

import numpy as np

from transforms.images import widened
from transforms.model.cam.explainer import model_input
from transforms.model.errors import ModelRefused
from transforms.model.graph import FlatGraph, fold_graph, made_up_inputs, node_name, splice, with_read_tokens
from transforms.model.plan import Plan, refusing_failures
from transforms.model.tensorflow import tf

_log = logging.getLogger(__name__)

# float32 against float32 with other roundings; half precision does not reach it and stays as it is.
_SAME = 1e-4
# What the other images of a batch may change: the order in which sums are made, no more.
_INDEPENDENT = 1e-3


def sample_images(plan: Plan) -> np.ndarray:
    """Four images, ``[4, H, W, 3]`` of the plan's pixel type: noise, coarse blocks, a gradient, and gray."""
    height, width = plan.input_height, plan.input_width
    noise = np.random.default_rng(0)
    fine = noise.integers(0, 256, (height, width, 3), np.uint8)
    blocks = np.kron(
        noise.integers(0, 256, (8, 8, 3), np.uint8), np.ones((-(-height // 8), -(-width // 8), 1), np.uint8)
    )
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3))
    images = np.stack([fine, blocks[:height, :width], ramp, np.full_like(ramp, 128)])
    return images if plan.pixel_type == "uint8" else widened(images)


def sample_inputs(plan: Plan, count: int) -> list[np.ndarray]:
    """What the explainer is given beside ``count`` made-up images; they have no label."""
    labels = [np.full(count, -1, np.int32)] if plan.contrast == "label" else []
    return [*made_up_inputs(plan.flat, count).values(), *labels]


def folded_graph(plan: Plan) -> tuple[FlatGraph, tuple[str, ...]]:
    """The plan's graph with its batch norms folded, and notes; unfolded where that would change the numbers.

    Raises:
        ModelRefused: no gradient reaches the target layer, or there is not one map and one row of scores per image.
    """
    images = sample_images(plan)
    scores, features, gradient = _scores_and_gradient(plan, plan.flat, images)
    if not len(images) == len(scores) == len(features):
        raise ModelRefused(
            f"The model makes {len(features)} feature maps {plan.target.name} and {len(scores)} rows of scores of "
            f"{len(images)} images. If it takes several crops or flips of each, explain it without them; if it was "
            f"trained with another size than {plan.input_height} x {plan.input_width}, set model.input_size."
        )
    notes: tuple[str, ...] = ()
    unknown = int((~np.isfinite(scores).reshape(len(scores), -1).all(axis=1)).sum())
    if unknown:  # no reason to refuse: a gray picture divided by its own deviation, and photos may do well
        notes = (
            f"the scores of {unknown} of {len(images)} made-up images are not finite; such photos become NONFINITE "
            f"rows. Are the weights loaded, and is model.preprocessing ({plan.preprocessing.name}) the one that the "
            "model was trained with?",
        )
    if not np.any(gradient):
        raise ModelRefused(
            f"The gradient of every class with respect to {plan.target.name} is zero: the scores do not depend on it, "
            "or something behind it is saturated. Set model.target_layer to another layer, see beam-gradcam inspect."
        )
    folded = fold_graph(plan.flat, plan.keep)
    folded_scores, folded_features, _ = _scores_and_gradient(plan, folded, images)
    error = max(_relative_error(folded_scores, scores), _relative_error(folded_features, features))
    if not error <= _SAME:
        _log.warning("folding batch norms changes scores or features by %.1e of their range; left unfolded", error)
        return plan.flat, (*notes, "batch norms were not folded: it would have changed the numbers")
    return _with_read_tokens(plan, folded, images), notes


def _with_read_tokens(plan: Plan, graph: FlatGraph, images: np.ndarray) -> FlatGraph:
    """Without what the scores do not read of a transformer's last block, where scores and gradient stay the same."""
    fewer = with_read_tokens(graph, plan.target.tensor, plan.keep)
    if fewer is graph:
        return graph
    before, after = (_scores_and_gradient(plan, each, images) for each in (graph, fewer))
    error = max(_relative_error(found, expected) for found, expected in zip(after, before, strict=True))
    if error <= _SAME:
        return fewer
    _log.warning("computing only the tokens that are read changes numbers by %.1e of their range; left whole", error)
    return graph


def refuse_mixed_batches(plan: Plan, module: tf.Module) -> None:
    """Refuse a model whose scores for an image depend on the rest of its batch.

    Raises:
        ModelRefused: they do, or they differ from run to run.
    """
    images = sample_images(plan)
    extra = sample_inputs(plan, len(images))
    together = module.predict(images, *extra)["scores"].numpy()
    others = module.predict(images[[0, 3, 3, 1]], *extra)["scores"].numpy()
    error = max(_relative_error(others[0], together[0]), _relative_error(others[3], together[1]))
    if error > _INDEPENDENT:
        raise ModelRefused(
            f"An image's scores change by {error:.1e} of their range with the other images of its batch, or from run "
            "to run: something in the model is in training mode. Export it in inference mode (training=False)."
        )


def _scores_and_gradient(plan: Plan, graph: FlatGraph, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, features, and the gradient of a random mixture of all classes, which is zero only if that of each is."""

    beside = made_up_inputs(graph, len(images))

    @tf.function(autograph=False)
    def run(images: tf.Tensor, weights: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        others = {name: tf.constant(array) for name, array in beside.items()}
        feeds = {node_name(graph.input): model_input(images, plan), **weights, **others}
        features, scores = splice(graph.graph_def, feeds, [plan.target.tensor, plan.scores.tensor])
        mixture = tf.random.stateless_normal(tf.shape(scores), [1, 2], dtype=scores.dtype)
        return [tf.cast(t, tf.float32) for t in (scores, features, tf.gradients(scores, features, mixture)[0])]

    with refusing_failures():
        given = tf.constant(images), {name: tf.constant(array) for name, array in graph.weights.items()}
        values = run.get_concrete_function(*given)(*given)
    return tuple(value.numpy() for value in values)


def _relative_error(values: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference over the largest value, where the reference is finite; NaN where only that is."""
    known = np.isfinite(reference)
    if not known.any():
        return 0.0
    return float(np.abs(values[known] - reference[known]).max() / (np.abs(reference[known]).max() or 1.0))
