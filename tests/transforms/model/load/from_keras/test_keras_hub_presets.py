"""KerasHub's tasks: ``.keras`` files without trust, preset folders, and what their image converter says of pixels."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from small_models import planned
from transformers import varied

from transforms.model.errors import ModelRefused
from transforms.model.load import digest_source, load_model
from transforms.model.load.from_keras.keras_hub_names import CLASSES
from transforms.model.options import ModelOptions
from transforms.sampling import Sampling
from transforms.storage import Storage

hub = pytest.importorskip("keras_hub", reason="the extra keras-hub is not installed")


@pytest.fixture(scope="module")
def task():
    backbone = hub.models.ViTBackbone(
        image_shape=(32, 48, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    converter = hub.layers.ViTImageConverter(
        image_size=(32, 48), scale=[0.01, 0.02, 0.03], offset=[-1.0, -0.5, 0.25], interpolation="bicubic",
        antialias=True, crop_to_aspect_ratio=True,
    )  # fmt: skip
    preprocessor = hub.models.ViTImageClassifierPreprocessor(image_converter=converter)
    return varied(hub.models.ViTImageClassifier(backbone=backbone, num_classes=5, preprocessor=preprocessor))


@pytest.fixture(scope="module", params=["file", "folder"])
def source(task, request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    if request.param == "file":
        task.save(folder / "task.keras")
        return str(folder / "task.keras")
    task.save_to_preset(str(folder / "preset"))
    return f"keras_hub:{folder / 'preset'}"


def load(source, **options):
    return load_model(ModelOptions(source, **options), Storage())


def test_a_task_is_loaded_without_trust_and_its_converter_says_how_photos_are_prepared(task, source):
    traced = load(source)
    assert (traced.preprocessing.scale, traced.preprocessing.offset) == ((0.01, 0.02, 0.03), (-1.0, -0.5, 0.25))
    assert traced.evidence.kind == "contract"
    assert "image converter" in traced.evidence.seen
    assert (traced.resizing.height, traced.resizing.width) == (32, 48)
    assert traced.resizing.sampling == Sampling("crop", "bicubic", True)
    plan = planned(traced)
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3)).astype(np.uint8)
    (scores,) = traced.function(plan.preprocessing.apply(photo))
    np.testing.assert_allclose(scores, task.predict(photo, verbose=0), atol=1e-4)  # its own preprocessor before it


def test_what_the_user_says_of_preprocessing_counts_and_the_contradiction_is_noted(source):
    traced = load(source, preprocessing="unit")
    assert traced.preprocessing.name == "unit"
    assert any("where the model tells custom" in note for note in traced.notes)


def test_every_class_of_the_allow_list_is_there_and_registered_under_its_name():
    import importlib

    missing = []
    for name, module in CLASSES.items():
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            missing.append(name)
            continue
        assert keras.saving.get_registered_name(found) == f"keras_hub>{name}"
    assert not [name for name in missing if name.endswith(("Backbone", "ImageClassifier"))]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"class_name": "ViTTokenizer"}, "ViTTokenizer"),
        ({"module": "somebody.elses"}, "somebody.elses.ViTBackbone, which is not part of Keras"),
        ({"registered_name": "somebody>Else"}, "not part of Keras"),
    ],
)
def test_other_classes_of_the_file_need_trust(task, tmp_path, change, why):
    task.save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "x.keras", "w") as changed:
        for name in whole.namelist():
            text = whole.read(name)
            if name == "config.json":
                config = json.loads(text)
                config["config"]["backbone"] |= change
                text = json.dumps(config).encode()
            changed.writestr(name, text)
    with pytest.raises(ModelRefused, match=why):
        load(str(tmp_path / "x.keras"))


def test_a_preset_that_names_other_code_is_refused_before_anything_of_it_is_built(task, tmp_path):
    task.save_to_preset(str(tmp_path / "preset"))
    path = tmp_path / "preset" / "task.json"
    config = json.loads(path.read_text())
    config["config"]["backbone"] |= {"module": "os", "class_name": "system", "registered_name": None}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelRefused, match=r"os\.system, which is not part of Keras"):
        load(f"keras_hub:{tmp_path / 'preset'}")


def test_presets_that_are_no_classifiers_are_refused_with_what_works(task, tmp_path):
    with pytest.raises(ModelRefused, match=r"no config\.json"):
        load(f"keras_hub:{tmp_path}")
    task.backbone.save_to_preset(str(tmp_path / "backbone"))
    with pytest.raises(ModelRefused, match=r"backbone without a classifier.*save_to_preset"):
        load(f"keras_hub:{tmp_path / 'backbone'}")
    task.save_to_preset(str(tmp_path / "cut"))
    (tmp_path / "cut" / "task.weights.h5").write_bytes(b"\x89HDF nothing")
    with pytest.raises(ModelRefused, match=r"task\.weights\.h5 is damaged"):
        load(f"keras_hub:{tmp_path / 'cut'}")


def test_without_keras_hub_the_extra_is_named(task, tmp_path, monkeypatch):
    task.save(tmp_path / "task.keras")
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "keras_hub" else find(name))
    with pytest.raises(ModelRefused, match=r"pip install 'beam-gradcam\[keras-hub\]'"):
        load(str(tmp_path / "task.keras"))


def test_the_digest_is_of_the_files_of_a_folder_and_of_the_name_of_a_handle(task, tmp_path):
    task.save_to_preset(str(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    digests = [digest_source(ModelOptions(f"keras_hub:{tmp_path / name}"), Storage()) for name in ("one", "two")]
    assert digests[0] == digests[1]
    (tmp_path / "two" / "config.json").write_text("{}")
    assert digest_source(ModelOptions(f"keras_hub:{tmp_path / 'two'}"), Storage()) != digests[0]
    handles = [digest_source(ModelOptions(name), Storage()) for name in ("hf://google/vit", "hf://google/other")]
    assert handles[0] != handles[1]
