"""Image classifiers of KerasHub, tiny and with random weights: the map against a tape, their SavedModel too."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import transformers as models
from slow import slow_but_for
from small_models import explained, planned, relative_error, traced

from transforms.model.load import load_model
from transforms.model.options import ModelOptions
from transforms.storage import Storage

hub = pytest.importorskip("keras_hub.models", reason="the extra keras-hub is not installed")


def vit(pooling: str):
    backbone = hub.ViTBackbone(
        image_shape=(32, 48, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32,
        use_class_token=pooling == "token",
    )  # fmt: skip
    return hub.ViTImageClassifier(backbone=backbone, num_classes=5, pooling=pooling)


def deit():
    backbone = hub.DeiTBackbone(
        image_shape=(32, 48, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32
    )
    return hub.DeiTImageClassifier(backbone=backbone, num_classes=5)


def swin():
    backbone = hub.SwinTransformerBackbone(
        image_shape=(64, 64, 3), patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=4
    )
    return hub.SwinTransformerImageClassifier(backbone=backbone, num_classes=5)


def resnet():
    backbone = hub.ResNetBackbone(
        image_shape=(64, 96, 3), input_conv_filters=[64], input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 16], stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )  # fmt: skip
    return hub.ResNetImageClassifier(backbone=backbone, num_classes=5)


def mobilenet():
    backbone = hub.MobileNetBackbone(
        image_shape=(64, 96, 3), stackwise_expansion=[[8], [12, 8]], stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [8, 8]], stackwise_kernel_size=[[3], [5, 5]], stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[0.25], [None, 0.25]], stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1], [2, 2]], input_num_filters=8, output_num_filters=16,
        input_activation="hard_swish", output_activation="hard_swish", depthwise_filters=8,
        depthwise_stride=2, depthwise_residual=False, squeeze_and_excite=0.5, last_layer_filter=16,
    )  # fmt: skip
    return hub.MobileNetImageClassifier(backbone=backbone, num_classes=5)


def efficientnet():
    backbone = hub.EfficientNetBackbone(
        input_shape=(64, 96, 3), stackwise_width_coefficients=[1.0] * 2, stackwise_depth_coefficients=[1.0] * 2,
        stackwise_kernel_sizes=[3, 3], stackwise_num_repeats=[1, 1], stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16], stackwise_expansion_ratios=[1, 4], stackwise_strides=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25], stackwise_block_types=["v1", "v1"],
        stackwise_force_input_filters=[0, 0], stackwise_nores_option=[False, False], num_features=16,
    )  # fmt: skip
    return hub.EfficientNetImageClassifier(backbone=backbone, num_classes=5)


# Model, the end of the name of the layer that an expert would choose, tokens in front of the patches, grid.
MODELS = {
    "ViT": (lambda: vit("token"), "transformer_block_2/ln_1", 1, (4, 6)),
    "ViT, mean": (lambda: vit("gap"), "vit_encoder/ln", 0, (4, 6)),
    "DeiT": (deit, "transformer_block_2/ln_1", 2, (4, 6)),
    "Swin": (swin, "norm", 0, (8, 8)),
    "ResNet": (resnet, None, 0, (8, 12)),
    "MobileNet": (mobilenet, None, 0, (4, 6)),
    "EfficientNet": (efficientnet, None, 0, (16, 24)),
}


@pytest.mark.parametrize("name", slow_but_for(["ViT, mean"], MODELS))
def test_the_map_is_that_of_a_tape_and_of_the_saved_model(name, tmp_path):
    build, layer, prefix, (height, width) = MODELS[name]
    model = models.varied(build())
    images = np.random.default_rng(1).integers(0, 256, (2, *model.input_shape[1:])).astype(np.uint8)
    plan = planned(traced(model))
    assert (plan.target.height, plan.target.width) == (height, width)
    if layer is not None:
        assert plan.target.name.endswith(layer)
    found = explained(plan, images, [[2]] * 2)
    np.testing.assert_allclose(
        found["scores"], model.predict(images.astype(np.float32), verbose=0), rtol=1e-3, atol=1e-4
    )
    expected = [tape_gradcam(model, plan, image, prefix) for image in images.astype(np.float32)]
    assert relative_error(found["cams"][:, 0], np.stack(expected)) < 1e-4
    model.export(tmp_path / "saved", verbose=False)
    options = ModelOptions(str(tmp_path / "saved"), preprocessing="none")
    saved = explained(planned(load_model(options, Storage()), preprocessing="none"), images, [[2]] * 2)
    assert relative_error(saved["cams"], found["cams"]) < 1e-4


def tape_gradcam(model: keras.Model, plan, image: np.ndarray, prefix: int) -> np.ndarray:
    """The layer's output, caught while the model is called; its gradient; the paper's formula."""
    caught: list[tf.Tensor] = []
    path = plan.target.name.split("/")
    layer = next(
        each for each in model._flatten_layers()
        if str(each.path).endswith("/".join(path[1:])) or (each.path is None and each.name == path[-1])
    )  # fmt: skip
    call = layer.call

    def catching(*arguments, **keywords):
        caught.append(call(*arguments, **keywords))
        return caught[-1]

    layer.call = catching
    with tf.GradientTape() as tape:
        score = model(image[None], training=False)[0, 2]
    layer.call = call
    tokens, gradient = (t.numpy()[0].astype(np.float64) for t in (caught[-1], tape.gradient(score, caught[-1])))
    tokens, gradient = (
        each[prefix:].reshape(plan.target.height, plan.target.width, -1) for each in (tokens, gradient)
    ) if tokens.ndim == 2 else (tokens, gradient)  # fmt: skip
    return (gradient.mean((0, 1)) * tokens).sum(2)
