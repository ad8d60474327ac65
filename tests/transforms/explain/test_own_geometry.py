"""Models that crop or pad their input by themselves, from the file of a photo to its row and its overlay."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from transforms.explain.batches import BatchExplainer
from transforms.explain.failure_limit import FailureLimit
from transforms.explain.settings import ExplainSettings
from transforms.explain.shard import explain_shard
from transforms.explain.tally import Tally
from transforms.model import ModelOptions, compile_live, load_compiled
from transforms.overlays import OverlaySettings
from transforms.records import ImageRef, Shard, image_id_of
from transforms.storage import Storage
from transforms.table import TableLocation, statistics_schema

STORAGE = Storage()


def same(value, expected):
    """To float precision; NULL is NULL."""
    return value == (expected if expected is None or isinstance(expected, str) else pytest.approx(expected, rel=1e-6))


REGIONS = {"strip": (0.0, 0.25, 1.0, 0.5), "hidden": (0.0, 0.0, 1.0, 0.05), "all": (0.0, 0.0, 1.0, 1.0)}
# Columns that do not depend on the frame of the model input.
SAME = (
    "status", "target_index", "target_score", "cam_max", "cam_min", "positive_mass", "evidence_sum", "entropy", "gini",
    "effective_area", "blob_count", "border_mass", "border_lift", "center_mass", "padding_mass", "gt_status", "gt_area",
    "gt_mass", "gt_lift", "point_hit", "point_hit_15px", "center_hit", "box_iou", "mask_iou_15", "mask_iou_30",
    "mask_iou_50", "cam",
)  # fmt: skip


def behind(front: list, size: int | tuple[int, int]) -> keras.Model:
    """Brightness alone decides: each cell of 8 x 8 pixels answers for itself."""
    shape = (size, size) if isinstance(size, int) else size
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            layers.Input((*shape, 3)),
            *front,
            layers.Conv2D(8, 8, 8, "valid", activation="relu", kernel_initializer="random_uniform", name="cells"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="scores"),
        ]
    )
    model.get_layer("cells").set_weights([np.full((8, 8, 3, 8), 1 / 192), np.linspace(-160, -110, 8)])
    model.get_layer("scores").set_weights([np.outer(np.ones(8), [1.0, -1.0, 0.5]), np.zeros(3)])
    return model


def disc_on(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    """A white disc on dim noise; x, y and radius in pixels."""
    photo = np.random.default_rng(0).integers(0, 100, (height, width, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width] + 0.5
    photo[np.hypot(rows - y, columns - x) <= radius] = 255
    return photo


def explain(folder, model, photo, boxes, seen=None, **options):
    """The row of the photo and its overlay, RGB."""
    folder.mkdir()
    options = ModelOptions("a test", preprocessing="none", **options)
    card = compile_live(model, options, str(folder / "models"), STORAGE)
    if seen is not None:
        np.testing.assert_allclose(card.seen, seen, atol=1e-12)
    explainer = BatchExplainer(load_compiled(f"{folder}/models/{card.fingerprint}", STORAGE, 2), 2)
    uri = str(folder / "photo.png")
    cv2.imwrite(uri, photo[..., ::-1])
    shard = Shard("0", (ImageRef(uri, image_id_of(uri), boxes=boxes),), 0, 0, 0)
    settings = ExplainSettings(
        TableLocation(str(folder), "r1", card.fingerprint), statistics_schema(tuple(REGIONS)), batch_size=2,
        overlays=OverlaySettings(format="png"), regions=tuple(REGIONS.items()),
    )  # fmt: skip
    (row,) = explain_shard(shard, explainer, settings, STORAGE, FailureLimit(0), Tally()).rows.to_pylist()
    return row, cv2.imread(row["overlay_uri"])[..., ::-1]


def around(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius


@pytest.mark.parametrize(
    "front", [[layers.Cropping2D(((72, 0), (0, 0)))], [layers.Rescaling(1.0), layers.Cropping2D(((72, 0), (0, 0)))]]
)
def test_a_disc_is_reported_where_it_lies(tmp_path, front):
    photo = disc_on(160, 160, 76, 84, 4)  # y = .525, at the top of what the network sees
    row, _ = explain(tmp_path / "m", behind(front, 160), photo, (around(76, 84, 8),), (0, 72 / 160, 1, 1))
    assert (row["peak_x"], row["peak_y"]) == (np.float32(76 / 160), np.float32(84 / 160))
    assert row["point_hit"] == row["point_hit_15px"] == 1.0
    assert (row["centroid_x"], row["centroid_y"]) == (np.float32(76 / 160), np.float32(84 / 160))
    assert row["gt_lift"] == pytest.approx(1 / row["gt_area"], rel=1e-5)
    assert around(76, 84, 13)[1] <= row["box_y0"] < 84 < row["box_y1"] <= 97


CROPS = {
    "Cropping2D": ([layers.Cropping2D(((24, 8), (16, 32)))], (16, 24, 128, 152)),
    "CenterCrop": ([layers.CenterCrop(96, 128)], (24, 32, 152, 128)),
}


@pytest.mark.parametrize("name", CROPS)
@pytest.mark.parametrize("scale", [1, 3])
def test_a_crop_gives_the_numbers_of_the_network_without_it_on_the_cropped_photo(tmp_path, name, scale):
    """Also where the photo is larger than the model input."""
    front, (x0, y0, x1, y1) = CROPS[name]
    front = [layer.__class__.from_config(layer.get_config()) for layer in front]
    height, width = (160, 176) if name == "CenterCrop" else (160, 160)
    photo = disc_on(height, width, 75, 60, 14)
    boxes = (around(70, 66, 12), (100.0, 100.0, 170.0, 170.0))
    large = photo.repeat(scale, 0).repeat(scale, 1)
    scaled = tuple(tuple(edge * scale for edge in box) for box in boxes)
    own, overlay = explain(
        tmp_path / "own", behind(front, (height, width)), large, scaled,
        (x0 / width, y0 / height, x1 / width, y1 / height),
    )  # fmt: skip
    shifted = tuple((a - x0, b - y0, c - x0, d - y1 + y1 - y0) for a, b, c, d in boxes)
    shifted = tuple(tuple(edge * scale for edge in box) for box in shifted)
    cut = large[y0 * scale : y1 * scale, x0 * scale : x1 * scale]
    plain, plain_overlay = explain(tmp_path / "plain", behind([], (y1 - y0, x1 - x0)), cut, shifted, (0, 0, 1, 1))
    for column in SAME:
        assert same(own[column], plain[column]), column
    for column, low, high, size in (("x", x0, x1, width), ("y", y0, y1, height)):
        for what in ("centroid", "peak"):
            expected = (low + plain[f"{what}_{column}"] * (high - low)) / size
            assert own[f"{what}_{column}"] == pytest.approx(expected, rel=1e-6)
        assert own[f"spread_{column}"] == pytest.approx(plain[f"spread_{column}"] * (high - low) / size, rel=1e-6)
        for edge in "01":
            assert own[f"box_{column}{edge}"] == pytest.approx(plain[f"box_{column}{edge}"] + low * scale, abs=1e-3)
    np.testing.assert_array_equal(overlay[y0 * scale : y1 * scale, x0 * scale : x1 * scale], plain_overlay)
    plainly = np.ones(large.shape[:2], bool)
    plainly[y0 * scale : y1 * scale, x0 * scale : x1 * scale] = False
    np.testing.assert_array_equal(overlay[plainly], large[plainly])
    assert (overlay[~plainly] != large[~plainly]).mean() > 0.5


def test_a_models_own_padding_counts_as_padding(tmp_path):
    photo = disc_on(64, 64, 8, 36, 10)
    row, overlay = explain(tmp_path / "m", behind([layers.ZeroPadding2D(16)], 64), photo, (around(8, 36, 8),))
    cam = np.array(row["cam"], np.float64).reshape(12, 12)
    assert (row["cam_height"], row["cam_width"]) == (12, 12)
    outside = np.ones((12, 12), bool)
    outside[2:-2, 2:-2] = False
    assert row["padding_mass"] == pytest.approx(cam[outside].sum() / cam.sum(), abs=1e-4)
    assert (row["peak_x"], row["peak_y"]) == (4 / 64, 36 / 64)
    assert row["point_hit"] == 1.0
    assert row["gt_area"] == pytest.approx(16 * 16 / 96**2)
    assert row["box_x0"] == 0.0
    x = (-16 + 8 * (np.arange(12) + 0.5)) / 64
    assert row["centroid_x"] == pytest.approx(float((cam.sum(axis=0) * x).sum() / cam.sum()), abs=1e-3)
    assert (overlay != photo).any(axis=2).mean() > 0.9
    assert row["region_all_lift"] == pytest.approx((1 - row["padding_mass"]) / (64 / 96) ** 2, rel=1e-4)


def test_a_photo_that_was_cropped_is_not_in_the_models_own_padding(tmp_path):
    """The photo goes on where the model sees zeros: what a crop hid there stays plain."""
    photo = disc_on(64, 128, 64, 32, 10)
    row, overlay = explain(tmp_path / "m", behind([layers.ZeroPadding2D(16)], 64), photo, (), resize="crop")
    np.testing.assert_array_equal(overlay[:, :32], photo[:, :32])
    np.testing.assert_array_equal(overlay[:, -32:], photo[:, -32:])
    assert (overlay[:, 32:-32] != photo[:, 32:-32]).any(axis=2).mean() > 0.9
    cam = np.array(row["cam"], np.float64).reshape(12, 12)
    assert row["padding_mass"] == pytest.approx(1 - cam[2:-2, 2:-2].sum() / cam.sum(), abs=1e-4)
    assert 32 <= row["box_x0"] < row["box_x1"] <= 96


def test_regions_lie_in_the_frame_of_the_input(tmp_path):
    photo = disc_on(160, 160, 76, 60, 20)
    row, _ = explain(tmp_path / "m", behind([layers.Cropping2D(((40, 0), (0, 0)))], 160), photo, None)
    cam = np.array(row["cam"], np.float64).reshape(15, 20)
    share = cam.sum(axis=1) / cam.sum()
    assert row["region_strip_mass"] == pytest.approx(share[:5].sum(), abs=1e-4)  # 40 to 80 pixels: rows 0 to 4
    assert row["region_strip_lift"] == pytest.approx(share[:5].sum() / (5 / 15), rel=1e-3)
    assert (row["region_hidden_mass"], row["region_hidden_lift"]) == (0.0, None)
    assert (row["region_all_mass"], row["region_all_lift"]) == (pytest.approx(1.0), pytest.approx(1.0))


def test_boxes_that_the_model_crops_away_are_out_of_frame(tmp_path):
    photo = disc_on(160, 160, 76, 100, 20)
    model = behind([layers.Cropping2D(((40, 0), (0, 0)))], 160)
    row, _ = explain(tmp_path / "m", model, photo, ((0.0, 0.0, 160.0, 38.0),))
    assert (row["gt_status"], row["gt_area"], row["gt_mass"]) == ("OUT_OF_FRAME", 0.0, None)
    row, _ = explain(tmp_path / "n", model, photo, ((0.0, 0.0, 160.0, 160.0),))
    assert (row["gt_status"], row["gt_area"], row["gt_mass"]) == ("FULL", 1.0, pytest.approx(1.0))


def test_the_crop_in_a_loop_over_the_images(tmp_path):
    """As in Model Garden's exports."""
    inner = behind([], 96)

    def one(image):
        side = tf.cast(0.6 * tf.cast(tf.shape(image)[0], tf.float32), tf.int32)
        start = (tf.shape(image)[0] - side) // 2
        return tf.ensure_shape(tf.slice(image, [start, start, 0], [side, side, -1]), [96, 96, 3])

    @tf.function(input_signature=[tf.TensorSpec([None, 160, 160, 3], tf.float32)])
    def model(images):
        return inner(tf.map_fn(one, images, fn_output_signature=tf.TensorSpec([96, 96, 3], tf.float32)))

    photo = disc_on(160, 160, 52, 60, 12)
    boxes = (around(52, 60, 16),)
    row, overlay = explain(tmp_path / "loop", model, photo, boxes, (0.2, 0.2, 0.8, 0.8), input_size=(160, 160))
    plain, plain_overlay = explain(
        tmp_path / "plain", behind([], 96), photo[32:128, 32:128], (around(20, 28, 16),)
    )  # fmt: skip
    for column in SAME:
        assert same(row[column], plain[column]), column
    np.testing.assert_array_equal(overlay[32:128, 32:128], plain_overlay)
    np.testing.assert_array_equal(overlay[:32], photo[:32])


def test_a_stated_geometry_places_the_map(tmp_path):
    photo = disc_on(96, 96, 40, 60, 14)
    row, overlay = explain(tmp_path / "m", behind([], 96), photo, None, geometry=(0.0, 0.5, 1.0, 1.0))
    plain, _ = explain(tmp_path / "n", behind([], 96), photo, None)
    assert row["centroid_y"] == pytest.approx(0.5 + plain["centroid_y"] / 2, rel=1e-6)
    np.testing.assert_array_equal(overlay[:48], photo[:48])
