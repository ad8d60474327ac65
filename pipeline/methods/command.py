"""Images of a manifest -> the table of methods."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.config import Config
from pipeline.job import manifest_of, refuse_missing_columns
from pipeline.pixels import load_refs
from transforms.explain import ExplainSettings, LoadedImage
from transforms.images import Limits
from transforms.manifest import ManifestError, survey_manifest
from transforms.model import PlannedModel
from transforms.model.trust import MethodTable, TrustImages, measure_methods
from transforms.records import Box
from transforms.storage import Doors, Storage
from transforms.table import TableLocation, statistics_schema


def compare_methods(config: Config, count: int, say: Callable[[str], None]) -> MethodTable:
    """Measure every method on up to ``count`` images of the manifest; nothing is compiled or written.

    Raises:
        ModelRefused, ManifestError, ConfigError: the model or the manifest cannot be used.
    """
    inputs = config.input
    doors = Doors.of_manifest(inputs.manifest, inputs.allowed_schemes, inputs.allowed_roots)
    storage = Storage(config.storage, doors, inputs.timeout)
    survey = survey_manifest(manifest_of(config, storage), storage, count)
    model = PlannedModel(dataclasses.replace(config.model_options, labels=survey.labels), storage)
    refuse_missing_columns(model.card, survey)
    settings = ExplainSettings(
        table=TableLocation("", "", model.card.fingerprint),
        schema=statistics_schema(),
        batch_size=config.explain.batch_size,
        limits=Limits(inputs.max_bytes, inputs.max_pixels),
        input_columns=survey.extra_columns,
    )
    loaded = load_refs(model.card, survey.sample, settings, storage)
    if not loaded:
        raise ManifestError(f"{inputs.manifest}: none of {len(survey.sample)} images could be loaded; check their URIs")
    return measure_methods(model, images_of(loaded), say)


def images_of(loaded: Sequence[LoadedImage]) -> TrustImages:
    return TrustImages(
        pixels=np.stack([image.model_input for image in loaded]),
        boxes=[_boxes(image) for image in loaded],
        beside=[np.stack(rows) for rows in zip(*(image.inputs for image in loaded), strict=True)],
    )


def _boxes(image: LoadedImage) -> list[Box] | None:
    """In 0..1 of the model input; None where the manifest has none."""
    if not image.ref.boxes:
        return None
    placed = image.placement.to_input(np.array(image.ref.boxes, np.float64))
    return [tuple(box) for box in placed.tolist()]
