"""The images that a run explained, loaded again the way that the run loaded them."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.audit.inputs.table import AuditTable
from pipeline.runs import Run
from transforms.concurrency import map_ahead
from transforms.explain import ExplainSettings, FailedImage, ImageLoader, LoadedImage
from transforms.images import Limits
from transforms.model import read_card
from transforms.overlays import OverlaySettings
from transforms.records import Box, ImageRef
from transforms.storage import Storage
from transforms.table import column_names_for, statistics_schema

_LOADERS = 8


def settings_of(
    run: Run, overlays: OverlaySettings | None = None, extra_columns: Sequence[str] = ()
) -> ExplainSettings:
    """The settings of a run, as far as they decide what its rows and overlays hold."""
    regions: dict[str, Box] = {name: tuple(box) for name, box in run.config["audit"]["regions"].items()}
    return ExplainSettings(
        table=run.table,
        schema=statistics_schema(tuple(regions), extra_columns),
        overlays=overlays,
        resize=run.config["model"]["resize"],
        batch_size=run.config["explain"]["batch_size"],
        limits=Limits(run.config["input"]["max_bytes"], run.config["input"]["max_pixels"]),
        regions=tuple(regions.items()),
        extra_columns=tuple(extra_columns),
    )


def sampled_images(table: AuditTable, run: Run, count: int, storage: Storage) -> list[LoadedImage]:
    """The images with a map whose ids, which are hashes, are the smallest; those that are gone by now are left out."""
    card, settings = read_card(run.model, storage), settings_of(run)
    columns = tuple(column for one in card.inputs for column in one.columns)
    stored = [name.replace('"', '""') for name in column_names_for(columns, table.regions)]
    cells = "".join(f', any_value("{name}") AS "input {place}"' for place, name in enumerate(stored))
    rows = table.records(
        f"SELECT image_id, any_value(uri) AS uri{cells} FROM {table.name} WHERE status IN ('OK', 'FLAT') "
        f"GROUP BY image_id ORDER BY image_id LIMIT {count}"
    )
    loader = ImageLoader(card, dataclasses.replace(settings, input_columns=columns), run.guarded(storage))

    def load(row: dict[str, Any]) -> LoadedImage | FailedImage:
        extra = tuple(row[f"input {place}"] for place in range(len(columns)))
        return loader.load(ImageRef(row["uri"], row["image_id"], extra=extra))

    with ThreadPoolExecutor(_LOADERS, "originals") as loaders:
        loaded = list(map_ahead(load, rows, loaders, 2 * _LOADERS))
    return [image for image in loaded if isinstance(image, LoadedImage)]
