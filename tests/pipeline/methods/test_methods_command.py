"""``beam-gradcam methods``, as a user calls it."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from bright_spots import spot_model, spot_pictures
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import config_of
from pipeline.methods.command import images_of
from pipeline.pixels import load_refs
from pipeline.sampled import sample_of
from transforms.model.trust import MEASURES


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A model that tells the colour of the brightest spot, and photos with a spot and its box."""
    folder = tmp_path_factory.mktemp("methods")
    spot_model().save(folder / "model.keras")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["uri", "boxes"])
        for number, (picture, (left, top)) in enumerate(zip(*spot_pictures(12), strict=True)):
            cv2.imwrite(str(folder / f"{number}.png"), picture)
            writer.writerow([f"{number}.png", json.dumps([[int(left), int(top), int(left) + 8, int(top) + 8]])])
    return str(folder / "model.keras"), str(folder / "manifest.csv")


def call(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["methods", *arguments])
    return answer.exit_code, answer.output


def test_the_table_has_every_method_and_both_baselines_and_says_why_none_is_recommended(job):
    code, said = call(*job, "--images", "12")
    assert code == 0
    for word in (
        "gradcam",
        "layercam",
        "shuffled",
        "centre",
        "no recommendation: none beats",
        "weights are scrambled",
        *MEASURES,
    ):
        assert word in said
    assert "12 images, 12 with boxes" in said


def test_as_json_it_holds_means_and_intervals(job):
    code, said = call(*job, "--images", "12", "--json")
    found = json.loads(said[said.index("{\n") :])
    assert code == 0
    assert found["images"] == 12
    rows = {(row["method"], row["layer"]): row for row in found["rows"]}
    gradcam, shuffled = rows["gradcam", "features"], rows["shuffled", ""]
    assert gradcam["pointing"] == 1.0
    assert gradcam["deletion"] < shuffled["deletion"]
    low, high = gradcam["intervals"]["deletion"]
    assert low <= gradcam["deletion"] <= high
    assert found["recommended"] is None
    assert "weights are scrambled" in found["reasons"][0]


def test_few_images_give_a_table_and_no_recommendation(job):
    code, said = call(*job, "--images", "3")
    assert code == 0
    assert "no recommendation: 3 images are too few to tell" in said


def test_a_manifest_without_images_is_refused(job, tmp_path):
    (tmp_path / "none.txt").write_text("gone.png\n")
    code, said = call(job[0], str(tmp_path / "none.txt"))
    assert code == 2
    assert "none of 1 images could be loaded" in said


def test_boxes_in_fractions_are_those_in_pixels(job, tmp_path):
    model, manifest = job
    with open(manifest, newline="") as file:
        lines = list(csv.DictReader(file))
    fractions = tmp_path / "fractions.csv"
    with fractions.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["uri", "boxes"])
        for line in lines:
            boxes = [[edge / 32 for edge in box] for box in json.loads(line["boxes"])]
            writer.writerow([str(Path(manifest).parent / line["uri"]), json.dumps(boxes)])
    found = []
    for path, form in ((manifest, "xyxy"), (str(fractions), "normalized")):
        config = config_of({"model": {"source": model}, "input": {"manifest": path, "box_format": form}})
        opened, survey, settings, storage = sample_of(config, 12)
        loaded = load_refs(opened.card, survey.sample, settings, storage)
        boxes = images_of(loaded, settings).boxes
        found.append({Path(one.ref.uri).name: of_one for one, of_one in zip(loaded, boxes, strict=True)})
    assert len(found[0]) == 12
    for name, boxes in found[0].items():
        np.testing.assert_allclose(found[1][name], boxes, atol=1e-6)
