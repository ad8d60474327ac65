"""A plan for a person, and as the JSON line for a scheduler."""

import dataclasses
import json
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from pipeline.exit_codes import ExitCode
from pipeline.planning.plan import Plan, Range
from pipeline.terminal import one_line, say_result

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def print_plan(plan: Plan, console: Console) -> None:
    """The table to the console, the JSON line to standard output."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("images", f"{plan.images:,} in {plan.lines:,} lines")
    table.add_row(
        "to explain", f"{plan.to_explain:,}" + (f" ({plan.done_before:,} done before)" if plan.done_before else "")
    )
    table.add_row("shards", f"{plan.shards:,}")
    table.add_row("requests", f"{plan.read_requests:,} to read images, {plan.written_files:,} files to write")
    table.add_row("read", _said(plan.bytes_read, _bytes))
    table.add_row("written", _said(plan.bytes_written, _bytes))
    table.add_row("hours", _said(plan.hours, _hours) + " on one machine like this")
    for price, cost in plan.costs.items():
        table.add_row(f"cost at {price:g} an hour", _said(cost, lambda value: f"{value:,.2f}"))
    for why, count in plan.refused.items():
        table.add_row("refused", f"{count:,} images: {one_line(why)}")
    for example in plan.refused_examples:
        table.add_row("", one_line(example))
    if plan.sample is not None:
        for status, count in plan.sample.failures.items():
            table.add_row("failed", f"{count:,} of the {plan.sample.images:,} sampled images: {status}")
        for example in plan.sample.failure_examples:
            table.add_row("", one_line(example))
    table.add_row("basis", one_line(plan.basis))
    console.print(table)
    told = dataclasses.asdict(plan) | {"exit_code": ExitCode.DONE}
    say_result(json.dumps(told | {"costs": {str(price): cost for price, cost in told["costs"].items()}}))


def _said(value: Range, form: Callable[[float], str]) -> str:
    return f"{form(value.expected)} ({form(value.low)} to {form(value.high)})"


def _bytes(value: float) -> str:
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def _hours(value: float) -> str:
    return f"{value * 60:.2g} min" if value < 1 else f"{value:,.1f} h"
