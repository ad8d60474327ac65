"""Lines of one image that tell several labels, and corrections of labels, for models of labels and of values."""

import json

import cv2
import numpy as np
import pyarrow.dataset as ds
import pytest
import small_models
from rich.console import Console

from pipeline.config import ConfigError, config_of
from pipeline.launch import launch

NAMES = ("cat", "dog", "grass")
COUNT = 5
OF_THE_RUN = {"run_id", "overlay_uri"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(3)
    for number in range(COUNT):
        small = noise.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (32, 32), interpolation=cv2.INTER_CUBIC))
    return folder


def save_model(folder, units: int, activation: str | None, loss: str) -> None:
    model = small_models.convolutional(activation=activation, classes=units)
    last = model.get_layer("scores")
    last.kernel.assign(last.kernel * 0.02)
    model.compile(loss=loss)
    model.save(folder / "m.keras")


def run(folder, lines: list[str], output: str, **sections) -> tuple[dict, list[dict]]:
    """The summary, and the rows without what tells a run from another."""
    (folder / "m.csv").write_text("\n".join(["uri,label", *lines]))
    settings = {
        "input": {"manifest": str(folder / "m.csv")} | sections.pop("input", {}),
        "model": {"source": str(folder / "m.keras"), "preprocessing": "none", "check": 0} | sections.pop("model", {}),
        "output": {"path": str(folder / output)},
        "overlays": {"policy": "none"},
        **sections,
    }
    launch(config_of(settings), [], Console(quiet=True))
    newest = max((folder / output / "runs").iterdir(), key=lambda run: (run / "summary.json").stat().st_mtime_ns)
    rows = ds.dataset(f"{folder}/{output}/statistics").to_table().to_pylist()
    rows = [{name: value for name, value in row.items() if name not in OF_THE_RUN} for row in rows]
    summary = json.loads((newest / "summary.json").read_text())
    return summary, sorted(rows, key=lambda row: (row["uri"], row["target_index"]))


def test_a_line_for_each_label_makes_several_true_and_a_label_less_is_corrected(photos, tmp_path):
    save_model(tmp_path, 3, "sigmoid", "binary_crossentropy")
    true = [("cat",), ("dog", "grass"), ("grass", "cat", "dog"), (), ("dog",)]
    lines = [f"{photos}/{i}.png,{label}" for i, labels in enumerate(true) for label in labels or ("",)]
    several = {"input": {"conflicts": "multi"}, "model": {"class_names": list(NAMES)}}
    several["explain"] = {"targets": "top_k:3"}
    summary, rows = run(tmp_path, lines, "out", **dict(several))
    assert (summary["images"], summary["events"].get("conflicting_labels")) == (COUNT, None)
    assert [row["label_indices"] for row in rows[::3]] == [
        [0], [1, 2], [0, 1, 2], None, [1]]  # fmt: skip
    lines.remove(f"{photos}/1.png,grass")
    lines[-1] = f"{photos}/4.png,cat"
    summary, corrected = run(tmp_path, lines, "out", **dict(several))
    assert (summary["explained_now"], summary["events"]["corrected_images"]) == (0, 2)
    assert corrected == run(tmp_path, lines, "fresh", **dict(several))[1]
    assert corrected != rows
    summary, again = run(tmp_path, lines, "out", **dict(several))
    assert "corrected_images" not in summary["events"]
    assert again == corrected


def test_values_that_are_corrected_have_another_error(photos, tmp_path):
    save_model(tmp_path, 1, None, "mse")
    lines = [f"{photos}/{i}.png,{i + 0.1}" for i in range(COUNT)]
    run(tmp_path, lines, "out")
    lines[2] = f"{photos}/2.png,7.7"
    lines[3] = f"{photos}/3.png,"
    summary, corrected = run(tmp_path, lines, "out")
    assert (summary["explained_now"], summary["events"]["corrected_images"]) == (0, 2)
    assert [row["label_value"] for row in corrected] == pytest.approx([0.1, 1.1, 7.7, None, 4.1])
    fresh = run(tmp_path, lines, "fresh")[1]
    found, wanted = ([row.pop("error") for row in rows] for rows in (corrected, fresh))
    assert found[3] is None
    assert wanted[3] is None
    np.testing.assert_allclose(np.delete(found, 3).astype(float), np.delete(wanted, 3).astype(float), rtol=1e-6)
    assert corrected == fresh


def test_several_true_labels_are_refused_where_one_class_is_true(photos, tmp_path):
    save_model(tmp_path, 3, "softmax", "categorical_crossentropy")
    with pytest.raises(ConfigError, match="multi is for models of several labels, but the output of this one is cl"):
        run(tmp_path, [f"{photos}/0.png,1"], "out", input={"conflicts": "multi"})
