"""What a config may hold. Defaults and choices are those of the classes that the job is made of."""

import math
import os
import re
from typing import Annotated, Any, Literal

import pydantic

from transforms.errors import UserError
from transforms.images import Limits
from transforms.machine import visible_gpus
from transforms.manifest import BoxFormat, Conflicts, LabelSource, Manifest, ManifestFormat
from transforms.model import (
    ATTENTION_METHODS,
    METHODS,
    Fusion,
    InputOption,
    InterpolationOption,
    ModelOptions,
    OutputKind,
    Precision,
    Score,
)
from transforms.overlays import ImageFormat, OverlaySettings
from transforms.placement import Resize
from transforms.records import Status
from transforms.storage import Storage
from transforms.targets import TargetPolicy

DEMO_MANIFEST = "bundled:photos"
DEMO_MODEL = "bundled:efficientnet-lite0"
_SMALLEST_FRACTION = 0.1  # of model.crop_fraction: below, nothing is known to have been trained so


# What pyarrow, Spark, DuckDB or polars make another value of where it is the name of a Hive partition.
_READ_AS_SOMETHING_ELSE = re.compile(
    r"(?i)[0-9._]+(e[-+]?[0-9]+)?[dfl]?|[0-9]{4}-[0-9]{1,2}(-[0-9]{1,2}([t_-].*)?)?|0x[0-9a-f]+|nan|inf(inity)?|null|none|true|false"
)


class ConfigError(UserError):
    """The configuration cannot be used. The message lists every mistake, a line each."""


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def _check_class(target: Any) -> Any:
    if isinstance(target, str) or type(target) is int:
        return target
    raise ValueError(f'a class is an index or a name; write a name in quotes, as "{str(target).lower()}"')


def _check_classes(targets: Any) -> Any:
    for target in targets if isinstance(targets, list | tuple) else [targets]:
        if target is not None:
            _check_class(target)
    return targets


def _check_names(names: Any) -> Any:
    """Names of classes; a number among them is one that nobody quoted."""
    if isinstance(names, list | tuple):
        return tuple(str(_check_class(name)) for name in names)
    return names


def _check_targets(targets: Any) -> Any:
    TargetPolicy.parse(targets)
    return targets


def _check_policy(policy: str) -> str:
    if policy in ("all", "tar", "none") or re.fullmatch(r"(sample|worst):[1-9]\d*", policy):
        return policy
    raise ValueError(
        "write all, tar (all, in one tar per shard), none, sample:N (N images of each predicted class) or worst:N (N "
        "rows of each rule of the report)"
    )


def _check_input_size(size: Any) -> Any:
    """``auto``, or (height, width)."""
    sides = [size, size] if isinstance(size, int) else size
    if size == "auto":
        return size
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(type(side) is int and side > 0 for side in sides):
        return tuple(sides)
    raise ValueError("write auto, a number of pixels such as 224, or [height, width]")


def _check_inputs(inputs: Any) -> Any:
    """Columns, or ``{value: numbers}``, by the name of the input."""
    for name, option in inputs.items() if isinstance(inputs, dict) else ():
        columns = [option] if isinstance(option, str) else option
        if isinstance(columns, list | tuple) and columns and all(isinstance(column, str) for column in columns):
            continue
        if not (isinstance(option, dict) and set(option) == {"value"} and _are_numbers(option["value"])):
            raise ValueError(
                f"{name}: {option!r} is wrong; write a column of the manifest, a list of columns, or {{value: 3}} for "
                "the same number (or list of numbers) in all images"
            )
    return inputs


