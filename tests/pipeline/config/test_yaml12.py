"""Configs as YAML 1.2: what looks like a word is one."""

import pytest
import yaml

from pipeline.config.read import load_config
from pipeline.config.schema import ConfigError
from pipeline.config.yaml12 import load_yaml


def problem(*settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("Yes", "Yes"), ("on", "on"), ("y", "y"), ("true", True), ("FALSE", False), ("~", None),
        ("", None), ("null", None), ("nULL", "nULL"), ("010", 10), ("-7", -7), ("+7", 7), ("0o17", 15), ("0x1F", 31),
        ("0b11", "0b11"), ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("2026-11-26", "2026-11-26"),
        ("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-.inf", float("-inf")), ("1.2.3", "1.2.3"), ("'no'", "no"),
        ("=", "="), ("!!str 5", "5"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema(text, value):
    found = load_yaml(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_anchors_and_merges_are_read():
    found = load_yaml("a: &a {x: .nan, y: no}\nb: {<<: *a, y: 2}\n")
    assert found["a"]["x"] != found["a"]["x"]
    assert found["b"]["y"] == 2
    with pytest.raises(yaml.YAMLError, match="stands twice"):
        load_yaml("a: 1\na: 2")
    with pytest.raises(yaml.YAMLError, match="python"):
        load_yaml("!!python/object/apply:os.system [ls]")


def test_classes_called_no_and_yes_are_classes(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("model: {class_names: [no, yes, 010]}\nexplain: {targets: [no, 7], contrast: off}\n")
    config = load_config(str(path))
    assert config.model.class_names == ("no", "yes", "10")
    assert config.explain.targets == ["no", 7]
    assert config.explain.contrast == "off"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("explain: {targets: [true]}", "explain.targets"),
        ("explain: {targets: [1.5]}", "explain.targets"),
        ("explain: {targets: false}", "explain.targets"),
        ("explain: {contrast: true}", "explain.contrast"),
        ("model: {class_names: [cat, true]}", "model.class_names"),
    ],
)
def test_what_is_no_class_is_to_be_quoted(tmp_path, text, key):
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"{key}: .*a class is an index or a name; write a name in quotes"):
        load_config(str(path))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("output.path=out #2", "out #2"),
        ("input.manifest=*.jpg", "*.jpg"),
        ("input.manifest=[a].csv", "[a].csv"),
        ("input.manifest= padded", " padded"),
        ("input.base=null", None),
        ("input.base=true", "true"),
        ("input.columns.label=1", "1"),
        ("run.id=r2026-11-26", "r2026-11-26"),
        ("overlays.colormap=@x", "@x"),
        ("model.target_layer=12", 12),
        ("model.target_layer=block_*: out", "block_*: out"),
        ("explain.targets=[1, no]", [1, "no"]),
        ("storage.s3.secret=0123", "0123"),
        ("storage.s3.anon=true", True),
        ("beam.parallelism=4", 4),
    ],
)
def test_a_setting_is_a_text_where_its_key_takes_one(setting, value):
    config = load_config(None, [setting])
    found = config
    for key in setting.partition("=")[0].split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value
    assert type(found) is type(value)


READ_AS_SOMETHING_ELSE = ["007", "2026-11-26", "2026-11", "1e5", "1.5", "true", "NULL", "nan", "2026_1", "0x1f"]


@pytest.mark.parametrize("run_id", READ_AS_SOMETHING_ELSE)
def test_run_ids_that_readers_make_something_else_of_are_refused(run_id):
    said = problem(f"run.id={run_id}")
    assert said.endswith(f"since it is the name of a folder run=...; write a letter in front, as r{run_id}")


def test_a_text_that_is_no_choice_of_classes_is_refused_as_a_text():
    assert "'no' is not a choice of target classes" in problem("explain.targets=no")


@pytest.mark.parametrize("run_id", ["r007", "night-2026-11-26", "20261126T071453Z", "v1.2", "e5", "a"])
def test_other_run_ids_pass(run_id):
    assert load_config(None, [f"run.id={run_id}"]).run.id == run_id
