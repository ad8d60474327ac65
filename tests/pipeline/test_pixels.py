"""Runs start only with the pixels that their model was made for; the check is kept, shown and reported."""

import csv
import json
import re

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from colour_models import NAMES, colour_classifier, pixels_of, write_pictures
from rich.console import Console
from typer.testing import CliRunner

import pipeline.pixels
from pipeline.cli import app
from pipeline.config.schema import Config
from pipeline.launch.run import launch
from transforms.model.errors import ModelRefused

CONSOLE = Console(stderr=True)


@pytest.fixture
def manifest(tmp_path):
    return write_pictures(tmp_path)


def config(tmp_path, manifest, model, columns=None, report=False, **options) -> Config:
    path = tmp_path / f"{model.name}.keras"
    model.save(path)
    return Config.model_validate(
        {
            "input": {"manifest": str(manifest), "columns": columns or {}},
            "model": {"source": str(path), "class_names": list(NAMES), **options},
            "overlays": {"policy": "none"},
            "output": {"path": str(tmp_path / "out")},
            "run": {"report": report},
        }
    )


def rows_of(tmp_path) -> list[dict]:
    return pq.read_table(tmp_path / "out" / "statistics").to_pylist()


def summaries(tmp_path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("runs/*/summary.json"))]


def normed(mean: float, deviation: float):
    return keras.layers.Normalization(mean=[mean], variance=[deviation**2])


FRONTS = {
    "Normalization of 0..1": ([normed(0.5, 0.5)], 255.0),
    "Rescaling of 0..1": ([keras.layers.Rescaling(2.0, -1.0)], 255.0),
    "Rescaling of 16 bits": ([keras.layers.Rescaling(2 / 65535, -1.0)], 1 / 257),
    "Rescaling of 0..255": ([keras.layers.Rescaling(1 / 127.5, -1.0)], 1.0),
}


@pytest.mark.parametrize("front", FRONTS)
def test_the_rows_are_what_keras_predicts(tmp_path, manifest, front):
    layers, divisor = FRONTS[front]
    model = colour_classifier(*layers)
    assert launch(config(tmp_path, manifest, model), [], CONSOLE) == 0
    pixels = pixels_of(manifest)
    wanted = model.predict(pixels / divisor, verbose=0)
    found = {row["uri"]: row for row in rows_of(tmp_path)}
    with open(manifest, newline="") as file:
        for line, scores in zip(csv.DictReader(file), wanted, strict=True):
            row = found[line["uri"]]
            assert row["predicted_index"] == scores.argmax() == int(line["label"])
            assert row["predicted_probability"] == pytest.approx(scores.max(), abs=1e-4)
    (summary,) = summaries(tmp_path)
    assert summary["check"]["images"] == summary["check"]["labelled"] == len(pixels)
    assert summary["check"]["evidence"] == "chain"
    assert summary["check"]["rows"][0]["accuracy"] == 1.0


def test_a_guess_that_labels_contradict_is_refused_before_anything_is_written(tmp_path, manifest):
    model = colour_classifier()
    with pytest.raises(
        ModelRefused, match=r"Taken is none, for want of evidence; but by 33 labels minus_one_to_one is"
    ):
        launch(config(tmp_path, manifest, model), [], CONSOLE)
    assert not list((tmp_path / "out").glob("runs/*"))
    for said in ("unit", {"scale": 1 / 127.5, "offset": -1.0, "bgr": True}):
        with pytest.raises(ModelRefused, match=r"as the config says; but by 33 labels minus_one_to_one is better"):
            launch(config(tmp_path, manifest, model, preprocessing=said), [], CONSOLE)
    assert launch(config(tmp_path, manifest, model, preprocessing="minus_one_to_one"), [], CONSOLE) == 0


def test_coarse_errors_show_without_labels(tmp_path):
    manifest = write_pictures(tmp_path, labels=False)
    with pytest.raises(ModelRefused, match=r"tell the images apart far better with .*mutual information"):
        launch(config(tmp_path, manifest, colour_classifier()), [], CONSOLE)


def test_a_warning_lets_it_pass_and_off_is_off(tmp_path, manifest, capsys):
    model = colour_classifier()
    assert launch(config(tmp_path, manifest, model, check_policy="warn"), [], CONSOLE) == 0
    assert "WARNING: The pixels do not suit the model" in capsys.readouterr().err.replace("\n", " ")
    assert launch(config(tmp_path, manifest, model, check=0), [], CONSOLE) == 0
    assert [summary["check"] is None for summary in summaries(tmp_path)] == [False, True]


