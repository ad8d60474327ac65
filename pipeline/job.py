"""A config -> a job that can be put on any runner: the manifest surveyed, the model compiled, the run named."""

import dataclasses
import functools
import secrets
from collections.abc import Callable
from typing import Literal

from pipeline.config import DEMO_MANIFEST, Config, ConfigError
from pipeline.pixels import check_pixels
from pipeline.runs import choose_run_id
from transforms.dealing import deal
from transforms.explain import ExplainSettings, Knowledge
from transforms.images import Limits
from transforms.loaders import LoaderCount, automatic_count
from transforms.manifest import (
    LabelKind,
    LabelSource,
    Manifest,
    ManifestSummary,
    are_classes,
    base_of,
    labelled_by_folder,
    refuse_conflicts,
    survey_manifest,
    with_named_label,
)
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
from transforms.storage import Storage
from transforms.table import Embeddings, OutputLayout, RunLayout, TableLocation, column_names_for, statistics_schema
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
    loaders: LoaderCount = LoaderCount()
    shard_size: int = 256
    in_turn: int = 1
    knowledge: Knowledge = Knowledge(labels=False, boxes=False, targets=False)  # what the manifest says of its images
    check: PixelCheck | None = None  # of the pixels that the model is given
    notes: tuple[str, ...] = ()  # what a user should know beside what the model's card says

    def shared_out(self, images: int, shard_size: int | Literal["auto"], workers: int | None) -> "Job":
        """The same with shards for so many images; see :func:`transforms.dealing.deal`."""
        return dataclasses.replace(self, **vars(deal(images, self.survey.count, shard_size, workers)))


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
    options = dataclasses.replace(config.model_options, labels=_label_kind(manifest, survey))
    planned = PlannedModel(options, storage)
    embeddings = _embeddings(config)
    card = compile_model(options, layout.models, storage, planned, embedding=bool(embeddings))
    refuse_missing_columns(card, survey)
    if manifest.conflicts == "multi" and card.output_kind != "multi_label":
        raise ConfigError(
            "input.conflicts: multi is for models of several labels, but the output of this one is "
            f"{card.output_kind}; write first or refuse, or say model.output_kind: multi_label where that is wrong"
        )
    manifest = dataclasses.replace(manifest, labels=_label_source(manifest, survey, card, say))
    has_labels = manifest.labels == "folder" or manifest.label_column in survey.own_columns
    if card.contrast == "label" and not has_labels:
        raise ConfigError(
            f"explain.contrast: label, but {manifest.shown} has no labels: no column {manifest.label_column}, and no "
            "folders that are called as classes. Name the column in input.columns.label, or write runner_up"
        )
    if manifest.labels == "folder":
        survey = dataclasses.replace(survey, sample=tuple(labelled_by_folder(ref) for ref in survey.sample))
    elif survey.label_names:
        manifest = dataclasses.replace(manifest, label_names=_label_names(survey, card, say))
        survey = dataclasses.replace(survey, sample=tuple(with_named_label(ref, manifest) for ref in survey.sample))
    targets = TargetPolicy.parse(config.explain.targets)
    targets.check(card.classes)
    extra_columns = column_names_for(survey.extra_columns, tuple(config.audit.regions))
    run_id = choose_run_id(config.run, layout.root, card.fingerprint, str(targets), manifest.shown, storage)
    settings = ExplainSettings(
        table=TableLocation(
            layout.root,
            run_id,
            card.fingerprint,
            str(targets),
            digest_of_all(card.files),
            embeddings,
            secrets.token_hex(8),
        ),
        schema=statistics_schema(
            tuple(config.audit.regions),
            extra_columns,
            has_expected=config.input.columns.expected is not None,
            has_contrast=card.contrast is not None,
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
        input_columns=survey.extra_columns,
        masks=_masks(config, manifest, survey),
    )
    check = None
    if survey.sample and card.source != NO_MODEL:
        check = check_pixels(
            config, planned, card, survey.sample, settings, layout.model(card.fingerprint), storage, say
        )
    job = Job(
        buckets=1,
        manifest=manifest,
        survey=survey,
        card=card,
        load_model=functools.partial(
            load_compiled, layout.model(card.fingerprint), storage, config.explain.batch_size, card
        ),
        settings=settings,
        storage=storage,
        loaders=_loaders(config, survey.count, layout.run(run_id), storage),
        knowledge=Knowledge(
            labels=has_labels,
            boxes=manifest.boxes_column in survey.own_columns and config.input.columns.masks is None,
            targets=manifest.targets_column in survey.own_columns,
            expected=manifest.expected_column in survey.own_columns,
        ),
        check=check,
    )
    return job.shared_out(survey.count, config.run.shard_size, config.run.workers)


def _embeddings(config: Config) -> Embeddings:
    wanted = config.explain.embedding
    return "with_probabilities" if wanted == "with_probabilities" else "features" if wanted else ""


def _loaders(config: Config, images: int, run: RunLayout, storage: Storage) -> LoaderCount:
    if config.run.loaders != "auto":
        return LoaderCount(config.run.loaders)
    goes_on = storage.exists(run.record) and not storage.exists(run.summary)
    return automatic_count(images, goes_on, config.run.workers)


def _label_kind(manifest: Manifest, survey: ManifestSummary) -> LabelKind:
    """What the labels look like; of lines that are merged, several of an image are true, and none is a number."""
    is_merged = manifest.conflicts == "multi" and survey.labels in ("zero_one", "indices", "names")
    return "several" if is_merged else survey.labels


def _label_names(survey: ManifestSummary, card: ModelCard, say: Callable[[str], None]) -> tuple[str, ...]:
    """The names of the data set's classes where the model knows them; else its numbers are taken for the model's."""
    names, known = survey.label_names, frozenset(card.class_names or ())
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    if known.intersection(names):
        say(f"labels are numbers of the data set's own classes ({shown}), looked up in the model's by their names")
        return names
    say(f"note: the data set calls its classes {shown}, and the model none of its own so: labels are taken as indices")
    return ()


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
        mask_column=columns.masks,
        image_column=columns.image,
        required_columns=frozenset(
            name
            for field, name in columns.model_dump(exclude={"labels", "image"}).items()
            if name is not None and (field == "uri" or field in columns.model_fields_set)
        ).union(columns.labels),
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
