"""What a file may name of KerasHub without ``model.trust``: its image classifiers and what they are made of.

They compute, and read no files: a backbone, a classifier, and the converter of images in its preprocessor. Tokenizers,
which read vocabularies, and whatever else KerasHub has, ask for trust. No TensorFlow here.
"""

import importlib
import importlib.util
from typing import Any

from transforms.model.errors import ModelRefused

_FAMILIES = {
    "CSPNet": "cspnet",
    "DeiT": "deit",
    "DenseNet": "densenet",
    "EfficientNet": "efficientnet",
    "HGNetV2": "hgnetv2",
    "MiT": "mit",
    "MobileNet": "mobilenet",
    "MobileNetV5": "mobilenetv5",
    "ResNet": "resnet",
    "SwinTransformer": "swin_transformer",
    "VGG": "vgg",
    "ViT": "vit",
    "Xception": "xception",
}
_PARTS = {
    "Backbone": "backbone",
    "ImageClassifier": "image_classifier",
    "ImageClassifierPreprocessor": "image_classifier_preprocessor",
    "ImageConverter": "image_converter",
}
CLASSES = {
    family + part: f"keras_hub.src.models.{folder}.{folder}_{file}"
    for family, folder in _FAMILIES.items()
    for part, file in _PARTS.items()
}
"""Name -> the module that the class is registered from."""


def is_harmless_hub_class(name: str, module: str | None, registered: str | None) -> bool:
    """Whether all three are those of one of :data:`CLASSES`, so that Keras finds that class and no other."""
    return name in CLASSES and module == CLASSES[name] and registered == f"keras_hub>{name}"


def hub_classes(names: set[str], source: str) -> dict[str, Any]:
    """The classes of these names, by what they are registered as.

    Raises:
        ModelRefused: KerasHub is not installed, or is one that does not have them.
    """
    if not names:
        return {}
    import_keras_hub(source)
    try:
        return {f"keras_hub>{name}": getattr(importlib.import_module(CLASSES[name]), name) for name in sorted(names)}
    except (ImportError, AttributeError) as error:
        raise ModelRefused(f"{source} is built with KerasHub's {', '.join(sorted(names))}: {error}") from error


def import_keras_hub(source: str) -> Any:
    """The package.

    Raises:
        ModelRefused: it is not installed.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise ModelRefused(
            f"{source} is a model of KerasHub, which is not installed: pip install 'beam-gradcam[keras-hub]'"
        )
    return importlib.import_module("keras_hub")
