"""LeGrad, attention relevance and attention rollout against the formulas of their papers, block by block, on a tape."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import transformers as models
from slow import slow_but_for
from small_models import convolutional, explained, planned, relative_error, traced

from transforms.model.errors import ModelRefused

DEPTH = 3


def attention_by_hand(model: keras.Model, image: np.ndarray, target: int, prefix: int):
    """The maps of each block, and the gradients by them of the score that the head gives to the block's tokens."""
    tokens = keras.Model(model.input, model.get_layer("position").output)(image[None])
    head = keras.Model(model.get_layer(f"block{DEPTH - 1}_out").output, model.output)
    maps, gradients = [], []
    for number in range(DEPTH):
        part = {name: model.get_layer(f"block{number}_{name}") for name in ("norm1", "attention", "norm2")}
        with tf.GradientTape() as tape:
            y = part["norm1"](tokens)
            _, attention = part["attention"](y, y, return_attention_scores=True)
            tape.watch(attention)
            layer = part["attention"]
            value = layer._value_dense(y)
            mixed = layer._output_dense(tf.einsum("bhij,bjhd->bihd", attention, value))
            x = tokens + mixed
            y = model.get_layer(f"block{number}_dense1")(part["norm2"](x))
            tokens = x + model.get_layer(f"block{number}_dense2")(y)
            score = head(tokens)[0, target]
        maps.append(attention[0].numpy().astype(np.float64))
        gradients.append(tape.gradient(score, attention)[0].numpy().astype(np.float64))
    return maps, gradients


@pytest.mark.parametrize(
    ("head", "prefix"), slow_but_for([("class", 1)], [("class", 1), ("mean", 0), ("distilled", 2)])
)
def test_legrad_is_the_mean_of_positive_gradients_over_blocks_heads_and_asking_tokens(head, prefix):
    model = models.vit(head, prefix=prefix)
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    expected = np.zeros((2, 4, 6))
    for i, image in enumerate(images.astype(np.float32)):
        for gradient in attention_by_hand(model, image, 3, prefix)[1]:
            for asked in range(gradient.shape[2]):
                if asked >= prefix:
                    row, column = divmod(asked - prefix, 6)
                    expected[i, row, column] += np.maximum(gradient[:, :, asked], 0).mean() / DEPTH
    found = explained(planned(traced(model), method="legrad"), images, [[3, 1]] * 2)
    assert relative_error(found["cams"][:, 0], expected) < 1e-4
    assert not np.allclose(found["cams"][:, 0], found["cams"][:, 1], rtol=0.01)


@pytest.mark.parametrize(("head", "prefix"), slow_but_for([("class", 1)], [("class", 1), ("mean", 0)]))
def test_relevance_lets_through_what_raises_the_score_from_block_to_block(head, prefix):
    """The gradient by an attention map is that of the score of the model, through all blocks that follow."""
    model = models.vit(head, prefix=prefix, depth=2)
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 48, 3)).astype(np.uint8)
    tokens = keras.Model(model.input, model.get_layer("position").output)(image.astype(np.float32))

    def block(number, x, attention=None):
        layer, y = model.get_layer(f"block{number}_attention"), model.get_layer(f"block{number}_norm1")(x)
        own = layer(y, y, return_attention_scores=True)[1]
        attention = own if attention is None else attention
        x = x + layer._output_dense(tf.einsum("bhij,bjhd->bihd", attention, layer._value_dense(y)))
        y = model.get_layer(f"block{number}_dense1")(model.get_layer(f"block{number}_norm2")(x))
        return x + model.get_layer(f"block{number}_dense2")(y), own

    read = keras.Model(model.get_layer("block1_out").output, model.output)
    own = [block(0, tokens)[1], block(1, block(0, tokens)[0])[1]]
    with tf.GradientTape() as tape:
        tape.watch(own)
        x, _ = block(0, tokens, own[0])
        scores = read(block(1, x, own[1] + block(1, x)[1] - tf.stop_gradient(block(1, x)[1]))[0])[0, 3]
    gradients = tape.gradient(scores, own)
    relevance = np.eye(prefix + 24)
    for attention, gradient in zip(own, gradients, strict=True):
        raised = np.maximum(gradient[0].numpy().astype(np.float64) * attention[0].numpy(), 0).mean(0)
        relevance = relevance + raised @ relevance
    relevance -= np.eye(prefix + 24)
    expected = (relevance[0] if prefix else relevance.mean(0))[prefix:].reshape(4, 6)
    found = explained(planned(traced(model), method="attention_relevance"), image, [[3, 1]])
    assert relative_error(found["cams"][0, 0], expected) < 1e-3
    assert not np.allclose(found["cams"][0, 0], found["cams"][0, 1], rtol=0.01)


@pytest.mark.parametrize(("head", "prefix"), slow_but_for([("mean", 0)], [("class", 5), ("mean", 0)]))
def test_rollout_multiplies_the_mean_attention_and_is_labelled_as_a_baseline(head, prefix):
    model = models.vit(head, prefix=prefix)
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 48, 3)).astype(np.uint8)
    rollout = np.eye(prefix + 24)
    for attention in attention_by_hand(model, image[0].astype(np.float32), 0, prefix)[0]:
        rollout = 0.5 * (attention.mean(0) + np.eye(prefix + 24)) @ rollout
    expected = (rollout[0] if prefix else rollout.mean(0))[prefix:].reshape(4, 6)
    plan = planned(traced(model), method="attention_rollout")
    found = explained(plan, image, [[3, 1]])
    assert relative_error(found["cams"][0, 0], expected) < 1e-4
    np.testing.assert_array_equal(found["cams"][0, 0], found["cams"][0, 1])
    assert any("same map for every class: a baseline" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("build", "why"), [(convolutional, "no layer of tokens"), (models.swin, "attention in windows")]
)
def test_models_without_attention_over_all_tokens_are_refused_with_what_works(build, why):
    with pytest.raises(ModelRefused, match=why) as refused:
        planned(traced(build()), method="legrad")
    assert "Choose gradcam" in str(refused.value)
