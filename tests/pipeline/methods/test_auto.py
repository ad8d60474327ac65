"""``explain.method: auto``: measured once, kept in the output, the same every night after."""

import io
import json
import re
import shutil

import cv2
import pyarrow.dataset as ds
import pytest
from bright_spots import spot_model, spot_pictures
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import ConfigError, config_of
from pipeline.launch import launch
from transforms.storage import StateError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    spot_model().save(folder / "m.keras")
    lines = ["uri"]
    for number, picture in enumerate(spot_pictures(12)[0]):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        lines.append(f"{number}.png")
    (folder / "m.csv").write_text("\n".join(lines))
    (folder / "few.csv").write_text("\n".join(lines[:5]))
    return folder


def settings(folder, output, manifest="m.csv", model="m.keras", **explain) -> dict:
    return {
        "input": {"manifest": str(folder / manifest)},
        "model": {"source": str(folder / model), "check": 0},
        "explain": {"method": "auto", "batch_size": 4} | explain,
        "output": {"path": str(output)},
        "overlays": {"policy": "none"},
    }


def run(config: dict) -> tuple[str, dict]:
    console = Console(record=True, file=io.StringIO(), width=2000)
    launch(config_of(config), [], console)
    said = console.export_text()
    runs = config["output"]["path"] + "/runs"
    newest = re.findall(r"run (\S+): ", said)[-1]
    with open(f"{runs}/{newest}/summary.json") as file:
        return said, json.load(file)


@pytest.fixture(scope="module")
def first(folder):
    """The first night."""
    return run(settings(folder, folder / "out", "few.csv"))


def kept(folder) -> list:
    return list((folder / "out" / "methods").glob("*.json"))


def test_the_first_run_measures_says_what_it_takes_and_keeps_the_answer(folder, first):
    said, summary = first
    assert "measuring the methods on up to 64 images" in said
    assert "WARNING: explain.method: auto is gradcam: measured on 4 images" in said
    assert "too few to tell" in said
    assert summary["model"]["method"] == "gradcam"
    assert summary["config"]["explain"]["method"] == "gradcam"
    assert any(note.startswith("WARNING: explain.method: auto is gradcam") for note in summary["model"]["notes"])
    (path,) = kept(folder)
    answer = json.loads(path.read_text())
    assert (answer["method"], answer["is_recommended"], answer["images"]) == ("gradcam", False, 4)
    assert {row["method"] for row in answer["table"]["rows"]} >= {"gradcam", "layercam", "shuffled"}


def test_the_next_night_takes_what_was_found_and_explains_only_what_is_new(folder, first):
    """Also where it would find another method on the images that have come: one run's maps must be comparable."""
    said, summary = run(settings(folder, folder / "out"))
    assert "measuring" not in said
    assert (summary["done_before"], summary["explained_now"]) == (4, 8)
    assert summary["fingerprint"] == first[1]["fingerprint"]
    # As if the method had been written by hand.
    by_hand = run(settings(folder, folder / "out", method="gradcam"))[1]
    assert (by_hand["explained_now"], by_hand["fingerprint"]) == (0, first[1]["fingerprint"])


def test_what_methods_has_saved_is_taken_with_its_layers(folder, first, tmp_path):
    (path,) = kept(folder)
    shutil.copytree(path.parent, tmp_path / "methods")
    answer = json.loads(path.read_text()) | {
        "method": "layercam", "target_layer": "spots", "is_recommended": True, "reasons": ["it is so"], "images": 64,
    }  # fmt: skip
    (tmp_path / "methods" / path.name).write_text(json.dumps(answer))
    said, summary = run(settings(folder, tmp_path, "few.csv"))
    assert "note: explain.method: auto is layercam at spots: measured on 64 images" in said
    assert (summary["model"]["method"], summary["model"]["target_layer"]) == ("layercam", "spots")
    rows = ds.dataset(f"{tmp_path}/statistics").to_table()
    assert rows.num_rows == 4

    (tmp_path / "methods" / path.name).write_text('{"method": 3}')
    with pytest.raises(StateError, match="is not what methods found that this version can read"):
        run(settings(folder, tmp_path, "few.csv"))


def test_the_command_saves_for_the_runs_of_an_output(folder, first, tmp_path):
    arguments = [str(folder / "m.keras"), str(folder / "m.csv"), "--images", "11", "--save", str(tmp_path)]
    answer = CliRunner().invoke(app, ["methods", *arguments])
    assert answer.exit_code == 0
    (path,) = (tmp_path / "methods").glob("*.json")
    assert path.name == kept(folder)[0].name  # by the model and its options alone
    assert json.loads(path.read_text())["images"] == 11


def test_a_model_of_values_has_no_methods_to_compare(folder, tmp_path):
    spot_model(units=1).save(folder / "value.keras")
    config = settings(folder, tmp_path, "few.csv", "value.keras")
    config["model"]["output_kind"] = "value"
    said, summary = run(config)
    assert "auto is gradcam: methods are compared by the probability of a class" in said
    assert summary["explained_now"] == 4


def test_an_estimate_does_not_measure_and_an_inspection_does_not_ask(folder, tmp_path):
    asked = ["--set", "explain.method=auto"]
    answer = CliRunner().invoke(app, ["inspect", str(folder / "m.keras"), *asked])
    assert answer.exit_code == 0
    for command in (["compile", str(folder / "m.keras"), str(tmp_path / "c"), *asked],):
        answer = CliRunner().invoke(app, command)
        assert answer.exit_code == 2
        assert "explain.method: auto is found out by a run" in " ".join(answer.output.split())
    (tmp_path / "job.json").write_text(json.dumps(settings(folder, tmp_path / "none", "few.csv")))
    (tmp_path / "job.json").rename(tmp_path / "job.yaml")
    answer = CliRunner().invoke(app, ["run", str(tmp_path / "job.yaml"), "--plan"])
    assert answer.exit_code == 0
    assert "nothing is measured for an estimate" in " ".join(answer.output.split())
    assert not (tmp_path / "none").exists()


def test_auto_finds_out_the_layers_too():
    with pytest.raises(ConfigError, match="method: auto finds out how many layers too"):
        config_of({"explain": {"method": "auto", "layers": 2}})
