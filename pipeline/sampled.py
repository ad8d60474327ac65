"""Images of a manifest and a model that has not been compiled: what is asked of both before any job."""

import dataclasses
from typing import NamedTuple

from pipeline.config import Config
from pipeline.job import manifest_of, refuse_missing_columns
from transforms.explain import ExplainSettings
from transforms.images import Limits
from transforms.manifest import ManifestError, ManifestSummary, survey_manifest
from transforms.model import PlannedModel
from transforms.storage import Doors, Storage
from transforms.table import TableLocation, statistics_schema


class Sampled(NamedTuple):
    """A model, some images, and how they are loaded."""

    model: PlannedModel
    survey: ManifestSummary
    settings: ExplainSettings
    storage: Storage  # with the doors of the manifest


def sample_of(config: Config, count: int) -> Sampled:
    """Up to ``count`` images of the manifest, and the model; nothing is compiled or written.

    Raises:
        ModelRefused, ManifestError, ConfigError: the model or the manifest cannot be used.
    """
    inputs = config.input
    doors = Doors.of_manifest(inputs.manifest, inputs.allowed_schemes, inputs.allowed_roots)
    storage = Storage(config.storage, doors, inputs.timeout)
    survey = survey_manifest(manifest_of(config, storage), storage, count)
    options = dataclasses.replace(config.model_options, labels=survey.labels)
    if options.method == "auto":  # nothing that is asked here depends on it
        options = dataclasses.replace(options, method="gradcam")
    model = PlannedModel(options, storage)
    refuse_missing_columns(model.card, survey)
    settings = ExplainSettings(
        table=TableLocation("", "", model.card.fingerprint),
        schema=statistics_schema(),
        batch_size=config.explain.batch_size,
        limits=Limits(inputs.max_bytes, inputs.max_pixels),
        input_columns=survey.extra_columns,
        normalized_boxes=inputs.box_format == "normalized",
    )
    return Sampled(model, survey, settings, storage)


def none_loaded(config: Config, survey: ManifestSummary) -> ManifestError:
    """What to raise where no image of the sample could be loaded."""
    return ManifestError(
        f"{config.input.manifest}: none of {len(survey.sample)} images could be loaded; check their URIs"
    )
