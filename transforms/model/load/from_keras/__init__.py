"""Keras models: files of Keras 3 and Keras 2, and the architectures of keras.applications."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.load.from_keras.applications import build_application, size_of
    from transforms.model.load.from_keras.fine_tuned import application_with_weights
    from transforms.model.load.from_keras.image_converter import converter_preprocessing
    from transforms.model.load.from_keras.keras_files import load_keras_file
    from transforms.model.load.from_keras.keras_hub_presets import load_preset
    from transforms.model.load.from_keras.weights import load_weights, open_weights

__all__ = [
    "application_with_weights",
    "build_application",
    "converter_preprocessing",
    "load_keras_file",
    "load_preset",
    "load_weights",
    "open_weights",
    "size_of",
]
__getattr__ = lazy_face(__name__, __file__)
