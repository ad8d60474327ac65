"""The comparison of two runs: a table, a page, and a gate."""

import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.analysis import (
    CHANGES,
    PAIR_SCHEMA,
    ImageCounts,
    Means,
    compare_pairs,
    group_means,
    match_images,
    matching_key,
)
from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import AuditTable, list_measures, open_table
from pipeline.audit.pages import fill_page
from pipeline.audit.render import overlay_pictures
from pipeline.audit.slices import SliceSpec, check_slices
from pipeline.config import Compare
from pipeline.runs import Run
from transforms.model import read_card
from transforms.storage import Storage

SHOWN_PAIRS = 12
SHOWN_IMAGES = 50
SHOWN_CLASSES = 1000
SHOWN_REASONS = 20

_MISSING = {
    CHANGES.index(
        "distance"
    ): "no image has a map of the same class in both runs; explain.targets: label, or a list of "
    "classes, makes both runs explain the same ones",
    CHANGES.index("gt_lift_change"): "no image has ground-truth boxes and a map of the same class in both runs",
}

TITLES = {
    "distance": "JS distance",
    "peak_shift": "peak shift",
    "centroid_shift": "centroid shift",
    "score_change": "score change",
    "probability_change": "probability change",
    "gt_lift_change": "object lift change",
}


def write_comparison(
    before: Run, after: Run, gate: Compare, storage: Storage, slices: Sequence[SliceSpec] = ()
) -> dict[str, Any]:
    """Compare two runs under ``<after>/compare/<id of before>/``: index.html, pairs.parquet, classes.parquet,
    comparison.json.

    Returns:
        What comparison.json holds: counts, means with intervals, and ``reasons`` why the gate is closed, if any.

    Raises:
        AuditError: a run has no rows, or the models have different classes.
    """
    notes = _notes(before, after, storage)
    folder = after.files.comparison(before.run_id)
    with open_table({"before": before, "after": after}, storage) as table:
        key = matching_key(table)
        counts = match_images(table, key)
        chunks = list(compare_pairs(table, key, [read_card(run.model, storage).seen for run in (before, after)]))
        pairs = pa.concat_tables([PAIR_SCHEMA.empty_table(), *chunks])
        names, groups = _classes(pairs)
        values = np.stack([pairs[name].to_numpy().astype(np.float64) for name in CHANGES], axis=1)
        overall = group_means(values, np.zeros(len(values), int), 1)
        means = group_means(values, groups, len(names))
        reasons = check_gate(gate, counts, overall, means, [name for _, name in names])
        drop, ratio = gate.max_slice_accuracy_drop, gate.max_slice_ratio
        later = dataclasses.replace(table, name="after")
        measures = list_measures(later) if ratio else []
        reasons += check_slices(table, key, slices, drop, ratio, measures)
        summary = {
            "before": before.files.folder,
            "after": after.files.folder,
            "matched_by": key,
            "images": dataclasses.asdict(counts),
            "pairs": len(pairs),
            "means": {name: _mean_of(overall, 0, place) for place, name in enumerate(CHANGES)},
            "notes": notes,
            "thresholds": gate.model_dump(exclude_none=True, exclude_defaults=True),
            "reasons": reasons,
            "page": f"{folder}/index.html",
        }
        moved = table_rows(pairs, np.argsort(-np.nan_to_num(values[:, 0], nan=-1), kind="stable")[:SHOWN_PAIRS])
        storage.put(f"{folder}/pairs.parquet", _parquet(pairs))
        storage.put(f"{folder}/classes.parquet", _parquet(_class_table(names, means)))
        storage.put(f"{folder}/comparison.json", json.dumps(summary, indent=2).encode())
        view = {
            "summary": summary,
            "before": before,
            "after": after,
            "titles": TITLES,
            "classes": _class_rows(names, means),
            "class_count": len(names),
            "moved": moved,
            "pictures": _side_by_side(table, before, after, moved, folder, storage),
            "fates": {
                fate: _images_of(table, fate) for fate in ("changed class", "newly failing", "new", "gone", "recovered")
            },
            "shown_images": SHOWN_IMAGES,
            "shown_reasons": SHOWN_REASONS,
            "cards": [read_card(run.model, storage) for run in (before, after)],
        }
        storage.put(f"{folder}/index.html", fill_page("compare.html.j2", view))
    return summary


def check_gate(gate: Compare, counts: ImageCounts, overall: Means, means: Means, names: Sequence[str]) -> list[str]:
    """Why the gate is closed: every threshold that is passed, with the value, or that nothing can be held against."""
    was_explained = counts.both + counts.newly_failing
    was_there = was_explained + counts.gone + counts.recovered + counts.still_failing
    distance, lift = CHANGES.index("distance"), CHANGES.index("gt_lift_change")
    checks = [
        ("max_distance", gate.max_distance, overall.mean[0, distance], "mean JS distance of the maps"),
        ("max_changed", gate.max_changed, _share(counts.changed, counts.both), "share of images whose class changed"),
        ("max_newly_failing", gate.max_newly_failing, _share(counts.newly_failing, was_explained),
         "share of images that fail and did not before"),
        ("max_gone", gate.max_gone, _share(counts.gone, was_there), "share of images that are gone"),
        ("max_gt_lift_drop", gate.max_gt_lift_drop, -overall.mean[0, lift], "mean drop of the ground-truth lift"),
    ]  # fmt: skip
    reasons = [
        f"compare.{key}: {what} is {value:.4g}, more than {limit:g}"
        for key, limit, value, what in checks
        if limit is not None and value > limit
    ]
    measured = {"max_distance": distance, "max_class_distance": distance, "max_gt_lift_drop": lift}
    reasons += [
        f"compare.{key}: nothing to measure: {_MISSING[place]}"
        for key, place in measured.items()
        if getattr(gate, key) is not None and not overall.count[0, place]
    ]
    if gate.max_class_distance is not None:
        # The interval's lower end: with many classes, some mean is large by chance.
        for group in np.flatnonzero(means.low[:, distance] > gate.max_class_distance).tolist():
            reasons.append(
                f"compare.max_class_distance: JS distance of {names[group]} is {means.mean[group, distance]:.4g}, "
                f"its 95 % interval begins at {means.low[group, distance]:.4g}, more than {gate.max_class_distance:g}"
            )
    return reasons


