"""The methods that are made of attention maps in place of features. Imports TensorFlow.

Notation: ``A_l`` the attention map of block ``l``, float32 ``[B, heads, T, T]``, a row for each token that asks; the
tokens are the cells and those that lie nowhere, such as the class token. A map ``[B, h, w]`` is never negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transforms.model.graph import Tensor
from transforms.model.plan import AttentionMaps
from transforms.model.tensorflow import tf


def legrad(maps: Sequence[Tensor], scores: Sequence[Tensor], direction: Tensor, attention: AttentionMaps) -> Tensor:
    """LeGrad, arXiv 2404.03214, equations 6 to 9: ``E = mean_l mean_heads mean_i relu(d s_l / d A_l)``.

    ``s_l`` is the score that the head gives to the tokens behind block ``l``. The papers' class token is left out, and
    so is its scaling to 0..1, which belongs to whoever draws the map.

    Args:
        maps: ``A_l``.
        scores: what the head makes of the tokens behind each block, ``[B, C]``.
        direction: of the scores that are differentiated, ``[B, C]``.
    """
    layers = []
    for attention_map, score in zip(maps, scores, strict=True):
        gradient = tf.gradients(score, attention_map, grad_ys=direction)[0]
        layers.append(tf.reduce_mean(tf.nn.relu(tf.cast(gradient, tf.float32)), [1, 2]))
    return _on_cells(tf.add_n(layers) / len(layers), attention)


def attention_relevance(maps: Sequence[Tensor], score: Tensor, direction: Tensor, attention: AttentionMaps) -> Tensor:
    """Chefer et al., ICCV 2021, arXiv 2103.15679, equations 5 and 6: ``R <- R + mean_heads relu(d s / d A_l * A_l) R``.

    From ``R = I`` on, block by block; ``s`` is the score of the model. What an attention map lets through counts as far
    as it raises the score, so that the map is of a class, which rollout's is not. The row is that of the first token
    that lies nowhere, the class token; where there is none, the mean of all. The map is that of ``R - I``: what a token
    is to itself says nothing of the image.

    Args:
        maps: ``A_l``.
        score: what is differentiated, ``[B, C]``.
        direction: of it, ``[B, C]``.
    """
    relevance: Tensor | None = None  # R - I, which rounding would drown in I
    gradients = tf.gradients(score, list(maps), grad_ys=direction)
    for attention_map, gradient in zip(maps, gradients, strict=True):
        raised = tf.nn.relu(tf.cast(gradient, tf.float32) * tf.cast(attention_map, tf.float32))
        of_block = tf.reduce_mean(raised, 1)
        relevance = of_block if relevance is None else relevance + of_block + of_block @ relevance
    return _on_cells(_read_row(relevance, attention), attention)


def attention_rollout(maps: Sequence[Tensor], attention: AttentionMaps) -> Tensor:
    """Attention rollout, arXiv 2005.00928: ``R = prod_l (mean_heads A_l + I) / 2``, the rows of what the head reads.

    The same for every class, whatever the scores: a baseline, no explanation of a class. The row is that of the first
    token that lies nowhere, the class token; where there is none, the mean of all.
    """
    size = attention.layout.tokens
    rollout = tf.eye(size)
    for attention_map in maps:
        rollout = (tf.reduce_mean(tf.cast(attention_map, tf.float32), 1) + tf.eye(size)) / 2 @ rollout
    return _on_cells(_read_row(rollout, attention), attention)


def _read_row(table: Tensor, attention: AttentionMaps) -> Tensor:
    """Of ``[B, T, T]`` the row of what the head reads, ``[B, T]``."""
    others = attention.layout.others
    return table[:, others[0]] if others else tf.reduce_mean(table, 1)


def _on_cells(row: Tensor, attention: AttentionMaps) -> Tensor:
    layout = attention.layout
    return tf.reshape(tf.gather(row, list(layout.cells), axis=1), [-1, layout.height, layout.width])


def attention_map_of(
    method: str,
    fetched: Callable[[str], Tensor],
    score_of: Callable[[Tensor], Tensor],
    last: Tensor,
    plan: AttentionMaps,
) -> Callable[[Tensor], Tensor]:
    """The method of that name, as a function of the direction ``[B, C]`` of the scores.

    Args:
        fetched: tensor name -> the tensor in the function that is being traced.
        score_of: the head: tokens behind a block -> what is differentiated, ``[B, C]``.
        last: what is differentiated of the model itself.
    """
    maps = [fetched(name) for name in plan.maps]
    if method == "attention_rollout":
        rollout = attention_rollout(maps, plan)
        return lambda direction: tf.identity(rollout)
    if method == "attention_relevance":
        return lambda direction: attention_relevance(maps, last, direction, plan)
    scores = [*(score_of(fetched(name)) for name in plan.tokens), last]
    return lambda direction: legrad(maps, scores, direction, plan)
