"""Maps of several layers -> one on the finest of their grids. Imports TensorFlow."""

from collections.abc import Sequence

from transforms.model.cam.methods import heatmap
from transforms.model.graph import Tensor
from transforms.model.tensorflow import tf


def fuse(cams: Sequence[Tensor], height: int, width: int, fusion: str) -> Tensor:
    """``S = max(P_L) prod_l U(P_l / max P_l)``, or ``max_l`` in place of the product; float32 ``[B, h, w]``.

    ``P_l = max(S_l, 0)`` is the positive map of layer ``l``, ``U`` bilinear upsampling to the finest grid (half-pixel
    centres, edges held). The maximum is the fusion of LayerCAM (Jiang et al., IEEE TIP 30, 2021), whose scaling by tanh
    is left out; the product, in the manner of RefineCAM (arXiv 2605.14641), keeps what all layers show: the place of
    the coarse one, which knows the class, with the outline of the fine one. The factor is the maximum of the last
    layer's own map, so that magnitudes stay in units of the score, and an image whose last layer shows nothing has a
    map of zeros. Nothing is negative.

    Args:
        cams: signed maps ``S_l``, ``[B, h_l, w_l]``, from the image to the scores; the last is the target layer's.
    """
    heats = [_upsampled(heatmap(cam), height, width) for cam in cams]
    joined = tf.reduce_prod(heats, 0) if fusion == "product" else tf.reduce_max(heats, 0)
    return joined * tf.reduce_max(tf.nn.relu(cams[-1]), [1, 2], keepdims=True)


def coarsened(cams: Tensor, height: int, width: int) -> Tensor:
    """``[B, K, h, w]`` by the mean over the area of each cell of a coarser grid; the same where it is no coarser."""
    if cams.shape[2:] == [height, width]:
        return cams
    return tf.transpose(tf.image.resize(tf.transpose(cams, [0, 2, 3, 1]), [height, width], "area"), [0, 3, 1, 2])


def _upsampled(heat: Tensor, height: int, width: int) -> Tensor:
    if heat.shape[1:] == [height, width]:
        return heat
    return tf.image.resize(heat[..., None], [height, width], "bilinear")[..., 0]
