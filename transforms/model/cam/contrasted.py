"""The class that each target is set against. Imports TensorFlow."""

from transforms.model.graph import Tensor
from transforms.model.plan import Contrast
from transforms.model.tensorflow import tf


def contrasted_classes(
    contrast: Contrast | None, scores: Tensor, classes: Tensor, labels: Tensor | None
) -> Tensor | None:
    """int32 ``[B, K]``: the class whose score is taken off that of the target; None where nothing is.

    Args:
        scores: float32 ``[B, C]``, what is differentiated.
        classes: the targets, int32 ``[B, K]``.
        labels: where the contrast is the label: the true class of each image, int32 ``[B]``; -1 where there is none.
    """
    if contrast is None:
        return None
    if isinstance(contrast, int):
        return tf.fill(tf.shape(classes), contrast)
    highest = tf.math.top_k(scores, 2).indices
    runner_up = tf.where(highest[:, :1] == classes, highest[:, 1:], highest[:, :1])
    if labels is None:
        return runner_up
    is_other = (labels[:, None] >= 0) & (labels[:, None] != classes)
    return tf.where(is_other, labels[:, None], runner_up)
