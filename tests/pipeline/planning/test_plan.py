import csv
import json

import pytest
from colour_models import NAMES, colour_classifier, write_pictures
from rich.console import Console
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config.schema import Config
from pipeline.launch.run import launch
from pipeline.planning.plan import plan_run
from transforms.model.errors import ModelRefused


def config(folder, manifest, policy: str = "all", **inputs) -> Config:
    model = colour_classifier()
    path = folder / f"{model.name}.keras"
    model.save(path)
    return Config.model_validate(
        {
            "input": {"manifest": str(manifest), **inputs},
            "model": {"source": str(path), "class_names": list(NAMES), "preprocessing": "minus_one_to_one"},
            "overlays": {"policy": policy},
            "output": {"path": str(folder / "out")},
            "run": {"shard_size": 10},
        }
    )


@pytest.fixture
def manifest(tmp_path):
    return write_pictures(tmp_path)


def lines_of(manifest) -> list[dict]:
    with open(manifest, newline="") as file:
        return list(csv.DictReader(file))


def plan(settings: Config, prices=()) -> tuple:
    said: list[str] = []
    return plan_run(settings, prices, said.append), said


def test_a_plan_counts_what_a_run_then_does_and_writes_nothing(tmp_path, manifest):
    lines = lines_of(manifest)
    with open(manifest, "a") as file:
        file.write(f"{lines[0]['uri']},{lines[0]['label']}\n")  # once more
    settings = config(tmp_path, manifest)
    embedded = settings.explain.model_copy(update={"embedding": True})
    settings = settings.model_copy(update={"explain": embedded})
    before = set(tmp_path.rglob("*"))
    found, _ = plan(settings, [2.0, 0.5])
    assert set(tmp_path.rglob("*")) == before
    assert (found.lines, found.images, found.to_explain, found.done_before) == (
        len(lines) + 1,
        len(lines),
        len(lines),
        0,
    )
    assert found.refused == {}
    assert found.read_requests == len(lines)
    assert launch(settings, [], Console(quiet=True)) == 0
    parts = list((tmp_path / "out" / "statistics").rglob("*.parquet"))
    overlays = [path for path in (tmp_path / "out" / "overlays").rglob("*") if path.is_file()]
    embeddings = list((tmp_path / "out" / "embeddings").rglob("*.parquet"))
    assert found.written_files == len(parts) + len(overlays) + len(embeddings)
    assert len(embeddings) == len(parts)
    assert found.sample.bytes_of_embeddings > 100
    assert found.shards == len(parts)
    encoded = sum((tmp_path / line["uri"]).stat().st_size for line in lines)
    assert found.bytes_read.low <= encoded <= found.bytes_read.high
    assert found.costs[2.0].expected == pytest.approx(2 * found.hours.expected)
    assert found.costs[0.5].high == pytest.approx(0.5 * found.hours.high)
    assert found.hours.low <= found.hours.expected <= found.hours.high
    again, _ = plan(settings)
    assert (again.to_explain, again.done_before, again.sample) == (0, len(lines), None)
    assert (again.bytes_read.expected, again.written_files) == (0, 0)


def test_what_the_doors_would_refuse_is_counted_by_why(tmp_path, manifest):
    with open(manifest, "a") as file:
        file.write("".join(f"ftp://127.0.0.1/{number}.png,\n" for number in range(3)))
        file.write("file:///etc/passwd,\n")
    found, _ = plan(config(tmp_path, manifest, allowed_roots=[str(tmp_path)]))
    assert found.refused == {"below none of input.allowed_roots": 4}
    found, _ = plan(config(tmp_path, manifest))
    assert found.refused == {"on a private host that no root of input.allowed_roots opens": 3}
    assert found.refused_examples[0].startswith("ftp://127.0.0.1/0.png: host '127.0.0.1' is 127.0.0.1")


def test_images_that_fail_in_the_sample_are_told(tmp_path, manifest):
    (tmp_path / lines_of(manifest)[0]["uri"]).write_bytes(b"no picture")
    found, _ = plan(config(tmp_path, manifest))
    assert sum(found.sample.failures.values()) == 1
    assert lines_of(manifest)[0]["uri"].split("/")[-1] in found.sample.failure_examples[0]


def test_what_a_run_would_be_refused_for_is_refused(tmp_path, manifest):
    settings = config(tmp_path, manifest)
    wrong = settings.model_copy(update={"model": settings.model.model_copy(update={"preprocessing": "none"})})
    with pytest.raises(ModelRefused, match="pixels do not suit the model"):
        plan(wrong)


def test_the_command_prints_a_line_of_json(tmp_path, manifest):
    settings = config(tmp_path, manifest, "tar")
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(settings.model_dump(mode="json", exclude_unset=True)))
    done = CliRunner().invoke(app, ["run", str(path), "--plan", "--price", "1.5"])
    assert done.exit_code == 0
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["exit_code"] == 0
    assert told["written_files"] == 2 * told["shards"]
    assert told["costs"]["1.5"]["expected"] == pytest.approx(1.5 * told["hours"]["expected"])
    assert len(told["sample"]["seconds"]) == 3
    assert not (tmp_path / "out").exists()
