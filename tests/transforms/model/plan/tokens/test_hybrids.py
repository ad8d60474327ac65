"""Networks of convolutions and attention: the layer that an expert would choose, its map against a tape and a file."""

import hybrids
import keras
import numpy as np
import pytest
from slow import slow_but_for
from small_models import explained, planned, relative_error, tape_gradients, traced

from transforms.model.load import load_model
from transforms.model.options import ModelOptions
from transforms.storage import Storage

# Model, the layer, its grid.
MODELS = {
    "MaxViT": (hybrids.maxvit, "stage1_grid_out", (8, 12)),
    "CoAtNet": (hybrids.coatnet, "norm", (4, 6)),
    "MobileViT": (hybrids.mobilevit, "last", (8, 12)),
    "ConvNeXt": (hybrids.convnext, "stage1_1_out", (8, 12)),
    "ConvNeXt of Keras": (hybrids.convnext_of_keras, None, (2, 3)),
    "EfficientFormer": (hybrids.efficientformer, "norm", (8, 12)),
}


@pytest.mark.parametrize("name", slow_but_for(["CoAtNet"], MODELS))
def test_the_map_on_the_last_features_is_that_of_a_tape_of_each_image_alone_and_of_the_saved_model(name, tmp_path):
    build, layer, grid = MODELS[name]
    model, images = build(), hybrids.images()
    plan = planned(traced(model))
    assert (plan.target.height, plan.target.width) == grid
    assert layer is None or plan.target.name == layer
    assert plan.target.share_behind < 0.02
    found = explained(plan, images, [[2], [-1]])
    features = model.get_layer(layer).output if layer else model.get_layer("convnext_keras_head_gap").input
    both = keras.Model(model.input, [features, model.output])
    for number, target in enumerate((2, int(found["classes"][1, 0]))):  # a batch equals its images one by one
        activations, gradients, _ = tape_gradients(
            lambda batch: both(batch, training=False), images[number : number + 1], target
        )
        a, g = (each.reshape(*grid, -1).astype(np.float64) for each in (activations, gradients))
        assert relative_error(found["cams"][number, 0], (g.mean((0, 1)) * a).sum(2)) < 1e-4
    assert np.abs(found["cams"]).max() > 0
    model.export(tmp_path / "saved", verbose=False)
    loaded = load_model(ModelOptions(str(tmp_path / "saved"), preprocessing="none"), Storage())
    saved = explained(planned(loaded, preprocessing="none"), images, [[2], [-1]])
    assert relative_error(saved["cams"], found["cams"]) < 1e-4
    np.testing.assert_allclose(saved["scores"], found["scores"], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("build", "grids"), [(hybrids.coatnet, [16, 8, 4]), (hybrids.efficientformer, [32, 16, 8])])
def test_stages_of_convolutions_fuse_with_those_of_attention(build, grids):
    model, images = build(), hybrids.images()
    plan = planned(traced(model), layers=3, method="layercam", fusion="maximum")
    assert [layer.height for layer in (*plan.earlier, plan.target)] == grids
    found = explained(plan, images, [[1]] * 2)
    assert found["cams"].shape == (2, 1, grids[0], grids[0] * 3 // 2)
    assert found["finite"].all()
