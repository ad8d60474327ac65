"""A Keras model, of Keras 3 or tf_keras, -> one concrete function of a batch of images."""

from collections.abc import Callable, Mapping
from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.expectation import LUMA
from transforms.model.load.bound_inputs import BoundInputs, bind_inputs
from transforms.model.load.from_keras import converter_preprocessing
from transforms.model.load.layer_recording import layer_tensors, recording_layers
from transforms.model.load.not_one_image import remedy_for
from transforms.model.load.resizing_layers import resizing_of
from transforms.model.load.traced import TracedModel
from transforms.model.options import InputOption
from transforms.model.tensorflow import tf

Size = tuple[int, int]

_IN_FRONT = "A layer in front that makes its input of RGB images, saved with the model, lets it be explained"


def trace_keras_model(
    model: Any, input_size: str | Size, notes: tuple[str, ...] = (), inputs: Mapping[str, InputOption] | None = None
) -> TracedModel:
    """Trace ``model`` in inference mode, with a free batch size and a fixed image size.

    Args:
        inputs: ``model.inputs``, where the values of other inputs than the image come from.

    Raises:
        ModelRefused: it does not take one image, its image size is free and ``input_size`` is auto, or its code fails.
    """
    _refuse_other_backends(model)
    declared, bound = _declared_input(model, inputs or {})
    if declared is None:
        shape, dtype = _built_shape(model), tf.float32
    else:
        shape, dtype = tuple(declared.shape), tf.as_dtype(declared.dtype)
    resizing = resizing_of(model)
    if input_size == "auto" and resizing is not None and None in shape[1:]:
        input_size = (resizing.height, resizing.width)
    signature, adapt, adapted = adapt_input(shape, dtype, input_size)
    structure = getattr(model, "input", None) if declared is not None else None

    def scores(images: Any, *extra: Any) -> list[Any]:
        given = adapt(images)
        if bound is not None:
            values = bound.named(given, extra)
            given = tf.nest.map_structure(lambda tensor: values[_name(tensor)], structure)
        elif isinstance(structure, list | tuple | dict):
            given = tf.nest.pack_sequence_as(structure, [given])
        return tf.nest.flatten(model(given, training=False))

    try:
        with recording_layers(*_layer_bases()) as calls:
            function = tf.function(scores, autograph=_takes_autograph(model)).get_concrete_function(
                signature, *(bound.specs if bound is not None else ())
            )
    # What a model's own code raises, or Keras' with what a damaged file says.
    except (
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RuntimeError,
        tf.errors.OpError,
    ) as error:
        remedy = (
            "Give the model and its layers names without spaces: set layer.name (tf_keras: layer._name) and save it "
            "again, or do so in a Python function that returns the model: model.source: package.module:function"
            if "scope name" in str(error)
            else "If it takes another size, say model.input_size; "
            "Python conditions and loops over tensors must be tf.cond"
        )
        raise ModelRefused(
            f"the model {model.name} cannot be called with images {_shape(tuple(signature.shape))}: {error}. {remedy}"
        ) from error
    return TracedModel(
        function=function,
        outputs=output_names(model, function),
        layer_tensors=layer_tensors(calls, function.graph),
        preprocessing=converter_preprocessing(model),
        class_names=None,
        notes=(*notes, *adapted),
        keep_alive=model,
        extra=bound.extra if bound is not None else (),
        resizing=resizing if resizing is not None and resizing.fits(tuple(signature.shape)) else None,
    )


def adapt_input(
    shape: tuple[int | None, ...], dtype: Any, input_size: str | Size
) -> tuple[Any, Callable[[Any], Any], tuple[str, ...]]:
    """How RGB images come to a model whose input has ``shape`` and ``dtype``.

    Returns the signature of a function of float32, uint8 or uint16 images with static height, width and three
    channels, the function that makes the model's input of them, and notes.

    Raises:
        ModelRefused: this is no input for images, or its size is not known.
    """
    if len(shape) != 4:
        raise ModelRefused(
            f"the model takes {_shape(shape)}, not a batch of images [batch, height, width, 3]"
            + (f": {remedy}" if (remedy := remedy_for([shape])) else f". {_IN_FRONT}")
        )
    if shape[0] is not None:
        raise ModelRefused(
            f"the model takes {_shape(shape)}: exactly {shape[0]} image(s) at a time. Export it with a free batch size "
            "(None), so that images can be explained in batches"
        )
    channels_first = shape[1] in (1, 3) and shape[3] not in (1, 3)
    channels = shape[1] if channels_first else shape[3]
    if channels not in (1, 3, None):
        raise ModelRefused(
            f"the model takes {_shape(shape)}: {channels} channels, where photos have 3 (RGB) or 1. {_IN_FRONT}"
        )
    height, width = _settled_size(shape[2:] if channels_first else shape[1:3], input_size, shape)
    if dtype.is_floating:
        model_dtype, image_dtype = dtype, tf.float32
    elif dtype.is_integer:
        model_dtype, image_dtype = dtype, dtype if dtype == tf.uint16 else tf.uint8
    else:
        raise ModelRefused(f"the model takes {_shape(shape)} of {dtype.name}, not the pixels of images")
    gray = channels == 1
    notes = ("the model takes one channel: it is given the luma of the image, 0.299 R + 0.587 G + 0.114 B",)

    def adapt(images: Any) -> Any:
        if gray:
            images = _luma(images, channel_axis=1 if channels_first else 3)
        return images if images.dtype == model_dtype else tf.cast(images, model_dtype)

    spatial = (None, 3, height, width) if channels_first else (None, height, width, 3)
    return tf.TensorSpec(spatial, image_dtype, name="images"), adapt, notes if gray else ()


