import os
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest
import yaml

import pipeline
from pipeline.config.read import load_config, redacted
from pipeline.config.schema import Config, ConfigError


def problems(*settings: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings)
    return str(caught.value).splitlines()


def test_without_a_file_the_demo_is_configured():
    config = load_config()
    assert config.input.manifest == "bundled:photos"
    assert config.model.source == "bundled:efficientnet-lite0"
    assert config.explain.targets == "predicted"


def test_settings_win_over_the_file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("input: {manifest: a.csv, limit: 5}\nexplain: {targets: [281, tabby]}\n")
    config = load_config(str(path), ["input.limit=100", "overlays.opacity=0.5", "storage.s3.anon=true"])
    assert (config.input.manifest, config.input.limit) == ("a.csv", 100)
    assert config.explain.targets == [281, "tabby"]
    assert config.overlays.opacity == 0.5
    assert config.storage == {"s3": {"anon": True}}


def test_every_mistake_is_said_at_once_with_its_path_and_what_would_be_right():
    said = problems("input.limit=0", "model.sorce=x", "explain.targets=top", "overlays.colour=red", "nonsense=1")
    assert said == [
        "input.limit: 0 is wrong; should be greater than or equal to 1",
        "model.sorce: unknown key; did you mean source?",
        "explain.targets: 'top' is wrong; 'top' is not a choice of target classes; write predicted, label, "
        "top_k:N with N >= 1, above:P with a probability such as 0.5, or a list of class indices and names such as "
        "[281, tabby]",
        "overlays.colour: unknown key; did you mean colormap?",
        "nonsense: unknown key; the config has input, model, explain, overlays, output, run, audit, compare, storage, "
        "beam",
    ]


@pytest.mark.parametrize(
    "setting",
    ["explain.targets=top_k:0", "explain.targets=[]", "run.id=../up", "run.max_failure_rate=2", "model.input_size=[1]",
     "model.geometry=[0,0,1]", "model.geometry=[0.5,0,0.5,1]", "model.geometry=[1,0,2,1]", "model.geometry=whole",
     "overlays.policy=sample:0", "run.shard_size=0", "explain.batch_size=0", "model.resize=fit"],
)  # fmt: skip
def test_wrong_values_are_refused_under_their_own_key(setting):
    key = setting.partition("=")[0]
    assert all(line.startswith(f"{key}: ") for line in problems(setting))


def test_a_setting_without_a_value_and_a_file_that_is_not_there_are_explained(tmp_path):
    assert problems("input.limit") == ["--set input.limit: write a key and a value, such as --set input.limit=100"]
    with pytest.raises(ConfigError, match="there is no such config file"):
        load_config(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("input: [1, 2")
    with pytest.raises(ConfigError, match="line 1"):
        load_config(str(broken))
    broken.write_text("input: {limit: 1}\nrun: {workers: 2}\ninput: {limit: 2}")
    with pytest.raises(ConfigError, match=r"(?s)the key input stands twice.*line 3"):
        load_config(str(broken))


def test_storage_options_are_not_shown():
    config = Config(storage={"s3": {"key": "AKIA", "secret": "hush"}})
    assert "hush" not in str(redacted(config))


def test_help_answers_in_under_a_second_without_tensorflow():
    before = os.times()
    code = "import sys; sys.argv = ['beam-gradcam', '--help']\ntry:\n import pipeline.cli as cli; cli.main()\n"
    code += "finally:\n assert not {'tensorflow', 'apache_beam', 'pyarrow'} & set(sys.modules), 'heavy import'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Explain every image of a manifest" in done.stdout
    after = os.times()  # of a processor, which a busy machine does not make longer
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


def test_reading_a_config_needs_neither_tensorflow_nor_beam():
    code = "import sys, pipeline.config as c; c.load_config(); print({'tensorflow', 'apache_beam'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_local_yaml_has_every_key_with_its_default():
    path = Path(pipeline.__file__).parents[1] / "configs" / "local.yaml"
    config, written = load_config(str(path)), yaml.safe_load(path.read_text())

    def keys(section):
        return {name: keys(part) if isinstance(part, pydantic.BaseModel) else None for name, part in section}

    def written_keys(tree, known):
        return {name: written_keys(tree[name], known[name]) if known.get(name) else None for name in tree}

    known = keys(Config())
    assert written["input"].pop("columns") == {"uri": "uri"}  # the others must exist once they are named
    others = known["input"].pop("columns")
    assert "labels: [cat, grass]" in path.read_text()
    assert all(f"{name}: {name}" in path.read_text() for name in others if name != "labels")
    assert written_keys(written, known) == known
    assert config.model_copy(update={"input": Config().input}) == Config()
    changed = {name: value for name, value in config.input if value != getattr(Config().input, name)}
    assert changed == {"manifest": "photos.csv"}
