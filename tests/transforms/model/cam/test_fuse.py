"""Maps of several layers in one: against a tape on each layer and the formula in NumPy."""

import cv2
import keras
import numpy as np
import pytest
import small_models
import transformers
from keras import layers
from small_models import explained, planned, relative_error, tape_gradients, traced

from transforms.model.cam.fuse import coarsened
from transforms.model.cam.methods import METHODS
from transforms.model.errors import ModelRefused
from transforms.model.plan.fingerprint import fingerprint_of
from transforms.model.plan.fused import same_view
from transforms.model.plan.layers import layers_up_to
from transforms.model.plan.network import FeatureMap

IMAGES = small_models.images(3, 64)


def stages(activation: str = "relu") -> keras.Model:
    """Three grids, two layers on each: 32, 16 and 8 cells a side."""
    image = keras.Input((64, 64, 3))
    x = layers.Rescaling(1 / 255)(image)
    for stage, width in enumerate((4, 6, 8)):
        x = layers.Conv2D(width, 3, strides=2, padding="same", activation=activation, name=f"down{stage}")(x)
        x = layers.Conv2D(width, 3, padding="same", activation=activation, name=f"stage{stage}")(x)
    scores = layers.Dense(4, name="scores")(layers.GlobalAveragePooling2D()(x))
    model = small_models.randomised(keras.Model(image, scores))
    noise = np.random.default_rng(3)
    for weight in model.weights:
        if len(weight.shape) > 1:
            weight.assign(noise.normal(0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return stages("swish")


def heat(maps: np.ndarray) -> np.ndarray:
    positive = np.maximum(maps, 0)
    highest = positive.max(axis=(1, 2), keepdims=True)
    return np.divide(positive, highest, out=np.zeros_like(positive), where=highest > 0)


def expected(model, names: list[str], method: str, fusion: str, target: int) -> np.ndarray:
    found = []
    for name in names:
        both = keras.Model(model.input, [model.get_layer(name).output, model.output])
        activations, gradients, _ = tape_gradients(lambda x, both=both: both(x, training=False), IMAGES, target)
        found.append(METHODS[method](activations, gradients)[0].numpy())
    size = max(each.shape[1] for each in found)
    wide = [np.stack([cv2.resize(one, (size, size)) for one in heat(each)]) for each in found]
    joined = np.prod(wide, 0) if fusion == "product" else np.max(wide, 0)
    return joined * np.maximum(found[-1], 0).max(axis=(1, 2), keepdims=True)


@pytest.mark.parametrize(
    ("count", "names"), [(2, ["stage1", "stage2"]), (3, ["stage0", "stage1", "stage2"])], ids=["two", "three"]
)
@pytest.mark.parametrize(("method", "fusion"), [("gradcam", "product"), ("layercam", "maximum")])
def test_fused_maps_are_those_of_a_tape_on_each_layer(model, count, names, method, fusion):
    plan = planned(model, method=method, layers=count, fusion=fusion)
    result = explained(plan, IMAGES, [[0, 1, 2, 3]] * 3)
    assert [layer.name for layer in (*plan.earlier, plan.target)] == names
    reference = np.stack([expected(model, names, method, fusion, target) for target in range(4)], axis=1)
    assert result["cams"].shape == reference.shape == (3, 4, *plan.grid)
    assert (reference.max(axis=(2, 3)) > 0).mean() > 0.6
    assert relative_error(result["cams"], reference) < 1e-4
    assert f"maps are the {fusion} of those of {names[0]}" in " ".join(plan.notes)
    assert result["finite"].all()


def test_scores_evidence_and_the_masked_features_are_those_of_the_target_layer(model):
    one, two = (explained(planned(model, layers=count), IMAGES, [[1]] * 3) for count in (1, 2))
    for name in ("scores", "evidence", "target_scores"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5)
    # The head sees the features under the fused map's mean over each of its own cells.
    fused = two["cams"][:, 0]
    coarse = heat(fused.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4)))
    both = keras.Model(model.input, [model.get_layer("stage2").output, model.output])
    features = both(IMAGES.astype(np.float32), training=False)[0].numpy()
    dense = model.get_layer("scores")
    for name, mask in (("kept_probabilities", coarse), ("removed_probabilities", 1 - coarse)):
        logits = (features * mask[..., None]).mean(axis=(1, 2)) @ dense.kernel.numpy() + dense.bias.numpy()
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(two[name][:, 0], probabilities[:, 1], rtol=1e-3, atol=1e-5)


def test_a_batch_is_its_images_one_by_one(model):
    plan = planned(model, layers=3, contrast="runner_up")
    together = explained(plan, IMAGES, [[-1]] * 3)["cams"]
    alone = np.concatenate([explained(plan, IMAGES[i : i + 1], [[-1]])["cams"] for i in range(3)])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-5 * np.abs(alone).max())


