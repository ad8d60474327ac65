"""Images without their pixels, as they travel between a worker process and its loaders."""

import dataclasses

import numpy as np

from transforms.explain import LoadedImage

NOTHING = np.empty(0, np.uint8)
_FIELDS = tuple(field.name for field in dataclasses.fields(LoadedImage))


def stripped(image: LoadedImage) -> LoadedImage:
    """The same image; its model input lies in the ring, its photo in the loader."""
    return LoadedImage(**{name: getattr(image, name) for name in _FIELDS} | {"model_input": NOTHING, "photo": None})


def with_pixels(image: LoadedImage, model_input: np.ndarray) -> LoadedImage:
    """An image with this model input, uint8 or uint16 ``[H, W, 3]``."""
    return LoadedImage(**{name: getattr(image, name) for name in _FIELDS} | {"model_input": model_input})
