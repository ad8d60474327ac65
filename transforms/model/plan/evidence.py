"""What an output's values look like: evidence for what they mean. Imports TensorFlow."""

from typing import Any

import numpy as np

from transforms.model.graph import FlatGraph, Graph, evaluate, made_up_inputs, node_name
from transforms.model.load import TracedModel
from transforms.model.options import ModelOptions
from transforms.model.plan.activation import limits_of, squashed_by
from transforms.model.plan.checks import refusing_failures
from transforms.model.plan.output_kind import Evidence
from transforms.model.plan.scores import ScoreTensor

_BRIGHTNESS = (1.0, 0.5, 0.25, 0.1)  # of the made-up images, so that the scores differ
_ROUNDING = 1e-3


def gather_evidence(
    graph: Graph, flat: FlatGraph, needed: FlatGraph, scores: ScoreTensor, traced: TracedModel, options: ModelOptions
) -> Evidence:
    """What the graph, a run on made-up images, the model's file and the manifest say about the scores.

    Args:
        needed: the part of ``flat`` that the scores are computed from.

    Raises:
        ModelRefused: the run fails.
    """
    loss = traced.losses.get(scores.output) or traced.losses.get("")
    return Evidence(
        output=scores.output,
        units=scores.units,
        activation=scores.activation,
        loss=None if loss is None else loss.made_for,
        loss_name=None if loss is None else loss.name,
        labels=options.labels,
        has_two_names=options.class_names != "auto" and len(traced.class_names or ()) == 2,
        **_of_values(graph, flat, needed, scores),
    )


def _of_values(graph: Graph, flat: FlatGraph, needed: FlatGraph, scores: ScoreTensor) -> dict[str, Any]:
    if scores.activation == "softmax":
        return {}
    values = _made_up_scores(graph, needed, scores)
    moving = {"move_together": scores.units > 1 and _move_together(values)}
    output = graph.get_tensor_by_name(scores.values)
    if scores.activation == "sigmoid":
        low, high = limits_of(graph, flat, graph.get_tensor_by_name(scores.tensor), output)
        is_logarithm = abs(high) <= _ROUNDING and low < -1
        return moving | {"limits": (0.0, 1.0) if is_logarithm else (low, high)}
    in_range = bool(np.all((values >= 0) & (values <= 1 + _ROUNDING)))
    sum_to_one = in_range and scores.units > 1 and bool(np.allclose(values.sum(1), 1, atol=_ROUNDING))
    lengths = np.linalg.norm(values, axis=1)
    squashed = squashed_by(output) if in_range else "none"
    return moving | {
        "one_true": sum_to_one or squashed == "softmax",
        "sum_to_one": sum_to_one,
        "in_unit_range": sum_to_one or squashed != "none",
        "unit_length": scores.units > 1 and bool(np.allclose(lengths, 1, atol=_ROUNDING)),
    }


def _made_up_scores(graph: Graph, flat: FlatGraph, scores: ScoreTensor) -> np.ndarray:
    """Of four images of noise, float64 ``[4, units]``."""
    images = graph.get_tensor_by_name(flat.input)
    noise = np.random.default_rng(0).uniform(0, 255, (len(_BRIGHTNESS), *images.shape[1:]))
    noise *= np.array(_BRIGHTNESS).reshape(-1, 1, 1, 1)
    feeds = {**flat.weights, node_name(flat.input): noise.astype(images.dtype.as_numpy_dtype)}
    feeds |= made_up_inputs(flat, len(noise))
    with refusing_failures():
        found = evaluate(flat.graph_def, feeds, [scores.tensor])
    return found[scores.tensor].reshape(len(noise), -1).astype(np.float64)


def _move_together(values: np.ndarray) -> bool:
    """Whether all units are the first plus a constant each, none of them 0, and the first differs between images."""
    if not np.isfinite(values).all():
        return False
    moves, constants = np.ptp(values[:, 0]), values - values[:, :1]
    if moves <= _ROUNDING * np.abs(values).max() or np.ptp(constants, axis=0).max() > _ROUNDING * moves:
        return False
    return bool((np.abs(constants[:, 1:]) > _ROUNDING * moves).all())
