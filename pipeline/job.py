"""A config -> a job that can be put on any runner: the manifest surveyed, the model compiled, the run named."""

import dataclasses
import functools
import secrets
from collections.abc import Callable

from pipeline.config import DEMO_MANIFEST, Config, ConfigError
from pipeline.pixels import check_pixels
from pipeline.runs import choose_run_id
from transforms.explain import ExplainSettings
from transforms.images import Limits
from transforms.manifest import Manifest, ManifestSummary, base_of, survey_manifest
from transforms.masks import MaskColumn
from transforms.model import (
    NO_MODEL,
    GradCamModel,
    ModelCard,
    PlannedModel,
    compile_model,
    digest_of_all,
    load_compiled,
)
from transforms.model.check import PixelCheck
from transforms.overlays import OverlaySettings, colormaps
from transforms.shards import automatic_shard_size, bucket_count
from transforms.storage import Storage
from transforms.table import OutputLayout, TableLocation, column_names_for, statistics_schema
from transforms.targets import TargetPolicy


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that the graph needs. Small: it travels to the workers."""

    manifest: Manifest
    survey: ManifestSummary
    card: ModelCard
    load_model: Callable[[], GradCamModel]
    settings: ExplainSettings
    buckets: int
    storage: Storage
    check: PixelCheck | None = None  # of the pixels that the model is given


def prepare_job(config: Config, storage: Storage, say: Callable[[str], None]) -> Job:
    """Do what must be done before any worker starts, and find what cannot work.

    Raises:
        ConfigError, ManifestError, ModelRefused: the config, the manifest or the model cannot be used.
    """
    if config.overlays.colormap not in colormaps():
        raise ConfigError(
            f"overlays.colormap: {config.overlays.colormap!r} is wrong; write one of {', '.join(colormaps())}"
        )
    layout = OutputLayout(storage.absolute(config.output.path))
    manifest = dataclasses.replace(manifest_of(config, storage), left_out=(layout.root,))
    say(f"reading {manifest.uri}")
    survey = survey_manifest(manifest, storage, config.model.check)
    manifest = dataclasses.replace(manifest, extra_columns=survey.extra_columns)
    if survey.passed_over:
        say(survey.passed_over)
    say(f"{survey.count:,} lines; compiling {config.model.source}")
    options = dataclasses.replace(config.model_options, labels=survey.labels)
    planned = PlannedModel(options, storage)
    card = compile_model(options, layout.models, storage, planned)
    refuse_missing_columns(card, survey)
    targets = TargetPolicy.parse(config.explain.targets)
    targets.check(card.classes)
    extra_columns = column_names_for(survey.extra_columns, tuple(config.audit.regions))
    run_id = choose_run_id(config.run, layout.root, card.fingerprint, str(targets), manifest.uri, storage)
    settings = ExplainSettings(
        table=TableLocation(
            layout.root, run_id, card.fingerprint, str(targets), digest_of_all(card.files), secrets.token_hex(8)
        ),
        schema=statistics_schema(
            tuple(config.audit.regions), extra_columns, has_expected=config.input.columns.expected is not None
        ),
        targets=targets,
        overlays=overlay_settings(config),
        batch_size=config.explain.batch_size,
        limits=Limits(config.input.max_bytes, config.input.max_pixels),
        regions=tuple((name, (x0, y0, x1, y1)) for name, (x0, y0, x1, y1) in config.audit.regions.items()),
        detect_changes=config.input.detect_changes,
        max_failures=config.run.max_failures,
        extra_columns=extra_columns,
        input_columns=survey.extra_columns,
        masks=_masks(config, manifest, survey),
    )
    check = None
    if survey.sample and card.source != NO_MODEL:
        check = check_pixels(
            config, planned, card, survey.sample, settings, layout.model(card.fingerprint), storage, say
        )
    shard_size = config.run.shard_size
    if shard_size == "auto":
        shard_size = automatic_shard_size(survey.count)
    return Job(
        manifest=manifest,
        survey=survey,
        card=card,
        load_model=functools.partial(
            load_compiled, layout.model(card.fingerprint), storage, config.explain.batch_size, card
        ),
        settings=settings,
        buckets=bucket_count(survey.count, shard_size),
        storage=storage,
        check=check,
    )


def refuse_missing_columns(card: ModelCard, survey: ManifestSummary) -> None:
    wanted = {column: one.name for one in card.inputs for column in one.columns}
    if missing := [column for column in wanted if column not in survey.extra_columns]:
        raise ConfigError(
            f"model.inputs: the manifest has no column {', '.join(missing)} for the model's input "
            f"{', '.join(dict.fromkeys(wanted[column] for column in missing))}; beside the image's own columns (URI, "
            f"label, targets, boxes) it has {', '.join(survey.extra_columns) or 'none'}"
        )


def _masks(config: Config, manifest: Manifest, survey: ManifestSummary) -> MaskColumn | None:
    name = config.input.columns.masks
    if name is None:
        return None
    if name not in survey.extra_columns:
        raise ConfigError(
            f"input.columns.masks: {name!r} is no column of its own; write one that has a PNG's URI or COCO's run "
            f"lengths; beside the image's own columns the manifest has {', '.join(survey.extra_columns) or 'none'}"
        )
    return MaskColumn(survey.extra_columns.index(name), base_of(manifest))


def manifest_of(config: Config, storage: Storage) -> Manifest:
    """The manifest as the workers read it: with absolute URIs, since a worker's working directory is its own."""
    columns = config.input.columns
    base = config.input.base
    return Manifest(
        uri=DEMO_MANIFEST if config.input.manifest == DEMO_MANIFEST else storage.absolute(config.input.manifest),
        format=config.input.format,
        uri_column=columns.uri,
        label_column=columns.label,
        targets_column=columns.targets,
        boxes_column=columns.boxes,
        label_columns=columns.labels,
        expected_column=columns.expected,
        required_columns=frozenset(
            name
            for field, name in columns.model_dump(exclude={"labels"}).items()
            if name is not None and (field == "uri" or field in columns.model_fields_set)
        ).union(columns.labels),
        base=None if base is None else storage.absolute(base),
        limit=config.input.limit,
    )


def overlay_settings(config: Config) -> OverlaySettings | None:
    """How overlays look; None where the job itself writes none."""
    policy = config.overlays.policy
    if policy not in ("all", "tar"):
        return None
    return OverlaySettings(**config.overlays.model_dump(exclude={"policy"}), in_tar=policy == "tar")
