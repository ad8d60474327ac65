"""Measures of maps against slow oracles, and advice on tables whose answer is known."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import transformers
from keras import layers
from small_models import convolutional, explained, planned, randomised, traced

from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.model.planned import PlannedModel
from transforms.model.trust import MEASURES, MethodTable, TrustImages, TrustRow, measure_methods, recommend
from transforms.model.trust.maps import sensible_layers
from transforms.model.trust.measure import baselines, fused, pointing, scrambled
from transforms.model.trust.perturb import SHARES, highest, imputed
from transforms.storage import Storage

quiet = [].append


def model_of(model: keras.Model, **options) -> PlannedModel:
    return PlannedModel(ModelOptions("a test", preprocessing="none", **options), Storage(), live=model)


def photos(count: int, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def bright_spot(count: int = 12):
    """A model that tells how bright the brightest cell is, by colour, and pictures with a spot somewhere."""
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.AveragePooling2D(4)(x)
    x = layers.Conv2D(3, 1, use_bias=True, name="spots")(x)
    x = layers.ReLU(name="features")(x)
    model = keras.Model(image, layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D()(x)))
    # What is brighter than 0.7 in a colour, over the others.
    model.get_layer("spots").set_weights(
        [(np.eye(3) * 1.5 - 0.5).astype(np.float32)[None, None], np.full(3, -0.3, np.float32)]
    )
    model.get_layer("scores").set_weights([np.eye(3, dtype=np.float32) * 300, np.zeros(3, np.float32)])
    noise = np.random.default_rng(1)
    pictures = noise.integers(60, 100, (count, 32, 32, 3)).astype(np.uint8)
    corners = noise.choice([0, 4, 20, 24], (count, 2))  # never at the centre
    for picture, (top, left), colour in zip(pictures, corners, noise.integers(0, 3, count), strict=True):
        picture[top : top + 8, left : left + 8] = 0
        picture[top : top + 8, left : left + 8, colour] = 255
    boxes = [[(left / 32, top / 32, (left + 8) / 32, (top + 8) / 32)] for top, left in corners]
    return model, TrustImages(pictures, boxes)


@pytest.fixture(scope="module")
def spots():
    model, images = bright_spot()
    return measure_methods(model_of(model), images, quiet)


def test_a_map_that_shows_what_decides_beats_both_baselines(spots):
    rows = {(row.method, row.layer, row.fusion): row for row in spots.rows}
    gradcam = rows["gradcam", "features", ""]
    for baseline in ("shuffled", "centre"):
        other = rows[baseline, "", ""]
        assert gradcam.mean("deletion") < other.mean("deletion")
        assert gradcam.mean("insertion") > other.mean("insertion")
        assert gradcam.mean("road") < other.mean("road")
    assert gradcam.mean("pointing") == 1.0  # all peaks in the boxes, none of which holds the centre
    assert rows["centre", "", ""].mean("pointing") == 0.0


def test_and_yet_it_is_not_recommended_where_scrambled_weights_give_the_same_map(spots):
    """One layer on a plain ground answers to the spot whatever its weights are: an edge detector (Adebayo et al.)."""
    gradcam = next(row for row in spots.rows if (row.method, row.layer) == ("gradcam", "features"))
    assert gradcam.mean("scrambled") > 0.9
    advice = recommend(spots)
    assert advice.row is None
    assert "hardly change when the weights are scrambled" in advice.reasons[0]


@pytest.mark.slow
def test_maps_of_the_table_are_those_that_a_job_makes():
    model = transformers.vit("class")
    its_trace = traced(model)
    images = photos(3, 32, 48)
    from transforms.model.trust.maps import EveryMap

    asked = model_of(model)
    layers_ = sensible_layers(asked.plan)
    assert layers_[-1].name == "block2_norm1"
    found = EveryMap(asked, layers_).answers(images, [], np.array([1, 1, 1]))
    for method in ("gradcam", "layercam", "legrad", "attention_rollout"):
        job = explained(planned(its_trace, method=method), images, [[1]] * 3)["cams"][:, 0]
        np.testing.assert_allclose(found.maps[method, "block2_norm1"], job, rtol=1e-3, atol=1e-5 * np.abs(job).max())
    early = explained(planned(its_trace, method="gradcam", target_layer=layers_[0].name), images, [[1]] * 3)
    np.testing.assert_allclose(
        found.maps["gradcam", layers_[0].name], early["cams"][:, 0], rtol=1e-3, atol=1e-5 * np.abs(early["cams"]).max()
    )


def test_the_layers_are_the_target_and_those_before_it_with_work_between_them():
    layers_ = sensible_layers(model_of(convolutional()).plan)
    assert [layer.name for layer in layers_] == ["conv_relu", "features"]


def test_deletion_and_insertion_are_the_areas_under_curves_asked_one_by_one():
    model, images = bright_spot(5)
    table = measure_methods(model_of(model), images, quiet)
    row = next(row for row in table.rows if (row.method, row.layer) == ("gradcam", "features"))
    maps = explained(planned(traced(model)), images.pixels, [[-1]] * 5)["cams"][:, 0]
    import cv2

    for i, (image, cam) in enumerate(zip(images.pixels, maps, strict=True)):
        soft = cv2.GaussianBlur(image, (0, 0), 32 / 8)
        target = int(model.predict(image[None].astype(np.float32), verbose=0).argmax())
        curves = {"deletion": [], "insertion": []}
        for share in (0.0, *SHARES, 1.0):
            heat = cv2.resize(np.maximum(cam, 0), (32, 32)).ravel()
            chosen = np.zeros(1024, bool)
            chosen[sorted(range(1024), key=lambda pixel: -heat[pixel])[: int(share * 1024)]] = True
            chosen = chosen.reshape(32, 32, 1)
            for name, picture in (
                ("deletion", np.where(chosen, soft, image)), ("insertion", np.where(chosen, image, soft))
            ):  # fmt: skip
                scores = model.predict(picture[None].astype(np.float32), verbose=0)[0].astype(np.float64)
                curves[name].append(float(np.exp(scores - scores.max())[target] / np.exp(scores - scores.max()).sum()))
        for name, curve in curves.items():
            area = sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / (len(curve) - 1)
            assert row.values[name][i] == pytest.approx(area, abs=1e-4), name


def test_imputed_pixels_are_the_weighted_means_of_their_neighbours():
    image = photos(1, 24, 24)[0]
    hidden = np.zeros((24, 24), bool)
    hidden[8:13, 9:15] = True
    found = imputed(image, hidden, seed=0).astype(float)
    np.testing.assert_array_equal(found[~hidden], image[~hidden])
    values = image.astype(float)
    values[hidden] = 0
    for _ in range(2000):  # Jacobi's iteration
        old = values.copy()
        for y, x in zip(*np.nonzero(hidden), strict=True):
            direct = old[y - 1, x] + old[y + 1, x] + old[y, x - 1] + old[y, x + 1]
            diagonal = old[y - 1, x - 1] + old[y - 1, x + 1] + old[y + 1, x - 1] + old[y + 1, x + 1]
            values[y, x] = direct / 6 + diagonal / 12
    assert np.abs(found - values)[hidden].mean() < 3  # of 255: the noise


def test_the_highest_pixels_are_those_of_the_map():
    cam = np.zeros((4, 4), np.float32)
    cam[1, 2] = 1.0
    masks = highest(cam, 32, 32)
    assert [mask.sum() for mask in masks] == [int(share * 1024) for share in SHARES]
    assert masks[:, 12, 20, 0].all()


def test_pointing_counts_a_map_without_a_positive_cell_as_a_miss_and_takes_off_what_the_centre_hits():
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0, 0, 1] = 1.0
    maps[1, 1, 0] = 1.0
    right, middle = (0.5, 0.0, 1.0, 0.5), (0.4, 0.4, 0.9, 0.9)
    assert pointing(maps, [[right], [middle], [right]]).tolist() == [0.0, -1.0, -1.0]
    assert np.isnan(pointing(maps[:1], [None])).all()


def test_fusions_join_heatmaps_on_the_finer_grid():
    coarse = np.array([[[4.0, -1.0]]], np.float32)
    fine = np.array([[[0.0, 1.0, 2.0, 4.0]]], np.float32)
    wide = np.array([1.0, 0.75, 0.25, 0.0])  # bilinear, half-pixel centres
    np.testing.assert_allclose(fused([coarse, fine], np.max)[0, 0], np.maximum(wide, [0, 0.25, 0.5, 1]))
    np.testing.assert_allclose(fused([coarse, fine], np.prod)[0, 0], wide * [0, 0.25, 0.5, 1])


def test_baselines_keep_the_cells_and_scrambled_weights_their_numbers():
    maps = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)
    found = baselines(maps, 0)
    for shuffled, own in zip(found["shuffled", "", ""], maps, strict=True):
        assert sorted(shuffled.ravel()) == sorted(own.ravel())
    assert np.unravel_index(found["centre", "", ""][0].argmax(), (5, 7)) == (2, 3)
    weights = {"kernel": np.arange(12.0).reshape(3, 4), "bias": np.arange(4.0)}
    other = scrambled(weights)
    assert sorted(other["kernel"].ravel()) == list(range(12))
    assert not np.array_equal(other["kernel"], weights["kernel"])
    assert other["bias"] is weights["bias"]


def _row(method: str, layer: str, gain: float, road: float, scrambled_: float = 0.1, classes: float = 0.2) -> TrustRow:
    noise = np.random.default_rng(len(method)).normal(0, 0.01, 40)
    values = dict.fromkeys(MEASURES, np.zeros(40))
    values |= {"insertion": gain + noise, "road": np.full(40, road)}
    values |= {"scrambled": np.full(40, scrambled_), "classes": np.full(40, classes)}
    return TrustRow(method, layer, "", values)


BASE = (_row("shuffled", "", 0.1, 0.5), _row("centre", "", 0.2, 0.4))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (_row("gradcam", "x", 0.15, 0.3), "against the centre map"),
        (_row("gradcam", "x", 0.5, 0.45), "ROAD +0.050"),
        (_row("gradcam", "x", 0.5, 0.3, scrambled_=0.8), "hardly change when the weights are scrambled"),
        (_row("gradcam", "x", 0.5, 0.3, classes=0.95), "hardly depend on the class"),
        (_row("attention_rollout", "x", 0.9, 0.1), "same map for every class"),
    ],
)
def test_none_is_recommended_where_none_beats_the_baselines(row, reason):
    advice = recommend(MethodTable((row, *BASE), 40, 0, 1.0))
    assert advice.row is None
    assert advice.reasons[0].startswith("none beats the baselines")
    assert reason in advice.reasons[0]


def test_of_those_that_do_the_best_on_average_is_recommended():
    rows = (_row("gradcam", "x", 0.4, 0.3), _row("layercam", "x", 0.6, 0.2), *BASE)
    advice = recommend(MethodTable(rows, 40, 0, 1.0))
    assert advice.row == 1
    assert "insertion less deletion is +0.5" in advice.reasons[0]
    assert "against the shuffled map" in advice.reasons[0]
    assert recommend(MethodTable(rows, 9, 0, 1.0)).reasons == ("9 images are too few to tell: take 10 or more",)


def test_values_and_cropped_inputs_are_refused():
    cropping = keras.Sequential(
        [layers.Input((48, 48, 3)), layers.Cropping2D(8), layers.Conv2D(8, 3, activation="relu"),
         layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )  # fmt: skip
    with pytest.raises(ModelRefused, match="see their whole input"):
        measure_methods(model_of(randomised(cropping)), TrustImages(photos(2, 48, 48), [None] * 2), quiet)
    with pytest.raises(ModelRefused, match="output is a value"):
        measure_methods(
            model_of(convolutional(None, classes=1), output_kind="value"), TrustImages(photos(2), [None] * 2), quiet
        )


def test_a_row_says_its_name():
    row = dataclasses.replace(BASE[0], method="gradcam", layer="top")
    assert (row.name, BASE[0].name) == ("gradcam at top", "shuffled")
