"""A model of 16-bit pictures over files of 16 and of 8 bits: the rows of a job against Keras' own ``predict``."""

import cv2
import encoded
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from keras import layers
from PIL import Image
from rich.console import Console

from pipeline.config.schema import Config
from pipeline.launch.run import launch
from transforms.model.compile import compile_model
from transforms.model.compiled import load_compiled
from transforms.model.errors import ModelRefused
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

SIDE = 32


def classifier(*in_front, dtype="float32") -> keras.Model:
    """It amplifies dark pictures, of which 8 bits hold two levels."""
    model = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3), dtype=dtype),
            *in_front,
            layers.Conv2D(8, 3, activation="relu", padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    noise = np.random.default_rng(2)
    weights = [noise.normal(0, 0.5, w.shape).astype(np.float32) for w in model.get_weights()]
    weights[-3] *= 0  # the biases of the convolution
    weights[-2] *= 100
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """URI -> uint16 RGB at the size of the input, so that no resize comes between."""
    folder = tmp_path_factory.mktemp("deep")
    noise = np.random.default_rng(4)
    pictures = {}
    for number in range(4):
        pixels = noise.integers(0, 600, (SIDE, SIDE, 3)).astype(np.uint16)  # dark: two levels of 255
        (folder / f"{number}.png").write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
        (folder / f"{number}.tif").write_bytes(encoded.encode_tiff(pixels, photometric="rgb"))
        pictures |= {str(folder / f"{number}.{kind}"): pixels for kind in ("png", "tif")}
    flat = noise.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    Image.fromarray(flat).save(folder / "flat.png")
    pictures[str(folder / "flat.png")] = flat.astype(np.uint16) * 257
    (folder.parent / "deep.txt").write_text("\n".join(pictures))
    return folder.parent / "deep.txt", pictures


def rows_of(manifest, output, model, preprocessing, **run) -> dict[str, dict]:
    config = Config.model_validate(
        {
            "input": {"manifest": str(manifest)},
            "model": {"source": str(model), "preprocessing": preprocessing},
            "output": {"path": str(output)},
            "explain": {"faithfulness": 2 if run else 0},
            "run": run,
        }
    )
    assert launch(config, [], Console(stderr=True)) == 0
    return {row["uri"]: row for row in pq.read_table(output / "statistics").to_pylist()}


@pytest.mark.parametrize("in_front", [[], pytest.param([layers.Rescaling(1 / 65535)], marks=pytest.mark.slow)])
def test_rows_are_those_of_predict_and_eight_bits_are_not_enough(photos, tmp_path, in_front):
    manifest, pictures = photos
    model = classifier(*in_front)
    model.save(tmp_path / "model.keras")
    scale = 1.0 if in_front else 1 / 65535
    rows = rows_of(
        manifest, tmp_path / "deep", tmp_path / "model.keras", {"bits": 16, "scale": scale}, controls=True, report=True
    )
    flat = rows_of(manifest, tmp_path / "flat", tmp_path / "model.keras", {"scale": 257 * scale})
    lost = 0.0
    for uri, pixels in pictures.items():
        expected = model.predict(pixels[None].astype(np.float32) * scale, verbose=0)[0]
        row = rows[uri]
        assert row["predicted_index"] == expected.argmax()
        assert row["predicted_probability"] == pytest.approx(expected.max(), abs=1e-5)
        assert row["overlay_uri"] is not None
        lost = max(lost, abs(flat[uri]["target_probability"] - expected[flat[uri]["target_index"]]))
        # Brightness and so on are of 0..1, whatever the bits.
        assert row["brightness"] == pytest.approx(flat[uri]["brightness"], abs=1 / 255)
    assert lost > 0.02
    controls = next((tmp_path / "deep" / "runs").glob("*/controls.parquet"), None)
    assert controls is not None
    curves = pq.read_table(controls.parent / "faithfulness.parquet").to_pylist()
    assert len(curves) == 2
    assert all(0 <= row[name] <= 1 for row in curves for name in ("deletion", "insertion"))
    noise = [row for row in pq.read_table(controls).to_pylist() if row["control"] == "noise"]
    assert noise[0]["brightness"] == pytest.approx(0.5, abs=0.05)


def test_the_compiled_model_takes_sixteen_bits_and_nothing_else(tmp_path):
    model = classifier()
    model.save(tmp_path / "model.keras")
    options = ModelOptions(str(tmp_path / "model.keras"), preprocessing={"bits": 16, "scale": 1 / 65535})
    card = compile_model(options, str(tmp_path), Storage())
    assert (card.bits, card.pixel_type) == (16, np.uint16)
    flat = compile_model(ModelOptions(options.source, preprocessing={"scale": 1 / 65535}), str(tmp_path), Storage())
    assert (flat.bits, flat.pixel_type) == (8, np.uint8)
    assert flat.fingerprint != card.fingerprint
    compiled = load_compiled(f"{tmp_path}/{card.fingerprint}", Storage(), batch_size=1)
    pixels = np.random.default_rng(0).integers(0, 65536, (2, SIDE, SIDE, 3)).astype(np.uint16)
    found = compiled.explain(pixels, np.full((2, 1), -1, np.int32))
    expected = model.predict(pixels.astype(np.float32) / 65535, verbose=0)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"images are uint8 .*, the model takes uint16"):
        compiled.explain(pixels.astype(np.uint8), np.full((2, 1), -1, np.int32))


