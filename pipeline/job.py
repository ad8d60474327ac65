"""A config -> a job that can be put on any runner: the manifest surveyed, the model compiled, the run named."""

import dataclasses
import functools
import secrets
from collections.abc import Callable

from pipeline.config import DEMO_MANIFEST, Config, ConfigError
from pipeline.pixels import check_pixels
from pipeline.runs import choose_run_id
from transforms.explain import ExplainSettings, Knowledge
from transforms.images import Limits
from transforms.manifest import (
    LabelSource,
    Manifest,
    ManifestSummary,
    are_classes,
    labelled_by_folder,
    refuse_conflicts,
    survey_manifest,
)
from transforms.model import NO_MODEL, GradCamModel, ModelCard, compile_model, load_compiled
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
    knowledge: Knowledge = Knowledge(labels=False, boxes=False, targets=False)  # what the manifest says of its images
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
    manifest = dataclasses.replace(manifest_of(config, storage), left_out=(layout.root,), indexes=layout.indexes)
    say(f"reading {manifest.shown}")
    survey = survey_manifest(manifest, storage, config.model.check)
    manifest = dataclasses.replace(
        manifest.with_uri_column(survey.uri_column), extra_columns=survey.extra_columns, pieces=survey.pieces
    )
    if survey.passed_over:
        say(survey.passed_over)
    for note in survey.notes:
        say(f"note: {note}")
    if manifest.conflicts == "refuse":
        refuse_conflicts(manifest, storage)
    say(f"{survey.count:,} lines; compiling {storage.redact(config.model.source)}")
    card = compile_model(config.model_options, layout.models, storage)
    manifest = dataclasses.replace(manifest, labels=_label_source(manifest, survey, card, say))
    if manifest.labels == "folder":
        survey = dataclasses.replace(survey, sample=tuple(labelled_by_folder(ref) for ref in survey.sample))
    targets = TargetPolicy.parse(config.explain.targets)
    targets.check(card.classes)
    extra_columns = column_names_for(survey.extra_columns, tuple(config.audit.regions))
    run_id = choose_run_id(config.run, layout.root, card.fingerprint, str(targets), manifest.shown, storage)
    settings = ExplainSettings(
        table=TableLocation(layout.root, run_id, card.fingerprint, str(targets), token=secrets.token_hex(8)),
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
        normalized_boxes=manifest.box_format == "normalized",
        extra_columns=extra_columns,
    )
    check = None
    if survey.sample and card.source != NO_MODEL:
        check = check_pixels(config, card, survey.sample, settings, layout.model(card.fingerprint), storage, say)
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
        knowledge=Knowledge(
            labels=manifest.labels == "folder" or manifest.label_column in survey.own_columns,
            boxes=manifest.boxes_column in survey.own_columns,
            targets=manifest.targets_column in survey.own_columns,
        ),
        check=check,
    )


def _label_source(
    manifest: Manifest, survey: ManifestSummary, card: ModelCard, say: Callable[[str], None]
) -> LabelSource:
    """Where labels come from: the folders of listed images where they are called as classes, and nobody says else."""
    if manifest.labels != "auto":
        return manifest.labels
    folders = survey.folders
    shown = ", ".join(name or "no folder" for name, _ in folders[:5]) + (" ..." if len(folders) > 5 else "")
    if are_classes(folders, card.class_names):
        say(f"labels are the names of the {len(folders):,} folders ({shown}); input.labels: column leaves them out")
        return "folder"
    if len(folders) > 1:
        say(
            f"note: the images lie in {len(folders):,} folders ({shown}) that are not called as the model's classes; "
            "if they are labels, set input.labels: folder"
        )
    return "column"


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
        expected_column=columns.expected,
        image_column=columns.image,
        required_columns=frozenset(
            name
            for field, name in columns.model_dump().items()
            if name is not None and field != "image" and (field == "uri" or field in columns.model_fields_set)
        ),
        base=None if base is None else storage.absolute(base),
        limit=config.input.limit,
        box_format=config.input.box_format,
        labels=config.input.labels,
        conflicts=config.input.conflicts,
    )


def overlay_settings(config: Config) -> OverlaySettings | None:
    """How overlays look; None where the job itself writes none."""
    policy = config.overlays.policy
    if policy not in ("all", "tar"):
        return None
    return OverlaySettings(**config.overlays.model_dump(exclude={"policy"}), in_tar=policy == "tar")
