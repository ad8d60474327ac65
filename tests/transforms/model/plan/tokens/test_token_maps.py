"""Maps on tokens against a tape on the same tensor, for transformers of all kinds."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import transformers as models
from slow import slow_but_for
from small_models import explained, planned, relative_error, traced

from transforms.model.cam import METHODS, Explainer, folded_graph
from transforms.model.load import load_model
from transforms.model.options import ModelOptions
from transforms.storage import Storage

# Model, the layer that an expert would choose, its grid, and how its tokens become the grid.
Grid = Callable[[np.ndarray], np.ndarray]


def rows(prefix: int, height: int, width: int) -> Grid:
    return lambda tokens: tokens[:, prefix:].reshape(len(tokens), height, width, -1)


def of_windows(shift: int) -> Grid:
    """Cell by cell: window and place in it -> row and column."""

    def grid(tokens: np.ndarray) -> np.ndarray:
        laid_out = np.full((len(tokens), 8, 12, tokens.shape[-1]), np.nan, tokens.dtype)
        for window in range(6):
            for place in range(16):
                row = (4 * (window // 3) + place // 4 + shift) % 8
                column = (4 * (window % 3) + place % 4 + shift) % 12
                laid_out[:, row, column] = tokens[:, window, place]
        return laid_out

    return grid


MODELS = {
    "class token": (lambda: models.vit("class"), "block2_norm1", rows(1, 4, 6)),
    "registers": (lambda: models.vit("class", prefix=5), "block2_norm1", rows(5, 4, 6)),
    "distillation": (lambda: models.vit("distilled", prefix=2), "block2_norm1", rows(2, 4, 6)),
    "mean": (lambda: models.vit("mean", prefix=0), "norm", rows(0, 4, 6)),
    "mean beside a class token": (lambda: models.vit("mean", prefix=1), "norm", rows(1, 4, 6)),
    "maximum": (lambda: models.vit("max", prefix=0), "norm", rows(0, 4, 6)),
    "flattened": (lambda: models.vit("flatten", prefix=1), "norm", rows(1, 4, 6)),
    "attention pooling": (lambda: models.vit("map", prefix=0), "norm", rows(0, 4, 6)),
    "space to depth": (
        lambda: models.vit("class", embed=models.patches_without_convolution), "block2_norm1", rows(1, 4, 6)
    ),
    "channels before tokens": (
        models.channels_before_tokens, "features", lambda t: t.reshape(len(t), -1, 4, 6).transpose(0, 2, 3, 1)
    ),
    "batch second": (models.batch_second, "features", lambda t: t.transpose(1, 0, 2).reshape(t.shape[1], 4, 6, -1)),
    "windows": (lambda: models.windows(0), "features", of_windows(0)),
    "shifted windows": (lambda: models.windows(2), "features", of_windows(2)),
    "swin": (models.swin, "norm", rows(0, 8, 12)),
    "hybrid": (models.hybrid, "block1_norm1", rows(1, 4, 6)),
}  # fmt: skip


def photos(model: keras.Model, count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *model.input_shape[1:])).astype(np.uint8)


def tape_maps(model: keras.Model, layer: str, grid: Grid, images: np.ndarray, target: int) -> dict[str, np.ndarray]:
    """Every method by its formula, on the gradient that a tape gives for each image by itself."""
    both = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    activations, gradients = [], []
    for image in images.astype(np.float32):
        with tf.GradientTape() as tape:
            tokens, scores = both(image[None])
            score = scores[0, target]
        activations.append(grid(tokens.numpy())[0])
        gradients.append(grid(tape.gradient(score, tokens).numpy())[0])
    a, g = np.stack(activations).astype(np.float64), np.stack(gradients).astype(np.float64)
    positive = np.maximum(g, 0)
    sums = a.sum((1, 2), keepdims=True)
    inverse = np.divide(1, sums, out=np.zeros_like(sums), where=sums != 0)  # of a dead channel nothing is left
    denominator = 2 + positive * sums
    alpha = np.where(denominator > 1e-3, 1 / np.where(denominator > 1e-3, denominator, 1), 0)
    return {
        "gradcam": (g.mean((1, 2), keepdims=True) * a).sum(3),
        "hirescam": (g * a).sum(3),
        "layercam": (positive * a).sum(3),
        "xgradcam": ((g * a).sum((1, 2), keepdims=True) * inverse * a).sum(3),
        "gradcam++": ((alpha * positive).sum((1, 2), keepdims=True) * a).sum(3),
    }


def behind(model: keras.Model, layer: str, tokens: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Probabilities with other tokens in place of what a layer gives; a skip past it stays as it was."""
    if layer == "block2_norm1":
        skip = keras.Model(model.input, model.get_layer("block1_out").output)(images.astype(np.float32))
        tokens = skip + model.get_layer("block2_attention")(tokens, tokens)
        layer = "block2_add1"
    return tf.nn.softmax(keras.Model(model.get_layer(layer).output, model.output)(tokens)).numpy()


