"""Arguments -> the settings of the job's steps, checked as a config is."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pipeline.config import config_of
from transforms.errors import UserError
from transforms.explain import ExplainSettings
from transforms.model import ModelCard, ModelOptions
from transforms.overlays import OverlaySettings
from transforms.records import Box
from transforms.table import TableLocation, statistics_schema
from transforms.targets import TargetPolicy

Targets: TypeAlias = "str | int | Sequence[str | int]"

_OF_EXPLAIN = ("method", "contrast", "layers", "fusion")


def model_options(source: str, options: Mapping[str, Any]) -> ModelOptions:
    """Raises UserError for an option that the config's section ``model`` does not have, or a wrong value."""
    of_explain = {name: options[name] for name in _OF_EXPLAIN if name in options}
    of_model = {name: value for name, value in options.items() if name not in of_explain}
    return config_of({"model": {"source": source, **of_model}, "explain": of_explain}).model_options


def target_policy(targets: Targets) -> TargetPolicy:
    """Raises UserError for what is no choice of target classes."""
    try:
        return TargetPolicy.parse(targets if isinstance(targets, str | int) else list(targets))
    except ValueError as error:
        raise UserError(f"targets: {error}") from None


def explain_settings(
    card: ModelCard,
    targets: Targets,
    regions: Mapping[str, Box],
    batch_size: int,
    overlays: str | None = None,
) -> ExplainSettings:
    """The settings under which a model explains.

    Args:
        overlays: URI of a folder for overlay files; None: none are written.
    """
    checked = config_of({"audit": {"regions": {name: list(box) for name, box in regions.items()}}}).audit.regions
    policy = target_policy(targets)
    policy.check(card.classes)
    return ExplainSettings(
        table=TableLocation("", "", card.fingerprint, str(policy)),
        schema=statistics_schema(tuple(checked), has_contrast=card.contrast is not None),
        targets=policy,
        overlays=None if overlays is None else OverlaySettings(),
        overlay_folder=overlays,
        batch_size=batch_size,
        input_columns=tuple(column for one in card.inputs for column in one.columns),
        regions=tuple((name, (x0, y0, x1, y1)) for name, (x0, y0, x1, y1) in checked.items()),
    )
