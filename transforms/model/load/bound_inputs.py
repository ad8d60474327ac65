"""``model.inputs``: which inputs of a model are not the image, and where their values come from. Imports TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transforms.model.errors import ModelRefused
from transforms.model.extra_inputs import ExtraInput
from transforms.model.load.not_one_image import remedy_for
from transforms.model.options import InputOption
from transforms.model.tensorflow import tf


@dataclasses.dataclass(frozen=True, eq=False)
class BoundInputs:
    """All inputs of a model but the image: from columns of the manifest, or the same for all."""

    image: str  # name of the input that takes the images
    extra: tuple[ExtraInput, ...]  # from columns
    constants: Mapping[str, np.ndarray]  # one image's row, by the name of the input

    @property
    def specs(self) -> list[Any]:
        """Of the inputs from columns."""
        return [tf.TensorSpec([None, *one.shape], one.dtype, f"input_{i}") for i, one in enumerate(self.extra)]

    def named(self, images: Any, extra: Sequence[Any]) -> dict[str, Any]:
        """All inputs of the model by name, for a batch of images."""
        count = tf.shape(images)[0]
        values = {self.image: images} | dict(zip((one.name for one in self.extra), extra, strict=True))
        for name, row in self.constants.items():
            values[name] = tf.repeat(tf.constant(row)[None], count, axis=0)
        return values


def bind_inputs(inputs: Mapping[str, Any], options: Mapping[str, InputOption], what: str) -> BoundInputs:
    """Tell the image from the other inputs, each of which must have a column or a value.

    Args:
        inputs: all of the model, ``tf.TensorSpec`` or the like by name.
        options: ``model.inputs``.
        what: the model or its signature, for messages.

    Raises:
        ModelRefused: there is no such input, one has no value, or cannot be given one.
    """
    listed = ", ".join(f"{name} {_shape(spec)}" for name, spec in inputs.items())
    if unknown := sorted(set(options) - set(inputs)):
        raise ModelRefused(f"model.inputs: {what} has no input {', '.join(unknown)}; it has {listed}")
    rest = [name for name in inputs if name not in options]
    pictures = [name for name in rest if _may_be_images(inputs[name])]
    if len(rest) != 1 or len(pictures) != 1:
        others = [name for name in rest if name not in pictures]
        if len(pictures) == 1:
            raise ModelRefused(
                f"{what} has {len(inputs)} inputs ({listed}): a heatmap is drawn on {pictures[0]}. Say where the "
                f"others come from: model.inputs: {{{', '.join(f'{name}: COLUMN' for name in others)}}}, columns of "
                "the manifest, or {value: NUMBER} for the same in all images; or wrap the model in one that takes the "
                "image alone"
            )
        remedy = remedy_for([_sizes(inputs[name]) for name in rest], rest) or "model.inputs must leave the image over"
        raise ModelRefused(f"{what} has {len(inputs)} inputs ({listed}): {remedy}")
    extra, constants = [], {}
    for name, option in options.items():
        shape, dtype = _row_shape(name, inputs[name], what), tf.as_dtype(inputs[name].dtype)
        if isinstance(option, Mapping):
            constants[name] = _constant(name, option, shape, dtype)
        else:
            columns = (option,) if isinstance(option, str) else tuple(option)
            extra.append(ExtraInput(name, columns, shape, dtype.name))
    return BoundInputs(pictures[0], tuple(extra), constants)


def _sizes(spec: Any) -> tuple[int | None, ...]:
    shape = tf.TensorShape(spec.shape)
    return () if shape.rank is None else tuple(shape)


def _may_be_images(spec: Any) -> bool:
    rank = tf.TensorShape(spec.shape).rank
    return rank in (None, 4) and (tf.as_dtype(spec.dtype).is_floating or tf.as_dtype(spec.dtype).is_integer)


def _row_shape(name: str, spec: Any, what: str) -> tuple[int, ...]:
    shape, dtype = tf.TensorShape(spec.shape), tf.as_dtype(spec.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ModelRefused(
            f"model.inputs: the input {name} of {what} takes {dtype.name}, and only numbers can be given: look them up "
            "before the model, or fix the input in a Python function"
        )
    if not shape.rank or shape[0] is not None or None in shape[1:]:
        raise ModelRefused(
            f"model.inputs: the input {name} of {what} has the shape {_shape(spec)}; it must have one row of a known "
            "size for each image, [any, N]"
        )
    return tuple(shape[1:])


def _constant(name: str, option: Mapping[str, Any], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    value = np.array(option["value"], dtype.as_numpy_dtype)
    if value.size not in (1, int(np.prod(shape))):
        raise ModelRefused(
            f"model.inputs: {name} takes {int(np.prod(shape))} numbers for an image, {value.size} are given as value"
        )
    return np.broadcast_to(value.reshape(shape) if value.size > 1 else value.reshape(()), shape)


def _shape(spec: Any) -> str:
    shape = tf.TensorShape(spec.shape)
    return "of any shape" if shape.rank is None else f"[{', '.join('any' if n is None else str(n) for n in shape)}]"