def table_rows(pairs: pa.Table, places: np.ndarray) -> list[dict[str, Any]]:
    return pairs.take(places).to_pylist()


def _notes(before: Run, after: Run, storage: Storage) -> list[str]:
    """What a reader must know to trust the comparison."""
    cards = [read_card(run.model, storage) for run in (before, after)]
    if cards[0].class_count != cards[1].class_count:
        raise AuditError(
            f"the models have {cards[0].class_count} and {cards[1].class_count} classes: maps of a class can only be "
            "compared between models that number their classes alike"
        )
    notes = []
    if cards[0].class_names and cards[1].class_names and cards[0].class_names != cards[1].class_names:
        notes.append("The models name their classes differently; classes are paired by index.")
    if before.record.fingerprint == after.record.fingerprint:
        notes.append("Both runs used the same model, target layer and method.")
    grids = [(card.cam_height, card.cam_width) for card in cards]
    if grids[0] != grids[1]:
        notes.append(
            f"The maps have {grids[0][0]} x {grids[0][1]} and {grids[1][0]} x {grids[1][1]} cells: for the distance "
            "both were brought to the coarser grid on each axis, mass by shared area."
        )
    if cards[0].seen != cards[1].seen:
        notes.append(
            "The models see different parts of their input: for the distance both maps were brought to one grid over "
            "all that either sees; maps over parts of unlike size are told apart by that alone."
        )
    methods = [card.way for card in cards]
    if methods[0] != methods[1]:
        notes.append(f"The methods differ ({methods[0]}, {methods[1]}): part of every shift is due to it.")
    samplings = [card.sampling.settled() for card in cards]
    if samplings[0] != samplings[1]:
        ways = [", ".join(map(str, sampling.differences(other))) for sampling, other in (samplings, samplings[::-1])]
        notes.append(f"Images were resized differently ({ways[0]}; {ways[1]}): part of every shift is due to it.")
    if cards[0].score != cards[1].score:
        notes.append("One run differentiated logits, the other probabilities: score changes mean nothing.")
    return notes


def _classes(pairs: pa.Table) -> tuple[list[tuple[int, str]], np.ndarray]:
    """The classes of the pairs, the most frequent first, and the class of each pair."""
    indices = pairs["target_index"].to_numpy()
    found, first, inverse, times = np.unique(indices, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(-times, kind="stable")
    titles = pairs["target_name"].take(first).to_pylist() if len(found) else []
    names = [(int(found[place]), titles[place] or str(found[place])) for place in order]
    rank = np.empty(len(found), int)
    rank[order] = np.arange(len(found))
    return names, rank[inverse] if len(found) else np.zeros(0, int)


def _class_rows(names: list[tuple[int, str]], means: Means) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "index": index,
            "pairs": int(means.count[group].max()),
            "cells": [_mean_of(means, group, place) for place in range(len(CHANGES))],
        }
        for group, (index, name) in enumerate(names[:SHOWN_CLASSES])
    ]


def _class_table(names: list[tuple[int, str]], means: Means) -> pa.Table:
    columns: dict[str, Any] = {"class_index": [index for index, _ in names], "name": [name for _, name in names]}
    for place, change in enumerate(CHANGES):
        column = means.column(place)
        columns[f"{change}_pairs"] = column.count.astype(int)
        for what, found in (("mean", column.mean), ("low", column.low), ("high", column.high)):
            columns[f"{change}_{what}"] = pa.array(found, from_pandas=True)
    return pa.table(columns)


def _mean_of(means: Means, group: int, place: int) -> dict[str, float | None]:
    found = {"mean": means.mean, "low": means.low, "high": means.high}
    return {
        name: None if np.isnan(values[group, place]) else float(values[group, place]) for name, values in found.items()
    }


def _side_by_side(
    table: AuditTable, before: Run, after: Run, moved: list[dict[str, Any]], folder: str, storage: Storage
) -> dict[str, Any]:
    """The overlays of the pairs that moved most, of both runs."""
    pictures = {}
    for when, run, image in (("before", before, "image_id_before"), ("after", after, "image_id")):
        rows = [
            {"image_id": row[image], "target_index": row["target_index"], "overlay_uri": row[f"overlay_{when}"]}
            for row in moved
        ]
        side = dataclasses.replace(table, name=when)
        pictures[when] = overlay_pictures(side, run, rows, folder, f"{when}-", storage)
    return pictures


def _images_of(table: AuditTable, fate: str) -> dict[str, Any]:
    rows = table.records(
        "SELECT * FROM images WHERE fate = $fate "
        f"ORDER BY probability_after DESC NULLS LAST, image_id LIMIT {SHOWN_IMAGES}",
        {"fate": fate},
    )
    total = table.records("SELECT count(*) AS images FROM images WHERE fate = $fate", {"fate": fate})[0]["images"]
    return {"rows": rows, "total": total}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _parquet(rows: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    return buffer.getvalue()