@pytest.mark.parametrize("name", slow_but_for(["class token", "windows"], MODELS))
def test_the_layer_of_an_expert_is_found_and_every_method_gives_the_map_of_a_tape(name):
    build, layer, grid = MODELS[name]
    model = build()
    images = photos(model)
    expected = tape_maps(model, layer, grid, images, target=2)
    plan = planned(traced(model))
    assert plan.target.name == layer
    graph, _ = folded_graph(plan)
    for method in expected:
        explainer = Explainer(dataclasses.replace(plan, options=ModelOptions("a test", method=method)), graph)
        found = {key: value.numpy() for key, value in explainer.explain(images, np.full((3, 1), 2, np.int32)).items()}
        assert found["cams"].shape == (3, 1, *expected[method].shape[1:])
        assert relative_error(found["cams"][:, 0], expected[method]) < 1e-4, method
        assert (found["guarded"] == 0).all() or method in ("xgradcam", "gradcam++")
    np.testing.assert_allclose(found["scores"], model.predict(images.astype(np.float32), verbose=0), atol=1e-4)
    assert set(expected) <= set(METHODS)


@pytest.mark.parametrize("name", slow_but_for(["swin"], ["class token", "mean", "shifted windows", "swin"]))
def test_a_batch_gives_what_each_image_gives_by_itself_and_so_does_the_saved_model(name, tmp_path):
    build = MODELS[name][0]
    model = build()
    images = photos(model, 4)
    here = planned(traced(model), preprocessing="none")
    explainer = Explainer(here, folded_graph(here)[0])
    together = {key: value.numpy() for key, value in explainer.explain(images, np.int32([[0, 3]] * 4)).items()}
    model.export(tmp_path / "saved", verbose=False)
    options = ModelOptions(str(tmp_path / "saved"), preprocessing="none")
    plan = planned(load_model(options, Storage()), preprocessing="none")
    saved = explained(plan, images, [[0, 3]] * 4)
    assert (plan.target.height, plan.target.width) == together["cams"].shape[2:]
    assert relative_error(saved["cams"], together["cams"]) < 1e-4
    for i in range(4):
        alone = explainer.explain(images[i : i + 1], np.int32([[0, 3]]))["cams"].numpy()
        assert relative_error(alone, together["cams"][i : i + 1]) < 1e-4


@pytest.mark.parametrize("name", slow_but_for(["attention pooling"], ["registers", "attention pooling"]))
def test_what_a_map_hides_is_hidden_from_its_patches_alone(name):
    """The head on masked patch tokens, with the class token and the registers as they were: feature drops."""
    build, layer, _ = MODELS[name]
    model = build()
    images = photos(model, 2)
    found = explained(planned(traced(model)), images, [list(range(models.CLASSES))] * 2)
    target = int(np.argmax(found["cams"].max((2, 3)).min(0)))  # with a positive cell in both
    prefix = 5 if name == "registers" else 0
    tokens = keras.Model(model.input, model.get_layer(layer).output)(images.astype(np.float32)).numpy()
    heat = np.maximum(found["cams"][:, target], 0)
    heat = (heat / heat.max((1, 2), keepdims=True)).reshape(2, -1, 1)
    for column, mask in (("kept_probabilities", heat), ("removed_probabilities", 1 - heat)):
        masked = np.concatenate([tokens[:, :prefix], tokens[:, prefix:] * mask], 1)
        expected = behind(model, layer, masked, images)[:, target]
        assert not np.allclose(behind(model, layer, tokens, images)[:, target], expected, atol=1e-6)
        np.testing.assert_allclose(found[column][:, target], expected, atol=1e-5)