def test_nights_do_not_pay_for_the_check_again(tmp_path, manifest, monkeypatch):
    job = config(tmp_path, manifest, colour_classifier(), preprocessing="minus_one_to_one", report=True)
    assert launch(job, [], CONSOLE) == 0
    monkeypatch.setattr(pipeline.pixels, "measure_refs", lambda *_: pytest.fail("the model was loaded again"))
    assert launch(job, [], CONSOLE) == 0
    first, second = summaries(tmp_path)
    assert first["check"] == second["check"]
    assert len(list((tmp_path / "out").glob("models/*/pixels-*.json"))) == 1
    page = next((tmp_path / "out").glob("runs/*/report/index.html")).read_text()
    assert "The model was given <b>minus_one_to_one</b>" in page
    assert re.search(r"<td><b>minus_one_to_one</b></td><td>100(\.0)?\W*%", page)


def test_pictures_that_fail_are_left_out_of_the_check(tmp_path, manifest):
    (tmp_path / "red-0.png").write_bytes(b"no picture")
    job = config(tmp_path, manifest, colour_classifier(), preprocessing="minus_one_to_one")
    assert launch(job, [], CONSOLE) == 1
    (summary,) = summaries(tmp_path)
    assert (summary["check"]["images"], summary["failures"]) == (32, 1)


def test_expected_predictions_are_columns_and_a_condition(tmp_path, manifest):
    with open(manifest, newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line["mine"] = NAMES[int(line["label"])]
    lines[0]["mine"] = ""
    own = tmp_path / "own.csv"

    def write() -> None:
        with open(own, "w", newline="") as file:
            writer = csv.DictWriter(file, ["uri", "mine"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)

    write()
    model, columns = colour_classifier(), {"expected": "mine"}
    options = {"preprocessing": "minus_one_to_one"}
    assert launch(config(tmp_path, own, model, columns, **options), [], CONSOLE) == 0
    found = {row["uri"]: row for row in rows_of(tmp_path)}
    assert [found[line["uri"]]["expected_index"] for line in lines] == [
        None,
        0,
        0,
        *np.repeat(range(1, 11), 3).tolist(),
    ]
    assert [found[line["uri"]]["agrees"] for line in lines] == [None] + [True] * 32
    for line in lines[1:3]:
        line["mine"] = "red"
    write()
    with pytest.raises(ModelRefused, match=r"only 93\.8 % of 32 predictions are those of input\.columns\.expected"):
        launch(config(tmp_path, own, model, columns, **options), [], CONSOLE)
    assert launch(config(tmp_path, own, model, columns, min_agreement=0.9, **options), [], CONSOLE) == 0


def test_the_users_own_code_is_a_condition(tmp_path, manifest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training_code_of_colours.py").write_text(
        "import cv2, numpy as np\n"
        "def fed(content):\n"
        "    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)\n"
        "    return bgr[..., ::-1] / 127.5 - 1\n"
        "def blue_first(content):\n"
        "    return fed(content)[None, ..., ::-1]\n"
        "def small(content):\n"
        "    return fed(content)[:8]\n"
        "def broken(content):\n"
        "    raise KeyError('nothing')\n"
    )

    def run(function: str) -> int:
        options = {"preprocessing": "minus_one_to_one", "reference": f"training_code_of_colours:{function}"}
        return launch(config(tmp_path, manifest, colour_classifier(), **options), [], CONSOLE)

    assert run("fed") == 0
    (summary,) = summaries(tmp_path)
    taken = summary["check"]["rows"][0]
    assert taken["reference_agreement"] == 1.0
    assert taken["input_difference"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(ModelRefused, match=r"of model\.reference .*the nearest is minus_one_to_one, BGR with 100\.0 %"):
        run("blue_first")
    for function, message in {
        "small": r"gives float64 \[8, 16, 3\], the model takes \[16, 16, 3\]",
        "broken": "failed: KeyError: 'nothing'",
        "absent": "has no function absent",
    }.items():
        with pytest.raises(ModelRefused, match=message):
            run(function)


def test_the_command_shows_the_table_and_what_a_run_would_do(tmp_path, manifest):
    colour_classifier().save(tmp_path / "m.keras")
    command = ["check", str(tmp_path / "m.keras"), str(manifest)]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "REFUSED: The pixels do not suit the model" in refused.stdout
    assert re.search(r"none +area  <- taken", refused.stdout)
    assert re.search(r"minus_one_to_one +bicubic, antialias +100\.0%", refused.stdout)
    right = CliRunner().invoke(app, [*command, "--json", "--set", "model.preprocessing=minus_one_to_one"])
    assert right.exit_code == 0
    answer = json.loads(right.stdout)
    assert (answer["exit_code"], answer["refusal"], answer["rows"][0]["accuracy"]) == (0, None, 1.0)
    filters = ["nearest, antialias", "bilinear, no antialias", "bilinear, antialias", "bicubic, antialias"]
    assert [row["filter"] for row in answer["filters"]] == filters
    assert CliRunner().invoke(app, ["check", str(tmp_path / "none.keras"), str(manifest)]).exit_code == 2