def test_where_the_last_layer_shows_nothing_the_map_is_zero():
    """The maximum of the others would be a map of what the class is not made of."""
    model = stages("relu")
    dense = model.get_layer("scores")
    dense.kernel.assign(-np.abs(dense.kernel.numpy()))
    result = explained(planned(model, layers=2, fusion="maximum"), IMAGES, [[0]] * 3)
    assert not result["cams"].any()
    assert result["finite"].all()


def test_tokens_of_blocks_fuse_on_their_own_grid():
    model = transformers.vit("mean", prefix=0)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    plan = planned(model, layers=2, fusion="product", method="layercam")
    assert plan.grid == (4, 6)
    names = [layer.name for layer in (*plan.earlier, plan.target)]
    single = [
        explained(planned(model, method="layercam", target_layer=name), images, [[1]] * 2)["cams"][:, 0]
        for name in (names[0], "auto")
    ]
    product = heat(single[0]) * heat(single[1]) * np.maximum(single[1], 0).max(axis=(1, 2), keepdims=True)
    assert relative_error(explained(plan, images, [[1]] * 2)["cams"][:, 0], product) < 1e-4


def test_layers_and_fusion_make_another_fingerprint(model):
    options = ({}, {"layers": 2}, {"layers": 3}, {"layers": 2, "fusion": "maximum"}, {"fusion": "maximum"})
    found = [fingerprint_of(planned(traced(model), **each)) for each in options]
    assert len(set(found)) == 4
    assert found[0] == found[4]  # of one layer there is nothing to fuse


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 9}, r"explain.layers: 9, but of the layers up to stage2 only \d are different enough: down0"),
        ({"layers": 2, "precision": "float16"}, "explain.layers: 2: .* computed in float16. Say model.precision"),
        ({"layers": 2, "target_layer": "down0"}, "explain.layers: 2, but of the layers up to down0 only 1"),
    ],
)
def test_what_cannot_be_fused_is_refused(model, options, message):
    with pytest.raises(ModelRefused, match=message):
        planned(model, **options)


def test_attention_maps_are_of_all_blocks_already():
    with pytest.raises(ModelRefused, match="legrad is made of the attention of all blocks already"):
        planned(transformers.vit("mean", prefix=0), layers=2, method="legrad")


def test_layers_that_see_other_parts_of_the_input_are_refused():
    whole, part = (FeatureMap(name, name, side, side, 4, 3, 0.5) for name, side in (("whole", 16), ("part", 8)))
    same_view(whole, (0.0, 0.0, 1.0, 1.0), part, (0.02, 0.0, 1.0, 1.02))  # less than half a cell
    with pytest.raises(ModelRefused, match=r"whole covers \[0.0, 0.0, 1.0, 1.0\] of the input and part \[0.25, 0.0"):
        same_view(whole, (0.0, 0.0, 1.0, 1.0), part, (0.25, 0.0, 0.75, 1.0))


def test_the_layers_of_a_model_that_crops_its_input_lie_over_what_is_left():
    cropping = keras.Sequential(
        [layers.Input((64, 64, 3)), layers.Cropping2D(16), layers.Conv2D(4, 3, strides=2, padding="same"),
         layers.ReLU(name="fine"), layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="coarse"),
         layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )  # fmt: skip
    plan = planned(small_models.randomised(cropping), layers=2)
    assert (plan.grid, plan.seen) == ((16, 16), (0.25, 0.25, 0.75, 0.75))


class Layer:
    def __init__(self, name: str, side: int, share: float):
        self.name, self.height, self.width, self.share_behind = name, side, side, share


def test_the_last_layer_of_each_grid_comes_first_and_then_what_work_lies_between():
    before = [Layer("stem", 16, 0.9), Layer("a1", 8, 0.7), Layer("a1_relu", 8, 0.7), Layer("b1", 4, 0.4)]
    target = Layer("b2", 4, 0.1)
    for count, names in enumerate([["b2"], ["a1_relu", "b2"], ["stem", "a1_relu", "b2"]], start=1):
        assert [layer.name for layer in layers_up_to(target, before, count)] == names
    assert [layer.name for layer in layers_up_to(target, before, 9)] == ["stem", "a1_relu", "b1", "b2"]


def test_a_coarser_map_has_the_mean_of_what_its_cells_cover():
    fine = np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)
    np.testing.assert_allclose(coarsened(fine, 2, 3).numpy()[0, 0], fine.reshape(2, 2, 3, 2).mean(axis=(1, 3)))
