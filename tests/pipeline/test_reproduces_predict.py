"""The rows of a job against Keras' own ``predict`` on what users feed: load_img, tf.image.resize, a Resizing layer."""

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import skimage.data
import tensorflow as tf
from keras import layers
from PIL import Image
from rich.console import Console
from slow import slow_but_for

from pipeline.config.schema import Config
from pipeline.launch.run import launch

SIDE = 96
NOISE = np.random.default_rng(5)


def classifier(*in_front, shape=(SIDE, SIDE, 3)) -> keras.Model:
    """It looks at fine detail, so that the filter of the resize decides the class: sharp kernels, large weights."""
    model = keras.Sequential(
        [
            layers.Input(shape),
            *in_front,
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(16, 3, activation="relu", padding="same"),
            layers.Conv2D(16, 3, strides=2, activation="relu", padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    noise = np.random.default_rng(1)
    weights = [noise.normal(0, 0.5, w.shape).astype(np.float32) for w in model.get_weights()]
    weights[-2] *= 8
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirteen: photos of scikit-image, as PNG and JPEG, and made-up ones of sizes at which rounding decides."""
    folder = tmp_path_factory.mktemp("photos")
    pictures = {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    pictures["hubble"] = skimage.data.hubble_deep_field()
    pictures["cells"] = skimage.data.immunohistochemistry()
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / f"{name}.png")
        if name in ("coffee", "rocket", "astronaut"):
            Image.fromarray(picture).save(folder / f"{name}.jpg", quality=92)
    for height, width in ((480, 640), (256, 256), (1, 300), (70, 33)):
        made = NOISE.integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(made).save(folder / f"noise-{height}x{width}.png")
    paths = sorted(map(str, folder.iterdir()))
    assert len(paths) == 13
    (folder.parent / "photos.txt").write_text("\n".join(paths))
    return folder.parent / "photos.txt", paths


def rows_of(manifest, output, model, **options) -> dict[str, dict]:
    config = Config.model_validate(
        {
            "input": {"manifest": str(manifest)},
            "model": {"source": str(model), "preprocessing": "none", **options},
            "output": {"path": str(output)},
            "overlays": {"policy": "none"},
        }
    )
    assert launch(config, [], Console(stderr=True)) == 0
    return {row["uri"]: row for row in pq.read_table(output / "statistics").to_pylist()}


def agreement(rows, paths, model, read) -> tuple[int, float]:
    """Images whose top-1 is that of predict, and the largest difference of its probability."""
    same, largest = 0, 0.0
    for path in paths:
        expected = model.predict(read(path)[None], verbose=0)[0]
        row = rows[path]
        same += row["predicted_index"] == expected.argmax()
        largest = max(largest, abs(row["predicted_probability"] - expected[row["predicted_index"]]))
    return same, largest


def load_img(path, interpolation="nearest"):
    return keras.utils.img_to_array(keras.utils.load_img(path, target_size=(SIDE, SIDE), interpolation=interpolation))


def test_nearest_is_load_img_and_areas_are_not(photos, tmp_path):
    manifest, paths = photos
    model = classifier()
    model.save(tmp_path / "model.keras")
    rows = rows_of(manifest, tmp_path / "nearest", tmp_path / "model.keras", interpolation="nearest")
    same, largest = agreement(rows, paths, model, load_img)
    assert same == len(paths)
    assert largest < 1e-5
    areas = rows_of(manifest, tmp_path / "area", tmp_path / "model.keras")
    same, largest = agreement(areas, paths, model, load_img)
    assert same < len(paths)
    assert largest > 0.1


def test_antialias_is_load_img_of_the_same_word(photos, tmp_path):
    manifest, paths = photos
    model = classifier()
    model.save(tmp_path / "model.keras")
    rows = rows_of(manifest, tmp_path / "out", tmp_path / "model.keras", interpolation="bilinear", antialias=True)
    same, largest = agreement(rows, paths, model, lambda path: load_img(path, "bilinear"))
    assert same == len(paths)
    assert largest < 0.02  # Pillow rounds twice


def test_bilinear_is_the_loading_of_image_dataset_from_directory(photos, tmp_path):
    manifest, paths = photos
    model = classifier()
    model.save(tmp_path / "model.keras")
    rows = rows_of(manifest, tmp_path / "out", tmp_path / "model.keras", interpolation="bilinear")

    def read(path):
        pixels = tf.image.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(pixels, (SIDE, SIDE)).numpy()

    same, largest = agreement(rows, paths, model, read)
    assert same == len(paths)
    assert largest < 0.02  # theirs is not rounded to levels


@pytest.mark.parametrize(
    "how", slow_but_for([{}], [{}, {"interpolation": "nearest"}, {"crop_to_aspect_ratio": True, "antialias": True}])
)
def test_a_resizing_layer_in_the_model_is_followed(photos, tmp_path, how):
    manifest, paths = photos
    model = classifier(layers.Resizing(SIDE, SIDE, **how), shape=(None, None, 3))
    model.save(tmp_path / "model.keras")
    rows = rows_of(manifest, tmp_path / "out", tmp_path / "model.keras")
    pngs = [path for path in paths if path.endswith(".png")]  # JPEGs may be decoded at a reduced scale with antialias
    same, largest = agreement(rows, pngs, model, lambda path: keras.utils.img_to_array(keras.utils.load_img(path)))
    assert same == len(pngs)
    assert largest < (1e-5 if how.get("interpolation") == "nearest" else 0.02)
