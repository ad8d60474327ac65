"""Measures of maps against slow oracles, and advice on tables whose answer is known."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import transformers
from bright_spots import spot_model, spot_pictures
from keras import layers
from small_models import convolutional, explained, planned, traced

from transforms.model.errors import IncomparableMethods
from transforms.model.options import ModelOptions
from transforms.model.planned import PlannedModel
from transforms.model.trust import (
    MEASURES,
    MethodTable,
    TrustImages,
    TrustRow,
    measure_methods,
    recommend,
)
from transforms.model.trust.agreement import agreement, over_input, pointing
from transforms.model.trust.maps import EveryMap, places_of, sensible_layers
from transforms.model.trust.measure import baselines, fused, scrambled
from transforms.model.trust.perturb import SHARES, highest, imputed
from transforms.storage import Storage

quiet = [].append


def model_of(model: keras.Model, **options) -> PlannedModel:
    return PlannedModel(ModelOptions("a test", preprocessing="none", **options), Storage(), live=model)


def photos(count: int, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def bright_spot(count: int = 12):
    """See :mod:`bright_spots`."""
    pictures, corners = spot_pictures(count)
    boxes = [[(left / 32, top / 32, (left + 8) / 32, (top + 8) / 32)] for left, top in corners]
    return spot_model(), TrustImages(pictures, boxes)


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


@pytest.mark.parametrize("method", ["layercam", "gradcam++"])
def test_of_rows_that_are_equal_the_plainest_is_recommended(method):
    """One that ranks a little better by chance is no reason to take what fewer readers know."""
    noise = np.random.default_rng(5).normal(0, 0.05, 40)
    better = _row(method, "top", 0.6, 0.2)
    better.values["insertion"] = better.values["insertion"] + 0.005 + noise - noise.mean()
    rows = (_row("gradcam", "early", 0.6, 0.2), better, _row("gradcam", "top", 0.6, 0.2), *BASE)
    fused_ = dataclasses.replace(better, method="gradcam", layer="2 layers", fusion="product")
    advice = recommend(MethodTable((fused_, *rows), 40, 0, 1.0, ("early", "top"), ("early", "top")))
    assert advice.row == 3
    assert advice.reasons[0].startswith("it is as good as gradcam at 2 layers, product, which ranks best: insertion")
    worse = dataclasses.replace(rows[2], values=rows[2].values | {"insertion": rows[2].values["insertion"] - 0.1})
    advice = recommend(MethodTable((better, worse, *BASE), 40, 0, 1.0, ("early", "top"), ("early", "top")))
    assert advice.row == 0


def test_values_are_refused():
    with pytest.raises(IncomparableMethods, match="output is a value"):
        measure_methods(
            model_of(convolutional(None, classes=1), output_kind="value"), TrustImages(photos(2), [None] * 2), quiet
        )


def test_a_map_of_what_a_model_sees_lies_there_in_its_input():
    cam = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    seen = (0.25, 0.5, 0.75, 1.0)
    found = over_input(cam, 8, 16, seen)
    inside = np.zeros((8, 16), bool)
    inside[4:, 4:12] = True
    np.testing.assert_array_equal(~np.isnan(found), inside)
    np.testing.assert_allclose(found[4:, 4:12], over_input(cam, 4, 8, (0, 0, 1, 1)), atol=1e-5)
    masks = highest(cam, 8, 16, seen)
    assert inside[masks[0, ..., 0]].all()  # a fifth of the pixels: of those that the map lies on, which are a quarter
    assert pointing(cam[None], [[(0.6, 0.8, 0.7, 0.9)]], seen).tolist() == [1.0]
    beyond = over_input(cam, 4, 4, (-0.5, -0.5, 1.5, 1.5))  # of a model that pads: the middle of the map
    np.testing.assert_allclose(beyond, over_input(cam, 8, 8, (0, 0, 1, 1))[2:6, 2:6], atol=1e-5)


def test_a_mirrored_map_of_a_part_that_is_not_in_the_middle_is_compared_where_both_lie():
    seen = (0.0, 0.0, 0.75, 1.0)
    scene = np.random.default_rng(2).random((1, 4, 8)).astype(np.float32)  # over the whole image
    own, mirrored = scene[:, :, :6], scene[:, :, ::-1][:, :, :6]
    assert agreement("flip", own, mirrored, 0, (32, 64), seen)[0] > 0.95
    assert agreement("flip", own, own, 0, (32, 64), seen)[0] < 0.9


def test_the_methods_of_a_model_that_crops_are_those_of_what_is_left():
    model, images = bright_spot(10)
    image = keras.Input((48, 48, 3))
    cropping = keras.Model(image, model(layers.Cropping2D(8)(image)))
    noise = np.random.default_rng(4).integers(60, 100, (10, 48, 48, 3)).astype(np.uint8)
    noise[:, 8:40, 8:40] = images.pixels
    boxes = [[tuple((8 + 32 * edge) / 48 for edge in box) for box in own] for own in images.boxes]
    inner = measure_methods(model_of(model), images, quiet)
    asked = model_of(cropping, geometry=(1 / 6, 1 / 6, 5 / 6, 5 / 6))  # a 1 x 1 convolution alone does not tell
    outer = measure_methods(asked, TrustImages(noise, boxes), quiet)
    for name in ("flip", "classes", "pointing"):
        for one, other in zip(inner.rows[0].values[name], outer.rows[0].values[name], strict=True):
            assert other == pytest.approx(one, abs=0.02, nan_ok=True)
    gradcam, shuffled = outer.rows[0], next(row for row in outer.rows if row.method == "shuffled")
    assert gradcam.mean("deletion") < shuffled.mean("deletion")
    assert gradcam.mean("insertion") > shuffled.mean("insertion")


def test_a_slow_model_is_asked_about_fewer_images():
    model, images = bright_spot(30)
    said: list[str] = []
    table = measure_methods(model_of(model), images, said.append, seconds=1e-3)
    assert table.images == 10  # as few as can tell
    assert said[0].startswith("10 of 30 images are asked about: a score takes")
    assert measure_methods(model_of(model), TrustImages(images.pixels[:11], images.boxes[:11]), quiet, 1e6).images == 11


def test_a_layer_is_called_by_a_name_that_no_other_candidate_has():
    plan = model_of(convolutional()).plan
    assert places_of(plan, sensible_layers(plan)) == ("conv_relu", "features")
    twice = dataclasses.replace(plan, candidates=(*plan.candidates, plan.candidates[0]))
    first = plan.candidates[0]
    assert places_of(twice, [first, dataclasses.replace(first, name="x:0"), plan.target]) == (0, 0, "features")


def test_a_row_says_its_name():
    row = dataclasses.replace(BASE[0], method="gradcam", layer="top")
    assert (row.name, BASE[0].name) == ("gradcam at top", "shuffled")
