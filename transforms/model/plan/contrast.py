"""What a class is explained against: ``explain.contrast``. No TensorFlow here."""

from typing import Literal

from transforms.model.errors import ModelRefused
from transforms.model.options import OutputKind

Contrast = int | Literal["runner_up", "label"]
"""A class, or of each image: the highest class but the one that is explained, or the true class.

Where the true class is the one that is explained, or an image has no label that names a class, ``label`` is the
highest other class: so the maps of a run are all of differences, and the column ``contrast_index`` says of which.
"""

_OF_EACH_IMAGE = ("runner_up", "label")


def find_contrast(
    contrast: int | str | None, kind: OutputKind, class_count: int, class_names: tuple[str, ...] | None
) -> Contrast | None:
    """What the user's option means for a model; a class that is called so wins over a word.

    Raises:
        ModelRefused: there is no such class, or nothing to set against it.
    """
    if contrast is None:
        return None
    if class_count == 1:
        raise ModelRefused(f"explain.contrast: {contrast}, but the model gives one number: leave it out.")
    if isinstance(contrast, str) and class_names is not None and class_names.count(contrast) == 1:
        return class_names.index(contrast)
    if contrast in _OF_EACH_IMAGE:
        if kind == "value":
            raise ModelRefused(
                f"explain.contrast: {contrast} is for classes, and this model gives {class_count} values. Give the "
                "index of one of them, or leave it out."
            )
        if contrast == "label" and kind == "multi_label":
            raise ModelRefused(
                "explain.contrast: label is for models of which one class is true, and several can be of this one. "
                "Say runner_up, or give a class."
            )
        return contrast  # type: ignore[return-value]
    try:
        index = int(contrast)
    except ValueError:
        raise ModelRefused(
            f"explain.contrast: there is no class {contrast!r}, or several share the name. Give its index, "
            "runner_up or label."
        ) from None
    if not 0 <= index < class_count:
        raise ModelRefused(f"explain.contrast: there is no class {index}; the model has 0 to {class_count - 1}.")
    return index
