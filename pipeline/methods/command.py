"""Images of a manifest -> the table of methods."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.config import Config
from pipeline.pixels import load_refs
from pipeline.sampled import sample_of
from transforms.explain import ExplainSettings, LoadedImage, pixel_boxes
from transforms.manifest import ManifestError
from transforms.model.trust import MethodTable, TrustImages, measure_methods
from transforms.records import Box


def compare_methods(
    config: Config, count: int, say: Callable[[str], None], seconds: float | None = None
) -> MethodTable:
    """Measure every method on up to ``count`` images of the manifest; nothing is compiled or written.

    Args:
        seconds: so long it may take, roughly, with fewer images; None: as long as it takes.

    Raises:
        ModelRefused, ManifestError, ConfigError: the model or the manifest cannot be used.
    """
    model, survey, settings, storage = sample_of(config, count)
    loaded = load_refs(model.card, survey.sample, settings, storage)
    if not loaded:
        raise ManifestError(
            f"{config.input.manifest}: none of {len(survey.sample)} images could be loaded; check their URIs"
        )
    return measure_methods(model, images_of(loaded, settings), say, seconds)


def images_of(loaded: Sequence[LoadedImage], settings: ExplainSettings) -> TrustImages:
    return TrustImages(
        pixels=np.stack([image.model_input for image in loaded]),
        boxes=[_boxes(image, settings) for image in loaded],
        beside=[np.stack(rows) for rows in zip(*(image.inputs for image in loaded), strict=True)],
    )


def _boxes(image: LoadedImage, settings: ExplainSettings) -> list[Box] | None:
    """In 0..1 of the model input; None where the manifest has none."""
    boxes = pixel_boxes(image.ref.boxes, image.placement.width, image.placement.height, settings)
    if not boxes:
        return None
    placed = image.placement.to_input(np.array(boxes, np.float64))
    return [tuple(box) for box in placed.tolist()]
