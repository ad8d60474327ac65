"""The images that a run explained, loaded again the way that the run loaded them."""

import dataclasses
from collections.abc import Sequence

from pipeline.audit.inputs.database import quoted
from pipeline.audit.inputs.table import AuditTable
from pipeline.runs import Run
from transforms.explain import Explained, ExplainSettings, ImageLoader, LoadedImage, reload_images
from transforms.images import Limits
from transforms.model import read_card
from transforms.overlays import OverlaySettings
from transforms.records import Box, ImageRef
from transforms.storage import Storage
from transforms.table import column_names_for, statistics_schema


def settings_of(
    run: Run, overlays: OverlaySettings | None = None, extra_columns: Sequence[str] = ()
) -> ExplainSettings:
    """The settings of a run, as far as they decide what its rows and overlays hold."""
    regions: dict[str, Box] = {name: tuple(box) for name, box in run.config["audit"]["regions"].items()}
    return ExplainSettings(
        table=run.table,
        schema=statistics_schema(tuple(regions), extra_columns),
        overlays=overlays,
        batch_size=run.config["explain"]["batch_size"],
        limits=Limits(run.config["input"]["max_bytes"], run.config["input"]["max_pixels"]),
        regions=tuple(regions.items()),
        extra_columns=tuple(extra_columns),
    )


def sampled_images(table: AuditTable, run: Run, count: int, storage: Storage) -> list[LoadedImage]:
    """The images with a map whose ids, which are hashes, are the smallest; those that are gone or have
    changed by now are left out."""
    card, settings = read_card(run.model, storage), settings_of(run)
    columns = tuple(column for one in card.inputs for column in one.columns)
    stored = column_names_for(columns, table.regions)
    cells = "".join(f', any_value({quoted(name)}) AS "input {place}"' for place, name in enumerate(stored))
    rows = table.records(
        f"SELECT image_id, any_value(uri) AS uri, any_value(content_sha256) AS digest{cells} "
        f"FROM {quoted(table.name)} WHERE status IN ('OK', 'FLAT') "
        f"GROUP BY image_id ORDER BY image_id LIMIT {int(count)}"
    )
    images = [
        Explained(
            ImageRef(row["uri"], row["image_id"], extra=tuple(row[f"input {place}"] for place in range(len(columns)))),
            row["digest"],
        )
        for row in rows
    ]
    loader = ImageLoader(card, dataclasses.replace(settings, input_columns=columns), run.guarded(storage))
    loaded = reload_images(images, loader)
    return [image for image in loaded if isinstance(image, LoadedImage)]
