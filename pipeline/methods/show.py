"""The table of methods for a person, or as JSON."""

import json
import math

from rich.console import Console
from rich.table import Table

from transforms.model.trust import MEASURES, MethodTable, Recommendation, TrustRow, recommend


def show_methods(table: MethodTable, in_json: bool, console: Console) -> None:
    advice = recommend(table)
    if in_json:
        print(json.dumps(as_json(table, advice), indent=2))  # noqa: T201
        return
    console.print(_table(table, advice))
    for name, meaning in MEASURES.items():
        console.print(f"{name}: {meaning}")
    console.print(f"{table.images} images, {table.with_boxes} with boxes; {table.seconds:g} s")
    if advice.row is None:
        console.print(f"no recommendation: {advice.reasons[0]}")
        return
    row = table.rows[advice.row]
    console.print(f"recommended: {row.name}{f', {row.fusion}' if row.fusion else ''}")
    for reason in advice.reasons:
        console.print(f"  {reason}")


def _table(table: MethodTable, advice: Recommendation) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("method", no_wrap=True)
    shown.add_column("layer", overflow="fold")
    for title in MEASURES:
        shown.add_column(title, justify="right")
    for number, row in enumerate(table.rows):
        name = row.method + (f", {row.fusion}" if row.fusion else "") + ("  <-" if number == advice.row else "")
        cells = [_cell(row, measure) for measure in MEASURES]
        shown.add_row(name, row.layer, *cells, style="bold" if number == advice.row else None)
    return shown


def _cell(row: TrustRow, measure: str) -> str:
    """The mean and half of its interval."""
    mean, (low, high) = row.mean(measure), row.interval(measure)
    if math.isnan(mean):
        return ""
    return f"{mean:.3f}" if math.isnan(low) else f"{mean:.3f} ±{(high - low) / 2:.3f}"


def as_json(table: MethodTable, advice: Recommendation) -> dict[str, object]:
    """Means and intervals of every row, and what is recommended."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 6)

    rows = [
        {
            "method": row.method,
            "layer": row.layer,
            "fusion": row.fusion,
            **{name: number(row.mean(name)) for name in MEASURES},
            "intervals": {name: [number(edge) for edge in row.interval(name)] for name in MEASURES},
        }
        for row in table.rows
    ]
    return {
        "images": table.images,
        "with_boxes": table.with_boxes,
        "seconds": table.seconds,
        "rows": rows,
        "recommended": advice.row,
        "reasons": list(advice.reasons),
    }
