"""What a config may say of how photos are resized, and what it is told."""

import pytest

from pipeline.config.read import load_config
from pipeline.config.schema import ConfigError


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["interpolation=cubic"], "model.interpolation: 'cubic' is wrong; should be 'auto', 'area', 'nearest'"),
        (["antialias=true"], "model.antialias: True is wrong; it goes with a filter"),
        (["antialias=maybe", "interpolation=bicubic"], "model.antialias: 'maybe' is wrong; should be a valid boolean"),
        (["crop_fraction=0"], "model.crop_fraction: 0 is wrong; write the input's size divided by"),
        (["crop_fraction=87.5"], "model.crop_fraction: 87.5 is wrong"),
        (["crop_fraction=nan"], "model.crop_fraction: 'nan' is wrong"),
        (["crop_fraction=0.875", "resize=pad"], "model.resize: pad shows the whole photo; say crop or stretch"),
        (["pad_color=[0, 0]", "resize=pad"], "model.pad_color: [0, 0] is wrong; write [red, green, blue]"),
        (["pad_color=300", "resize=pad"], "model.pad_color: 300 is wrong"),
        (["pad_color=[0, 0.5, 0]", "resize=pad"], "model.pad_color: [0, 0.5, 0] is wrong"),
        (["pad_color=[1, 2, 3]", "interpolation=area"], "there are bars with model.resize: pad only"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(settings, said):
    with pytest.raises(ConfigError) as refused:
        load_config(None, [f"model.{setting}" for setting in settings])
    assert said in str(refused.value)


def test_all_of_it_reaches_the_model():
    settings = ["resize=crop", "interpolation=bicubic", "antialias=true", "crop_fraction=0.875"]
    options = load_config(None, [f"model.{setting}" for setting in settings]).model_options
    assert (options.resize, options.interpolation, options.antialias, options.crop_fraction) == (
        "crop", "bicubic", True, 0.875,
    )  # fmt: skip
    assert load_config(None, ["model.resize=pad", "model.pad_color=114"]).model_options.pad_color == (114, 114, 114)
    assert load_config(None, ["model.resize=pad", "model.pad_color=[1, 2, 3]"]).model_options.pad_color == (1, 2, 3)
