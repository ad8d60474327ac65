"""The report of a run: one page to look at, and its findings for machines."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audit.analysis import (
    COVARIATES,
    LOOKS,
    ClassAudit,
    Correlate,
    MeanMaps,
    Means,
    audit_classes,
    check_health,
    find_clusters,
    find_correlates,
    find_galleries,
    mean_maps,
    rows_of,
)
from pipeline.audit.findings import (
    class_findings,
    cluster_findings,
    correlate_findings,
    health_findings,
    rank,
    view_findings,
    what_would_be_seen,
    write_findings,
)
from pipeline.audit.inputs import CORNERS, AuditTable, list_measures, open_table
from pipeline.audit.meaning_sections import meaning_sections
from pipeline.audit.neighbours import neighbour_findings, neighbours_view
from pipeline.audit.overview import best_and_worst, measure_accuracy, trust_in_pixels
from pipeline.audit.pages import fill_page, pictures
from pipeline.audit.probes import CONTROLS, ControlReadings, read_controls, read_faithfulness
from pipeline.audit.render import overlay_pictures
from pipeline.audit.slices import (
    SliceSpec,
    audit_slices,
    find_slices,
    named_columns,
    slice_findings,
    slices_file,
    slices_view,
)
from pipeline.runs import Run
from transforms.model import read_card
from transforms.storage import Storage

SHOWN_CLASSES = 1000
SHOWN_CLUSTERS = 12  # classes whose clusters are shown with pictures
_FOREST_CLASSES = 20
_BINS = 40
_FEWEST_FOR_MEAN = 3  # maps: the mean of fewer is a map of its own


def write_report(
    run: Run,
    storage: Storage,
    regions: Mapping[str, Sequence[float]] | None = None,
    slices: Sequence[SliceSpec] = (),
) -> str:
    """Make the report of a run under ``runs/<run_id>/report/``; returns the URI of its page.

    ``regions`` are declared in addition to those of the run, boxes in 0..1 of the model input. ``slices`` are those of
    the reader's own config, conditions included; of the run's config, which others may write to, columns only.

    Raises:
        AuditError: the run has no rows.
    """
    with open_table({"statistics": run}, storage, regions, neighbours=True) as table:
        folder = run.files.report
        grid = table.records("SELECT cam_height, cam_width FROM statistics WHERE cam IS NOT NULL LIMIT 1")
        health = check_health(table, run)
        check = run.summary.check if run.summary else None
        values: dict[str, Any] = {
            "run": run,
            "health": health,
            "health_findings": health_findings(health),
            "trust": trust_in_pixels(check, run.config["model"]["min_agreement"]),
            "accuracy": measure_accuracy(table),
            "has_maps": bool(grid),
            "findings": [],
            "more_findings": 0,
            "seen": [],
            "class_rows": None,
            "values": [],
            "overlays": {},
        }
        if grid:
            specs, notes = _slice_specs(table, run, slices)
            values |= _maps(table, run, (grid[0]["cam_height"], grid[0]["cam_width"]), specs, storage)
            values["slice_notes"] = notes
            storage.put(f"{folder}/classes.parquet", _classes_file(values["audit"]))
        write_findings(run, values["health_findings"], values["findings"], values["overlays"], storage)
        uri = f"{folder}/index.html"
        storage.put(uri, fill_page("report.html.j2", values))
        return uri


def _slice_specs(table: AuditTable, run: Run, asked: Sequence[SliceSpec]) -> tuple[list[SliceSpec], list[str]]:
    """The slices to measure, and what the reader should know of those that are not."""
    own = [spec for spec in run.config["audit"]["slices"] if spec not in asked]
    columns, left_out = named_columns(own, table)
    notes = [
        f"{spec}: the run's config asks for this slice by a condition, which is only taken from a config of yours: "
        "beam-gradcam report OUTPUT --config CONFIG"
        for spec in left_out
    ]
    return [*asked, *columns], notes


def _maps(
    table: AuditTable, run: Run, grid: tuple[int, int], specs: Sequence[SliceSpec], storage: Storage
) -> dict[str, Any]:
    """All that the page says about maps."""
    audit = audit_classes(table, list_measures(table))
    controls = read_controls(table, list(audit.measures))
    faithful = read_faithfulness(run, storage)
    means = mean_maps(table, audit.indices[:SHOWN_CLASSES].tolist(), *grid)
    flagged_first = np.argsort(~audit.flags.any(axis=1), kind="stable")
    clusters = find_clusters(table, audit.indices[flagged_first].tolist(), *grid)
    clusters.sort(key=lambda of_class: not any(cluster.is_candidate for cluster in of_class))
    correlates = find_correlates(table)
    galleries = find_galleries(table)
    known = means.mean[~np.isnan(means.mean)]
    brightest = max(2.0, float(np.quantile(known, 0.995))) if known.size else 2.0
    medoids = [
        (image, cluster.class_index)
        for of_class in clusters[:SHOWN_CLUSTERS]
        for cluster in of_class
        for image in cluster.medoids
    ]
    shown = [row for gallery in galleries for row in gallery.rows] + rows_of(table, medoids)
    card = read_card(run.model, storage)
    label_names = dict(enumerate(card.class_names or ()))
    class_rows = None if card.output_kind in ("multi_label", "value") else best_and_worst(table, label_names)
    shown += class_rows.shown if class_rows else []
    sliced = audit_slices(table, specs, audit.measures, grid)
    discovery = find_slices(table)
    if sliced:
        storage.put(f"{run.files.report}/slices.parquet", slices_file(sliced))
    near = neighbour_findings(table)
    near_views = neighbours_view(table, near)
    all_findings = [
        *near,
        *class_findings(table, audit),
        *slice_findings(sliced, discovery),
        *cluster_findings(clusters, audit),
        *correlate_findings(table, correlates),
    ]
    findings = view_findings(table, rank(all_findings))
    shown += [row for view in findings for row in view.pictured]
    shown += [row for view in near_views for row in view.rows]
    return {
        **meaning_sections(table, card, grid, brightest),
        "findings": findings,
        "more_findings": len(all_findings) - len(findings),
        "seen": what_would_be_seen(table, audit, correlates),
        "neighbours": near_views if table.has_neighbours else None,
        "neighbour_images": audit.rows.sum(),
        "class_rows": class_rows,
        "slices": slices_view(sliced, brightest),
        "audit": audit,
        "has_labels": not np.isnan(audit.recall).all() or not np.isnan(audit.precision).all(),
        "columns": _columns(audit),
        "classes": _class_rows(audit, means, brightest),
        "brightest": brightest,
        "fewest_mean": _FEWEST_FOR_MEAN,
        "overall_picture": pictures.map_picture(means.overall, brightest),
        "controls": _control_rows(controls, audit),
        "class_distance": None if controls is None else _reading(controls.class_distance, 0, 0),
        "faithfulness": None if faithful is None else [_reading(faithful, 0, place) for place in range(6)],
        "faithful_images": 0 if faithful is None else int(faithful.count[0, 0]),
        "forests": _forests(audit, controls),
        "histograms": _histograms(table, audit),
        "galleries": galleries,
        "overlays": overlay_pictures(table, run, shown, run.files.report, "", storage),
        "clusters": clusters,
        "shown_clusters": SHOWN_CLUSTERS,
        "cluster_picture": lambda cluster: pictures.map_picture(cluster.mean, brightest),
        "class_names": dict(zip(audit.indices.tolist(), audit.names, strict=True)),
        "label_names": label_names,
        "correlates": {(found.covariate, found.look): found for found in correlates},
        "covariates": list(dict.fromkeys(found.covariate for found in correlates)),
        "looks": list(dict.fromkeys(found.look for found in correlates)),
        "trends": _trends(table, correlates),
    }


def _columns(audit: ClassAudit) -> list[dict[str, str]]:
    """The columns of the class table that hold measures: the four corners are one."""
    shown = [measure for measure in audit.measures if not measure.name.startswith("corner_")]
    columns = [{"name": measure.name, "title": measure.title, "meaning": measure.meaning} for measure in shown]
    border = next(place for place, column in enumerate(columns) if column["name"] == "border_lift")
    meaning = "mean mass in the class's strongest corner / its area; 1 = uniform"
    columns.insert(border + 1, {"name": "corner", "title": "corner", "meaning": meaning})
    return columns


def _class_rows(audit: ClassAudit, means: MeanMaps, brightest: float) -> list[dict[str, Any]]:
    corners = [audit.position(f"corner_{key}") for key in CORNERS]
    rows = []
    for group in range(min(len(audit.indices), SHOWN_CLASSES)):
        cells = []
        for column in _columns(audit):
            note = ""
            if column["name"] == "corner":
                values = audit.means.mean[group, corners]
                place = corners[0] if np.isnan(values).all() else corners[int(np.nanargmax(values))]
                note = audit.measures[place].title
            else:
                place = audit.position(column["name"])
            cells.append(
                {
                    "mean": audit.means.mean[group, place],
                    "low": audit.means.low[group, place],
                    "high": audit.means.high[group, place],
                    "flag": bool(audit.flags[group, place]),
                    "note": note,
                }
            )
        grids = {"mean": means.mean, "spread": means.spread, "right": means.right, "wrong": means.wrong}
        rows.append(
            {
                "name": audit.names[group],
                "index": int(audit.indices[group]),
                "rows": int(audit.rows[group]),
                "maps": int(audit.rows[group] - audit.zero_maps[group]),
                "zero": audit.zero_maps[group] / audit.rows[group],
                "precision": float(audit.precision[group]),
                "recall": float(audit.recall[group]),
                "pictures": {name: pictures.map_picture(grid[group], brightest) for name, grid in grids.items()},
                "cells": cells,
                "flag": bool(audit.flags[group].any()),
            }
        )
    return rows


def _forests(audit: ClassAudit, controls: ControlReadings | None) -> list[str]:
    """For each alarm measure the classes that have most of it."""
    figures = []
    for place, measure in enumerate(audit.measures):
        if measure.alarm is None or (measure.name.startswith("corner_") and not audit.flags[:, place].any()):
            continue
        order = [
            group
            for group in np.argsort(-np.nan_to_num(audit.means.mean[:, place], nan=-1))
            if audit.means.count[group, place] >= 5
        ]
        order = order[:_FOREST_CLASSES]
        if len(order) >= 2:
            column = audit.means.column(place)
            figures.append(
                pictures.forest(
                    [pictures.short(audit.names[group], audit.means.count[group, place]) for group in order],
                    column.mean[order], column.low[order], column.high[order], audit.flags[order, place],
                    {"all classes": float(audit.overall.mean[0, place])} | _control_lines(controls, place),
                    f"{measure.title}: {measure.meaning}",
                )
            )  # fmt: skip
    return figures


def _control_rows(controls: ControlReadings | None, audit: ClassAudit) -> list[dict[str, Any]]:
    """Each control against the images of the run, in the measures that can raise an alarm."""
    if controls is None:
        return []
    places = [place for place, measure in enumerate(audit.measures) if measure.alarm is not None]
    rows = [
        {"name": name, "meaning": CONTROLS[name], "cells": [_reading(controls.means, row, place) for place in places]}
        for row, name in enumerate(controls.names)
    ]
    everything = {"name": "all rows", "meaning": "of the run", "cells": [_reading(audit.overall, 0, p) for p in places]}
    return [*rows, everything]


def _control_lines(controls: ControlReadings | None, place: int) -> dict[str, float]:
    if controls is None:
        return {}
    lines = {name: float(controls.means.mean[row, place]) for row, name in enumerate(controls.names)}
    return {name: lines[name] for name in ("noise", "shuffled") if name in lines and not np.isnan(lines[name])}


def _reading(means: Means, row: int, place: int) -> dict[str, float]:
    return {"mean": means.mean[row, place], "low": means.low[row, place], "high": means.high[row, place]}


def _histograms(table: AuditTable, audit: ClassAudit) -> list[str]:
    """The distributions of all measures over all rows, cut at the 99.5 % quantile."""
    figures = []
    for place, measure in enumerate(audit.measures):
        if measure.name in ("point_hit", "center_hit") or measure.name in {f"corner_{key}" for key in CORNERS}:
            continue
        low, high = table.database.execute(
            f"SELECT min({measure.sql}), quantile_cont({measure.sql}, 0.995) FROM statistics"
        ).fetchall()[0]
        if not high > low:
            continue
        counts = np.zeros(_BINS)
        bins = table.records(
            f"SELECT least(CAST(floor((value - $low) / $width * {_BINS}) AS INT), {_BINS - 1}) AS bin, "
            f"count(*) AS rows FROM (SELECT {measure.sql} AS value FROM statistics) "
            "WHERE value <= $high GROUP BY bin",
            {"low": float(low), "width": float(high - low), "high": float(high)},
        )
        for row in bins:
            counts[row["bin"]] = row["rows"]
        marks = {"mean": float(audit.overall.mean[0, place])}
        figures.append(pictures.histogram(measure.title, np.linspace(low, high, _BINS + 1), counts, marks))
    return figures


def _trends(table: AuditTable, correlates: Sequence[Correlate]) -> list[str]:
    """The strongest numeric correlates: means of ten equally large groups of images."""
    notable = [
        found for found in correlates if found.is_notable and not found.is_categorical and found.covariate in COVARIATES
    ]
    figures = []
    for found in sorted(notable, key=lambda found: -abs(found.strength))[:4]:
        x, y = COVARIATES[found.covariate], LOOKS[found.look]
        rows = table.arrays(
            "SELECT avg(x) AS centre, avg(y) AS mean, stddev_samp(y) / sqrt(count(*)) AS error "
            "FROM (SELECT x, y, ntile(10) OVER (ORDER BY x) AS tile "
            f"FROM (SELECT {x} AS x, {y} AS y FROM statistics) WHERE x IS NOT NULL AND y IS NOT NULL) "
            "GROUP BY tile HAVING count(*) > 1 ORDER BY tile"
        )
        reach = 1.96 * rows["error"]
        figures.append(
            pictures.trend(
                found.covariate, found.look, rows["centre"], rows["mean"], rows["mean"] - reach, rows["mean"] + reach
            )
        )
    return figures


def _classes_file(audit: ClassAudit) -> bytes:
    """The class table as Parquet."""
    columns: dict[str, Any] = {
        "class_index": audit.indices,
        "name": list(audit.names),
        "rows": audit.rows,
        "zero_maps": audit.zero_maps,
        "precision": pa.array(audit.precision, from_pandas=True),
        "recall": pa.array(audit.recall, from_pandas=True),
    }
    for place, measure in enumerate(audit.measures):
        column = audit.means.column(place)
        for what, values in (
            ("mean", column.mean),
            ("low", column.low),
            ("high", column.high),
            ("ratio", audit.ratio[:, place]),
            ("p_value", audit.p_values[:, place]),
        ):
            columns[f"{measure.name}_{what}"] = pa.array(values, from_pandas=True)
        columns[f"{measure.name}_flag"] = audit.flags[:, place]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()
