"""What the families of keras.applications expect of pixels, told by the names of their models and layers."""

import re
from collections.abc import Iterable

# family: name of its models; a layer that only this family has; preprocessing, where the model does none itself.
_FAMILIES: tuple[tuple[str, str, str, str], ...] = (
    ("MobileNet", r"mobilenet_\d.*", r"conv_pw_13_relu", "minus_one_to_one"),
    ("MobileNetV2", r"mobilenetv2_\d.*", r"block_16_project_BN", "minus_one_to_one"),
    (
        "MobileNetV3",
        r"mobilenetv3(small|large).*",
        r"expanded_conv_10_squeeze_excite_conv|expanded_conv_10_project_bn",
        "minus_one_to_one",
    ),
    ("ResNet", r"resnet\d+", r"conv5_block1_3_bn", "caffe"),
    ("ResNetV2", r"resnet\d+v2", r"conv5_block1_preact_bn", "minus_one_to_one"),
    ("VGG", r"vgg1[69]", r"block5_conv3", "caffe"),
    ("InceptionV3", r"inception_v3", r"mixed10", "minus_one_to_one"),
    ("InceptionResNetV2", r"inception_resnet_v2", r"conv_7b_bn", "minus_one_to_one"),
    ("Xception", r"xception", r"block14_sepconv2", "minus_one_to_one"),
    ("DenseNet", r"densenet\d+", r"conv5_block16_concat", "torch"),
    ("NASNet", r"nasnet(_.*)?", r"stem_bn1", "minus_one_to_one"),
    ("ConvNeXt", r"convnext_\w+", r"convnext_\w+_stage_3_block_2_depthwise_conv", "torch"),
)


def convention_of(names: Iterable[str]) -> tuple[str, str] | None:
    """The family and the name of its preprocessing, from the names of a model, its nested models and its layers.

    None where no family, or more than one, is recognised.
    """
    found = {
        (family, preprocessing)
        for name in set(names)
        for family, model, layer, preprocessing in _FAMILIES
        if re.fullmatch(model, name, re.IGNORECASE) or re.fullmatch(layer, name)
    }
    return found.pop() if len(found) == 1 else None
