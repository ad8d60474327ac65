"""Overlays after the fact: from the stored maps and the original images, without the model."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import numpy as np

from pipeline.audit.analysis import rules
from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import AuditTable, quoted, settings_of, stored_overlay
from pipeline.runs import Run
from transforms.concurrency import map_ahead
from transforms.explain import Explained, FailedImage, ImageLoader, LoadedImage, reload_images
from transforms.model import read_card
from transforms.overlays import OverlaySettings, encode, render_overlay
from transforms.records import ImageRef
from transforms.storage import Storage

_RENDERERS = max(4, 2 * (os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True)
class Rendered:
    """What came of one overlay."""

    image_id: str
    target_index: int
    uri: str | None  # of the overlay; None where it could not be made
    problem: str | None


def overlay_look(config: dict[str, Any]) -> OverlaySettings:
    """How the overlays of a run look, from its config."""
    chosen = config["overlays"]
    return OverlaySettings(**{name: chosen[name] for name in ("max_side", "opacity", "colormap", "format")})


def select_rows(table: AuditTable, where: str, order: str, limit: int) -> list[tuple[str, int]]:
    """The (image id, target class) pairs of rows with a map that a SQL condition selects.

    Raises:
        AuditError: it is not an SQL expression over the columns of the table.
    """
    try:
        found = (
            table.database.table("statistics")
            .filter("status IN ('OK', 'FLAT', 'ZERO')")
            .filter(where)
            .order(order)
            .limit(limit)
            .project("image_id, target_index")
            .fetchall()
        )
    except duckdb.Error as error:
        raise AuditError(f"--where {where!r}: {error}") from None
    return [(image_id, target) for image_id, target in found]


def policy_rows(table: AuditTable, policy: str) -> list[tuple[str, int]]:
    """The rows whose overlays a policy wants.

    ``sample:N``: all rows of N images of every predicted class, those with the smallest ids, which are hashes.
    ``worst:N``: the N worst rows of every rule of the report's galleries.
    """
    kind, _, number = policy.partition(":")
    if kind == "sample":
        found = table.records(
            "SELECT image_id, target_index FROM statistics WHERE status IN ('OK', 'FLAT', 'ZERO') "
            f"QUALIFY dense_rank() OVER (PARTITION BY predicted_index ORDER BY image_id) <= {int(number)} "
            "ORDER BY image_id, target_index"
        )
        return [(row["image_id"], row["target_index"]) for row in found]
    keys: dict[tuple[str, int], None] = {}
    for rule in rules(table):
        selected = select_rows(table, rule.where, f"{rule.order} NULLS LAST, image_id, target_index", int(number))
        keys.update(dict.fromkeys(selected))
    return list(keys)


def render(
    table: AuditTable,
    run: Run,
    keys: Sequence[tuple[str, int]],
    look: OverlaySettings,
    uri_of: Callable[[str, int], str],
    storage: Storage,
) -> list[Rendered]:
    """Render the overlays of rows and write each to ``uri_of(image_id, target_index)``.

    An image that cannot be had any more is one problem, told in the result; the others are rendered.
    """
    loader = ImageLoader(read_card(run.model, storage), settings_of(run, look), run.guarded(storage))

    def render_one(pair: tuple[dict[str, Any], LoadedImage | FailedImage]) -> Rendered:
        row, image = pair
        image_id, target = row["image_id"], row["target_index"]
        if isinstance(image, FailedImage):
            return Rendered(image_id, target, None, f"{row['uri']}: {image.failure.message}")
        assert image.photo is not None
        cam = np.array(row["cam"], np.float32).reshape(row["cam_height"], row["cam_width"])
        overlay = render_overlay(image.photo, cam, image.placement, look.opacity, look.colormap)
        uri = uri_of(image_id, target)
        storage.put(uri, encode(overlay, look.format, look.quality), durable=False)
        return Rendered(image_id, target, uri, None)

    rows, same_rows = itertools.tee(_rows(table, keys))
    explained = (Explained(ImageRef(row["uri"], row["image_id"]), row["content_sha256"]) for row in same_rows)
    images = reload_images(explained, loader)
    with ThreadPoolExecutor(_RENDERERS, "render") as renderers, contextlib.closing(images):
        pairs = zip(rows, images, strict=True)
        return list(map_ahead(render_one, pairs, renderers, 4 * _RENDERERS))


def overlay_uri(run: Run, look: OverlaySettings) -> Callable[[str, int], str]:
    """Where the overlays of a run lie; the same place and name as if the job had written them."""
    settings = settings_of(run, look)

    def uri_of(image_id: str, target_index: int) -> str:
        uri = settings.overlay_uri(image_id, target_index)
        assert uri is not None
        return uri

    return uri_of


def _rows(table: AuditTable, keys: Sequence[tuple[str, int]], chunk: int = 1000) -> Iterator[dict[str, Any]]:
    """The rows of the keys with their maps, some at a time."""
    for start in range(0, len(keys), chunk):
        wanted = keys[start : start + chunk]
        found = table.records(
            "SELECT image_id, target_index, uri, content_sha256, cam, cam_height, cam_width "
            f"FROM {quoted(table.name)} SEMI JOIN "
            "(SELECT unnest($ids) AS image_id, unnest($targets) AS target_index) USING (image_id, target_index) "
            "ORDER BY image_id, target_index",
            {"ids": [image_id for image_id, _ in wanted], "targets": [target for _, target in wanted]},
        )
        yield from found


def overlay_pictures(
    table: AuditTable, run: Run, rows: Sequence[dict[str, Any]], page: str, prefix: str, storage: Storage
) -> dict[tuple[str, int], dict[str, str | None]]:
    """A picture beside a page for every row: the job's overlay where there is one, else made now.

    Args:
        rows: with image_id, target_index and overlay_uri.
        page: the folder of the page; the pictures go to ``images/`` in it, their names begin with ``prefix``.

    Returns:
        ``src``, relative to the page, or ``problem``; by image id and target class.
    """
    look = overlay_look(run.config)

    def name_of(image_id: str, target_index: int) -> str:
        return f"images/{prefix}{image_id}-{target_index}.{look.format}"

    pictures: dict[tuple[str, int], dict[str, str | None]] = {}
    missing = []
    for row in rows:
        key = (row["image_id"], row["target_index"])
        if key in pictures:
            continue
        pictures[key] = {"src": name_of(*key), "problem": None}
        overlay = stored_overlay(row["overlay_uri"], run, storage)
        if overlay is None:
            missing.append(key)
        else:
            storage.put(f"{page}/{name_of(*key)}", overlay, durable=False)
    for made in render(table, run, missing, look, lambda *key: f"{page}/{name_of(*key)}", storage):
        if made.problem is not None:
            pictures[made.image_id, made.target_index] = {"src": None, "problem": made.problem}
    return pictures
