"""A Resizing layer at the input of a Keras model, or in the image converter that was saved with it."""

from collections.abc import Iterator
from typing import Any

from transforms.model.choose_sampling import FoundResizing
from transforms.model.tensorflow import tf
from transforms.placement import Resize
from transforms.sampling import INTERPOLATIONS, Sampling

# What may stand before it: they treat all pixels alike, so that it makes no difference, or do nothing at inference.
_PASSED = ("Rescaling", "Normalization", "InputLayer")
_RANDOM = "Random"


def resizing_of(model: Any) -> FoundResizing | None:
    """What brings photos of any size to one, in a model of Keras 3 or tf_keras; None where nothing is seen to do so.

    A task of KerasHub has a preprocessor with an image converter, which ``predict`` puts before the model; its resizing
    is a layer of Keras.
    """
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    resizing = getattr(converter, "resizing", None)
    if _is_resizing(resizing):
        return _found(resizing, f"the image converter of its {type(model.preprocessor).__name__}", is_first=True)
    is_first = True
    for layer in _leading_layers(model):
        name = type(layer).__name__
        if _is_resizing(layer):
            return _found(layer, f"its layer {layer.name}", is_first)
        if name in ("Rescaling", "Normalization"):
            is_first = False
        elif name not in _PASSED and not name.startswith(_RANDOM):
            return None
    return None


def _is_resizing(layer: Any) -> bool:
    import keras
    import tf_keras

    return isinstance(layer, keras.layers.Resizing | tf_keras.layers.Resizing)


def _found(layer: Any, origin: str, is_first: bool) -> FoundResizing | None:
    """None where it does what no sampling does."""
    pads = getattr(layer, "pad_to_aspect_ratio", False)
    value = getattr(layer, "fill_value", 0.0)
    is_colour = value == int(value) and 0 <= value <= 255 and (is_first or not pads)
    if not layer.height or not layer.width or layer.interpolation not in INTERPOLATIONS or (pads and not is_colour):
        return None
    resize: Resize = "pad" if pads else "crop" if layer.crop_to_aspect_ratio else "stretch"
    sampling = Sampling(
        resize,
        layer.interpolation,
        bool(getattr(layer, "antialias", False)),
        pad_color=(int(value),) * 3 if pads else Sampling.pad_color,
    )
    return FoundResizing(int(layer.height), int(layer.width), sampling, origin)


def _leading_layers(model: Any) -> Iterator[Any]:
    """The layers behind the input, in order, those of nested models in their place; up to the first branch."""
    import keras
    import tf_keras

    if isinstance(model, keras.Sequential | tf_keras.Sequential):
        for layer in model.layers:
            yield from _leading_layers(layer) if hasattr(layer, "layers") else (layer,)
        return
    if not getattr(model, "inputs", None):
        yield model  # a subclassed model: nobody knows in which order its layers are called
        return
    tensor = model.inputs[0]
    while True:
        readers = [(layer, node) for layer in model.layers for node in layer._inbound_nodes if _reads(node, tensor)]
        if len(readers) != 1:
            return
        layer, node = readers[0]
        yield from _leading_layers(layer) if hasattr(layer, "layers") else (layer,)
        outputs = tf.nest.flatten(node.outputs)
        if len(outputs) != 1:
            return
        tensor = outputs[0]


def _reads(node: Any, tensor: Any) -> bool:
    inputs = node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors  # of Keras 2; of Keras 3
    return any(value is tensor for value in tf.nest.flatten(inputs))
