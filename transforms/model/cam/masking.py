"""How much of a class lies under its heatmap: the head, run again on masked features. Imports TensorFlow."""

from collections.abc import Callable

from transforms.model.cam.methods import heatmap
from transforms.model.graph import Tensor
from transforms.model.tensorflow import tf


def masked_probabilities(
    probabilities_of: Callable[[Tensor], Tensor],
    seen: Tensor,
    activations: Tensor,
    cams: Tensor,
    classes: Tensor,
    channel_axis: int | None,
    at_once: bool,
) -> tuple[Tensor, Tensor]:
    """Probabilities of the target classes on ``A H`` alone and on the rest, ``A (1 - H)``, float32 ``[B, K]`` each.

    ``H = max(S, 0) / max S`` is the heatmap on the map's own grid. What is kept is that of the Average Drop of
    Chattopadhay et al. (2018, Grad-CAM++), what is removed that of the deletion of Petsiuk et al. (2018), both on
    features in place of pixels.

    Args:
        probabilities_of: the head, what it sees -> float32 ``[B, C]``.
        seen: what it saw of the image: the features, or their means over all cells.
        activations: the features ``A``, float32 ``[B, h, w, channels]``.
        cams: float32 ``[B, K, h, w]``.
        classes: int32 ``[B, K]``.
        channel_axis: of ``seen``; None where it is the means.
        at_once: all classes in one batch, of means, which are small; else one class after the other.
    """
    _, height, width, channels = activations.shape
    everything = tf.cast(seen, tf.float32)

    def probability(head_input: Tensor, index: Tensor) -> Tensor:
        """Of one class per row."""
        return tf.gather(probabilities_of(tf.cast(head_input, seen.dtype)), index, batch_dims=1)

    def of_one_class(index_and_cam: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        index, cam = index_and_cam
        if channel_axis is None:
            means = tf.einsum("bhwc,bhw->bc", activations, heatmap(cam)) / (height * width)
            shown = tf.reshape(means, tf.shape(seen))
        else:
            shown = everything * tf.expand_dims(heatmap(cam), channel_axis)
        return probability(shown, index), probability(everything - shown, index)

    if not at_once:
        by_class = (tf.transpose(classes), tf.transpose(cams, [1, 0, 2, 3]))
        kept, removed = tf.map_fn(of_one_class, by_class, fn_output_signature=(tf.TensorSpec([None]),) * 2)
        return tf.transpose(kept), tf.transpose(removed)
    shown = tf.einsum("bhwc,bkhw->bkc", activations, heatmap(cams)) / (height * width)
    hidden = tf.reshape(everything, [-1, 1, channels]) - shown
    kept, removed = (
        probability(tf.reshape(part, [-1, *seen.shape[1:]]), tf.reshape(classes, [-1])) for part in (shown, hidden)
    )
    return tf.reshape(kept, tf.shape(classes)), tf.reshape(removed, tf.shape(classes))
