"""Whole jobs of a model with inputs beside the image: each image has its own, from the manifest or from the caller."""

import beam_gradcam as bg
import cv2
import keras
import numpy as np
import pyarrow.dataset as ds
import pytest
from keras import layers
from rich.console import Console

from pipeline.config import ConfigError, config_of
from pipeline.exit_codes import ExitCode
from pipeline.launch import launch

COUNT = 11
INPUTS = {"age": "age", "meta": ["sex", "site_code"], "device": {"value": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a manifest with what it takes beside the photos, and photos of the model's own size."""
    folder = tmp_path_factory.mktemp("beside")
    image, age = keras.Input((32, 32, 3), name="image"), keras.Input((1,), name="age")
    meta, device = keras.Input((2,), name="meta"), keras.Input((1,), name="device")
    features = layers.Conv2D(8, 5, strides=4, activation="relu", name="conv")(layers.Rescaling(1 / 255)(image))
    beside = layers.Dense(8, activation="tanh")(layers.Concatenate()([age, meta, device]))
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(features), beside])
    scores = layers.Dense(3, activation="softmax")(layers.Dense(6, activation="tanh")(joined))
    model = keras.Model({"image": image, "age": age, "meta": meta, "device": device}, scores)
    noise = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(noise.normal(0, 0.7, weight.shape))
    model.save(folder / "m.keras")
    photos, rows = [], noise.normal(0, 1, (COUNT, 3)).round(2)
    for number in range(COUNT):
        photo = cv2.resize(noise.integers(0, 256, (4, 4, 3), np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:02d}.png"), photo[:, :, ::-1])
        photos.append(photo)
    lines = [f"{number:02d}.png,{age},{sex},{site}" for number, (age, sex, site) in enumerate(rows)]
    (folder / "m.csv").write_text("\n".join(["uri,age,sex,site_code", *lines, "lost.png,,1,0", "odd.png,4,x,0"]))
    same = {"image": np.stack(photos).astype(np.float32), "device": np.full((COUNT, 1), 2.0)}
    wanted = model.predict(same | {"age": rows[:, :1], "meta": rows[:, 1:]}, verbose=0)
    return folder, np.stack(photos), rows, wanted


def settings(folder, output, **model):
    return config_of(
        {
            "input": {"manifest": str(folder / "m.csv")},
            "model": {"source": str(folder / "m.keras"), "preprocessing": "none", "inputs": INPUTS} | model,
            "explain": {"batch_size": 4, "faithfulness": 2},
            "output": {"path": str(output)},
            "run": {"id": "r1", "report": True, "controls": True, "max_failure_rate": 0.5},
        }
    )


def test_a_job_gives_each_image_its_own_values_and_what_lacks_them_is_a_row(folder, tmp_path):
    folder, _, rows, wanted = folder
    assert launch(settings(folder, tmp_path / "out"), [], Console(quiet=True)) == ExitCode.DONE
    table = ds.dataset(f"{tmp_path}/out/statistics/run=r1").to_table().to_pylist()
    found = {row["uri"].rpartition("/")[2]: row for row in table}
    assert len(found) == COUNT + 2
    for number in range(COUNT):
        row = found[f"{number:02d}.png"]
        assert row["predicted_index"] == wanted[number].argmax()
        assert row["predicted_probability"] == pytest.approx(wanted[number].max(), rel=1e-4)
        assert float(row["age"]) == rows[number, 0]
    for name, message in (("lost.png", "column age has nothing"), ("odd.png", "column sex has 'x'")):
        assert (found[name]["status"], found[name]["error_stage"]) == ("BAD_INPUT", "input")
        assert message in found[name]["error_message"]
    assert (tmp_path / "out" / "runs" / "r1" / "report" / "index.html").stat().st_size > 10_000
    controls = ds.dataset(f"{tmp_path}/out/runs/r1/controls.parquet").to_table().to_pylist()
    again = {row["uri"].rpartition("/")[2]: row for row in controls if row["control"] == "photos"}
    assert len(again) == COUNT
    for name, row in again.items():  # the model is asked again, with the same values beside the photo
        assert row["predicted_probability"] == pytest.approx(found[name]["predicted_probability"], rel=1e-4)


def test_a_column_that_the_manifest_lacks_stops_the_job(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"no column years for the model's input age; .* it has age, sex, site_code"):
        launch(settings(folder[0], tmp_path / "out", inputs=INPUTS | {"age": "years"}), [], Console(quiet=True))


@pytest.mark.parametrize("option", [3, [], [1], {"values": 3}, {"value": "three"}, {"value": []}])
def test_what_is_neither_a_column_nor_a_value_is_refused(option):
    with pytest.raises(ConfigError, match=r"model\.inputs: .*age: .* is wrong; write a column of the manifest"):
        config_of({"model": {"inputs": {"age": option}}})


def test_images_bring_their_values_in_ones_own_code(folder):
    folder, photos, rows, wanted = folder
    model = bg.open_model(str(folder / "m.keras"), preprocessing="none", inputs=INPUTS, batch_size=4)
    images = [
        bg.Image(photo, inputs={"age": row[0], "meta": row[1:].tolist()})
        for photo, row in zip(photos, rows, strict=True)
    ]
    table = model.explain(images, [0, 1, 2]).table()
    np.testing.assert_allclose(table["target_probability"].to_numpy().reshape(COUNT, 3), wanted, rtol=1e-4)
    (alone,) = model.explain([bg.Image(photos[0], inputs={"age": 1})])
    assert alone.status == "BAD_INPUT"
    assert "column sex has nothing for the model's input meta" in alone.error
    twice = model.explain([bg.Image(photos[0], inputs={"age": age, "meta": [0, 0]}) for age in (-3, 3)], [0])
    assert abs(twice[0].probability - twice[1].probability) > 1e-3  # the same photo, and yet two images
    with pytest.raises(bg.UserError, match="has no input ages that is open; it has age, meta"):
        model.explain([bg.Image(photos[0], inputs={"ages": 1})])
    with pytest.raises(bg.UserError, match="meta takes 2 numbers, 3 are given"):
        model.explain([bg.Image(photos[0], inputs={"age": 1, "meta": [1, 2, 3]})])