def _are_numbers(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return bool(numbers) and all(isinstance(number, int | float) for number in numbers)


def _check_antialias(antialias: bool | None, section: pydantic.ValidationInfo) -> bool | None:
    if antialias is not None and section.data.get("interpolation") == "auto":
        raise ValueError(
            "it goes with a filter: say model.interpolation too, as bilinear or bicubic; or leave antialias out"
        )
    return antialias


def _check_crop_fraction(fraction: float, section: pydantic.ValidationInfo) -> float:
    if not _SMALLEST_FRACTION <= fraction <= 1:
        raise ValueError(
            f"write the input's size divided by the size that photos are resized to, {_SMALLEST_FRACTION} to 1: 0.875 "
            "for resize 256, crop 224"
        )
    if fraction != 1 and section.data.get("resize") == "pad":
        raise ValueError("model.resize: pad shows the whole photo; say crop or stretch, or leave crop_fraction out")
    return fraction


def _check_pad_color(color: Any, section: pydantic.ValidationInfo) -> tuple[int, int, int]:
    levels = [color] * 3 if type(color) is int else color
    if not (
        isinstance(levels, list | tuple) and len(levels) == 3 and all(type(v) is int and 0 <= v <= 255 for v in levels)
    ):
        raise ValueError("write [red, green, blue], 0 to 255 each, or one number for a grey")
    # Where interpolation is auto, a Resizing layer in the model may pad.
    if any(levels) and section.data.get("resize") != "pad" and section.data.get("interpolation") != "auto":
        raise ValueError("there are bars with model.resize: pad only; leave pad_color out")
    return tuple(levels)


def _check_geometry(box: Any) -> Any:
    """None, or x0, y0, x1, y1."""
    if box is None:
        return box
    if (
        isinstance(box, list | tuple)
        and len(box) == 4
        and all(type(edge) in (int, float) and math.isfinite(edge) for edge in box)
        and max(box[0], 0) < min(box[2], 1)
        and max(box[1], 0) < min(box[3], 1)
    ):
        return tuple(float(edge) for edge in box)
    raise ValueError(
        "write [x0, y0, x1, y1], the part of the model input that the target layer covers, in 0..1 of it (beyond it "
        "where the model pads it), x0 < x1 and y0 < y1; or null, to find it out from the model"
    )


def _check_method(method: str) -> str:
    if method == "auto" or method in METHODS or method in ATTENTION_METHODS:
        return method
    raise ValueError(f"write one of {', '.join((*METHODS, *ATTENTION_METHODS))}, or auto")


def _check_layers(layers: int, section: pydantic.ValidationInfo) -> int:
    if layers > 1 and section.data.get("method") == "auto":
        raise ValueError("method: auto finds out how many layers too; leave layers out, or say a method")
    return layers


def _check_regions(regions: dict[str, list[float]]) -> dict[str, list[float]]:
    for name, box in regions.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"{name!r} is not a name of small letters, digits and underscores; it becomes a column")
        if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise ValueError(f"{name}: write [x0, y0, x1, y1] in 0..1 of the model input, x0 < x1 and y0 < y1")
    return regions


def _check_reference(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*", name):
        return name
    raise ValueError("write package.module:function, which makes of the bytes of an image what your own code feeds")


def _check_run_id(run_id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run_id):
        raise ValueError("write auto, or 1 to 100 letters, digits, dots, hyphens and underscores")
    if _READ_AS_SOMETHING_ELSE.fullmatch(run_id):
        raise ValueError(
            "readers of the table take it for a number, a date or a truth value, since it is the name of a folder "
            f"run=...; write a letter in front, as r{run_id}"
        )
    return run_id


def _failures(chosen: Any) -> Any:
    """``all``, ``FETCH_ERROR,DECODE_ERROR`` or a list of them -> the statuses."""
    known = [status for status in Status if status.is_failure]
    if chosen == "all":
        return known
    names = [name.strip() for name in chosen.split(",")] if isinstance(chosen, str) else chosen
    if not isinstance(names, list) or not all(name in known for name in names):
        raise ValueError(f"write all, or some of {', '.join(known)}")
    return [Status(name) for name in names]


def _check_beam_options(options: Any) -> Any:
    for name in options:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"write {name!r} as Beam does on a command line, without hyphens, such as flink_master")
    return options


class Columns(_Section):
    """The manifest's columns. The defaults are used where they exist; a name that is given must exist."""

    uri: str = Manifest.uri_column
    label: str | None = Manifest.label_column
    labels: tuple[str, ...] = Manifest.label_columns
    targets: str | None = Manifest.targets_column
    boxes: str | None = Manifest.boxes_column
    expected: str | None = Manifest.expected_column
    image: str | None = Manifest.image_column
    masks: str | None = None