def test_channels_can_be_reversed_in_sixteen_bits(tmp_path):
    model = classifier()
    model.save(tmp_path / "model.keras")
    options = ModelOptions(str(tmp_path / "model.keras"), preprocessing={"bits": 16, "scale": 1 / 65535, "bgr": True})
    card = compile_model(options, str(tmp_path), Storage())
    compiled = load_compiled(f"{tmp_path}/{card.fingerprint}", Storage(), batch_size=1)
    pixels = np.random.default_rng(0).integers(0, 65536, (2, SIDE, SIDE, 3)).astype(np.uint16)
    expected = model.predict(pixels[..., ::-1].astype(np.float32) / 65535, verbose=0)
    np.testing.assert_allclose(compiled.explain(pixels, np.zeros((2, 1), np.int32)).probabilities, expected, atol=1e-5)


def test_an_input_of_uint16_is_given_sixteen_bits_and_one_of_uint8_cannot_be(tmp_path):
    wide = classifier(layers.Rescaling(1 / 65535), dtype="uint16")
    wide.save(tmp_path / "wide.keras")
    card = compile_model(ModelOptions(str(tmp_path / "wide.keras")), str(tmp_path), Storage())
    assert card.bits == 16
    pixels = np.random.default_rng(0).integers(0, 65536, (2, SIDE, SIDE, 3)).astype(np.uint16)
    compiled = load_compiled(f"{tmp_path}/{card.fingerprint}", Storage(), batch_size=1)
    found = compiled.explain(pixels, np.zeros((2, 1), np.int32)).probabilities
    np.testing.assert_allclose(found, wide.predict(pixels, verbose=0), atol=1e-5)
    narrow = classifier(layers.Rescaling(1 / 255), dtype="uint8")
    narrow.save(tmp_path / "narrow.keras")
    options = ModelOptions(str(tmp_path / "narrow.keras"), preprocessing={"bits": 16})
    with pytest.raises(ModelRefused, match=r"takes pixels of 8 bits.*leave model.preprocessing.bits out"):
        compile_model(options, str(tmp_path), Storage())


def test_no_model_takes_sixteen_bits_too(tmp_path):
    card = compile_model(ModelOptions("none", preprocessing={"bits": 16}), str(tmp_path), Storage())
    assert card.fingerprint == "no-model-224x224-stretch-bits=16"
    pixels = np.full((1, 224, 224, 3), 200 * 257, np.uint16)
    found = load_compiled(f"{tmp_path}/{card.fingerprint}", Storage()).explain(pixels, np.zeros((1, 1), np.int32))
    np.testing.assert_allclose(found.cams, 72.5)
