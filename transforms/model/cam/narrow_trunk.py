"""The compiled model in 16 bits, and what that changes of its maps. Imports TensorFlow."""

import numpy as np

from transforms.model.cam.dry_run import sample_images, sample_inputs
from transforms.model.cam.explainer import Explainer
from transforms.model.errors import ModelRefused
from transforms.model.graph import FlatGraph, narrowed_graph
from transforms.model.plan import Plan
from transforms.model.tensorflow import tf


def narrow(plan: Plan, graph: FlatGraph) -> tuple[FlatGraph, float]:
    """The graph with the plan's precision in front of the target layer.

    Returns:
        The graph, and the largest difference of a map of made-up images from that in float32, for the same classes,
        over the largest value of the map; the worst of the images.

    Raises:
        ModelRefused: this TensorFlow cannot compute the model so, or its maps are not finite.
    """
    precision = plan.options.precision
    narrowed = narrowed_graph(graph, plan.target.tensor, precision)
    images = sample_images(plan)
    extra = [tf.constant(array) for array in sample_inputs(plan, len(images))]
    exact = Explainer(plan, graph).explain(images, tf.fill([len(images), 1], -1), *extra)
    try:
        rounded = Explainer(plan, narrowed).explain(images, exact["classes"], *extra)
    except tf.errors.OpError as error:
        cause = str(error.message).splitlines()[0]
        raise ModelRefused(f"model.precision: {precision} cannot be computed here: {cause}. Say float32.") from None
    expected, found = exact["cams"].numpy(), rounded["cams"].numpy()
    if not np.isfinite(found[np.isfinite(expected)]).all():
        raise ModelRefused(
            f"model.precision: {precision} overflows in this model: its maps are not finite. Say bfloat16, which "
            "has the range of float32, or float32."
        )
    known = np.isfinite(expected).all(axis=(1, 2, 3))
    difference = np.abs(found - expected)[known].max(axis=(1, 2, 3), initial=0.0)
    largest = np.abs(expected)[known].max(axis=(1, 2, 3), initial=0.0)
    return narrowed, float(np.max(difference[largest > 0] / largest[largest > 0], initial=0.0))