class Input(_Section):
    manifest: str = DEMO_MANIFEST
    format: ManifestFormat = Manifest.format
    columns: Columns = Columns()
    box_format: BoxFormat = Manifest.box_format
    labels: LabelSource = Manifest.labels
    conflicts: Conflicts = Manifest.conflicts
    base: str | None = None
    limit: Annotated[int, pydantic.Field(ge=1)] | None = None
    detect_changes: bool = False
    timeout: Annotated[float, pydantic.Field(gt=0)] = Storage.timeout
    allowed_schemes: list[str] | None = None
    allowed_roots: list[str] = []
    max_bytes: Annotated[int, pydantic.Field(ge=1)] = Limits.max_bytes
    max_pixels: Annotated[int, pydantic.Field(ge=1)] = Limits.max_pixels


class Model(_Section):
    source: str = DEMO_MODEL
    weights: str | None = ModelOptions.weights
    output: str | None = ModelOptions.output
    inputs: Annotated[dict[str, InputOption], pydantic.BeforeValidator(_check_inputs)] = {}
    signature: str | None = ModelOptions.signature
    class_names: Annotated[str | tuple[str, ...] | None, pydantic.BeforeValidator(_check_names)] = (
        ModelOptions.class_names
    )
    input_size: Annotated[Any, pydantic.AfterValidator(_check_input_size)] = ModelOptions.input_size
    preprocessing: str | dict[str, Any] = ModelOptions.preprocessing
    resize: Resize = ModelOptions.resize
    interpolation: InterpolationOption = ModelOptions.interpolation
    antialias: Annotated[bool | None, pydantic.AfterValidator(_check_antialias)] = ModelOptions.antialias
    crop_fraction: Annotated[float, pydantic.AfterValidator(_check_crop_fraction)] = ModelOptions.crop_fraction
    pad_color: Annotated[Any, pydantic.AfterValidator(_check_pad_color)] = ModelOptions.pad_color
    target_layer: str | int = ModelOptions.target_layer
    score: Score = ModelOptions.score
    output_kind: Literal["auto"] | OutputKind = ModelOptions.output_kind
    threshold: Annotated[float, pydantic.Field(ge=0, le=1)] | str | None = None
    trust: bool = ModelOptions.trust
    precision: Precision | Literal["auto"] = ModelOptions.precision
    check: Annotated[int, pydantic.Field(ge=0, le=4096)] = 64
    check_policy: Literal["refuse", "warn"] = "refuse"
    reference: Annotated[str, pydantic.AfterValidator(_check_reference)] | None = None
    min_agreement: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.98
    geometry: Annotated[Any, pydantic.AfterValidator(_check_geometry)] = ModelOptions.geometry


def _check_embedding(embedding: Any) -> Any:
    if isinstance(embedding, bool) or embedding == "with_probabilities":
        return embedding
    raise ValueError(
        "write true, false or with_probabilities; embeddings keep all their values, and beam-gradcam neighbours makes "
        "fewer of them where it needs to"
    )


class Explain(_Section):
    method: Annotated[str, pydantic.AfterValidator(_check_method)] = ModelOptions.method
    targets: Annotated[
        str | int | list[str | int],
        pydantic.BeforeValidator(_check_classes),
        pydantic.AfterValidator(_check_targets),
    ] = "predicted"
    contrast: Annotated[str | int | None, pydantic.BeforeValidator(_check_classes)] = ModelOptions.contrast
    layers: Annotated[int, pydantic.Field(ge=1, le=16), pydantic.AfterValidator(_check_layers)] = ModelOptions.layers
    fusion: Fusion = ModelOptions.fusion
    batch_size: Annotated[int, pydantic.Field(ge=1, le=4096)] = 32
    faithfulness: Annotated[int, pydantic.Field(ge=0, le=10_000)] = 0
    embedding: Annotated[bool | Literal["with_probabilities"], pydantic.BeforeValidator(_check_embedding)] = False


