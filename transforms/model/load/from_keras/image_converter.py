"""The image converter that KerasHub saves with a task: what ``predict`` does to pixels before the model."""

from typing import Any

from transforms.model.errors import ModelRefused
from transforms.model.preprocessing import Preprocessing, as_named, parse_preprocessing


def converter_preprocessing(model: Any) -> Preprocessing | None:
    """``pixels * scale + offset`` of a task's image converter; None where it has none.

    Its size, crop and interpolation are those of its Resizing layer, see ``resizing_layers``.

    Raises:
        ModelRefused: it scales by no numbers.
    """
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if converter is None or not hasattr(converter, "scale") or not hasattr(converter, "offset"):
        return None
    said = {
        key: _numbers(value)
        for key, value in (("scale", converter.scale), ("offset", converter.offset))
        if value is not None
    }
    try:
        return as_named(parse_preprocessing(said))
    except ValueError as error:
        raise ModelRefused(
            f"the image converter of {model.name} scales pixels by no three numbers: {error}. Set model.preprocessing"
        ) from error


def _numbers(value: Any) -> Any:
    """One number, or a list of them, whatever array they were in."""
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value