def output_names(model: Any, function: Any) -> tuple[str, ...]:
    """Names for the flattened outputs of ``function``, which calls the Keras ``model``."""
    count = len(function.outputs)
    for names in (getattr(model, "output", None), getattr(model, "output_names", None)):
        if isinstance(names, dict | list | tuple) and len(names) == count:
            candidates = sorted(names) if isinstance(names, dict) else list(names)
            if all(isinstance(name, str) for name in candidates) and len(set(candidates)) == count:
                return tuple(candidates)
    return tuple(f"output_{index}" for index in range(count))


def _takes_autograph(model: Any) -> bool:
    """Keras 2 lets its users write Python conditions and loops over tensors; Keras 3 does not."""
    import tf_keras

    return isinstance(model, tf_keras.Model)


def _refuse_other_backends(model: Any) -> None:
    import keras

    if isinstance(model, keras.Model) and keras.backend.backend() != "tensorflow":
        raise ModelRefused(
            f"Keras runs on {keras.backend.backend()} in this process, and a TensorFlow graph is needed: set the "
            "environment variable KERAS_BACKEND=tensorflow before Keras is imported"
        )


def _declared_input(model: Any, options: Mapping[str, InputOption]) -> tuple[Any, BoundInputs | None]:
    """The symbolic input for the image, or None where a subclassed model declares none; and the others, if any."""
    inputs = {_name(tensor): tensor for tensor in getattr(model, "inputs", None) or ()}
    if len(inputs) > 1 or options:
        bound = bind_inputs(inputs, options, f"the model {model.name}")
        return inputs[bound.image], bound
    return next(iter(inputs.values()), None), None


def _name(tensor: Any) -> str:
    """Of a symbolic input: that of its layer."""
    return str(tensor.name).partition(":")[0]


def _built_shape(model: Any) -> tuple[int | None, ...]:
    """The image size that a subclassed model was built with, where its file tells; its batch size does not matter."""
    build_config: Any = getattr(model, "get_build_config", dict)() or {}
    built = build_config.get("input_shape")
    return (None, *built[1:]) if isinstance(built, list | tuple) and len(built) == 4 else (None, None, None, 3)


def _settled_size(declared: tuple[int | None, ...], asked: str | Size, shape: tuple[int | None, ...]) -> Size:
    if asked == "auto":
        if None in declared:
            raise ModelRefused(
                f"the model takes images of any size, {_shape(shape)}: say the one it was trained with, "
                "model.input_size: [height, width]"
            )
        return declared  # type: ignore[return-value]
    for own, wanted in zip(declared, asked, strict=True):
        if own not in (None, wanted):
            raise ModelRefused(
                f"model.input_size is {asked[0]} x {asked[1]} (height x width), but the model takes "
                f"{' x '.join('any' if size is None else str(size) for size in declared)}: say that, or auto"
            )
    return asked  # type: ignore[return-value]


def _luma(images: Any, channel_axis: int) -> Any:
    """ITU-R BT.601; integers are rounded."""
    with tf.name_scope(LUMA):
        weights = tf.constant([0.299, 0.587, 0.114], shape=[3 if axis == channel_axis else 1 for axis in range(4)])
        gray = tf.reduce_sum(tf.cast(images, tf.float32) * weights, axis=channel_axis, keepdims=True)
        return gray if images.dtype.is_floating else tf.cast(tf.round(gray), images.dtype)


def _layer_bases() -> tuple[type, ...]:
    import keras
    import tf_keras

    return keras.Operation, tf_keras.layers.Layer


def _shape(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