class Overlays(_Section):
    policy: Annotated[str, pydantic.AfterValidator(_check_policy)] = "all"
    max_side: Annotated[int, pydantic.Field(ge=16, le=16384)] = OverlaySettings.max_side
    opacity: Annotated[float, pydantic.Field(ge=0, le=1)] = OverlaySettings.opacity
    colormap: str = OverlaySettings.colormap
    format: ImageFormat = OverlaySettings.format

    @property
    def is_chosen(self) -> bool:
        """Some rows have an overlay, once all are there to choose from."""
        return self.policy not in ("all", "tar", "none")


class Output(_Section):
    path: str = "gradcam-output"


RetryFailed = Annotated[list[Status], pydantic.BeforeValidator(_failures)]


class Run(_Section):
    id: Annotated[str, pydantic.AfterValidator(_check_run_id)] = "auto"
    resume: bool = True
    retry_failed: RetryFailed = []
    shard_size: Annotated[int, pydantic.Field(ge=1)] | Literal["auto"] = "auto"
    max_failure_rate: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.0
    max_failures: Annotated[int, pydantic.Field(ge=0)] = 1000
    workers: Annotated[int, pydantic.Field(ge=1)] = 1
    loaders: Annotated[int, pydantic.Field(ge=0, le=256)] | Literal["auto"] = "auto"
    report: bool = False
    controls: bool = False


Regions = Annotated[dict[str, list[float]], pydantic.AfterValidator(_check_regions)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


def _check_slices(slices: Any) -> Any:
    for entry in slices if isinstance(slices, list | tuple) else [slices]:
        parts = [entry] if isinstance(entry, str) else entry
        if not (
            isinstance(parts, list | tuple)
            and 1 <= len(parts) <= 3
            and all(isinstance(part, str) and part.strip() for part in parts)
        ):
            raise ValueError(
                "write a list whose entries are a column, a covariate or an SQL condition, or lists of up to three of "
                'them, which are crossed, such as [camera, [camera, site], "width < 400"]'
            )
    return slices


Slices = Annotated[list[str | list[str]], pydantic.BeforeValidator(_check_slices)]


class Audit(_Section):
    regions: Regions = {}
    slices: Slices = []


def _check_ratios(ratios: dict[str, float]) -> dict[str, float]:
    for measure, ratio in ratios.items():
        if not ratio > 0:
            raise ValueError(f"{measure}: write how many times the mean of the other images a slice may have, above 0")
    return ratios


Ratios = Annotated[dict[str, float], pydantic.AfterValidator(_check_ratios)]


class Compare(_Section):
    """What ``beam-gradcam compare`` lets pass; null: anything."""

    max_distance: Share | None = None
    max_class_distance: Share | None = None
    max_changed: Share | None = None
    max_newly_failing: Share | None = None
    max_gone: Share | None = None
    max_gt_lift_drop: Annotated[float, pydantic.Field(ge=0)] | None = None
    max_slice_accuracy_drop: Share | None = None
    max_slice_ratio: Ratios = {}


Option = bool | int | float | str | None
BeamOptions = Annotated[dict[str, Option | list[str]], pydantic.AfterValidator(_check_beam_options)]


class Config(_Section):
    """A whole job. Every key has a default; the defaults are the demo."""

    input: Input = Input()
    model: Model = Model()
    explain: Explain = Explain()
    overlays: Overlays = Overlays()
    output: Output = Output()
    run: Run = Run()
    audit: Audit = Audit()
    compare: Compare = Compare()
    storage: dict[str, dict[str, Any]] = {}
    beam: BeamOptions = {}

    @property
    def model_options(self) -> ModelOptions:
        """The model and how to explain it."""
        asked = self.model.model_dump(exclude={"check", "check_policy", "reference", "min_agreement"})
        explain = self.explain
        if self.model.precision == "auto":  # what lies in front of the target layer is explained too where layers fuse
            asked["precision"] = "float16" if visible_gpus(os.environ) and explain.layers == 1 else "float32"
        return ModelOptions(
            **asked, method=explain.method, contrast=explain.contrast, layers=explain.layers, fusion=explain.fusion
        )

    @property
    def wants_audit(self) -> bool:
        """There is something to do with the table once the run has ended."""
        wanted = self.run.report or self.run.controls or self.explain.faithfulness > 0
        return wanted or self.overlays.is_chosen
