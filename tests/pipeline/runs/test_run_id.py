"""Runs that are named after the time they began at."""

import datetime

from pipeline.config import Run
from pipeline.runs import run_id as module
from pipeline.runs.run_id import choose_run_id
from transforms.storage import Storage
from transforms.table import OutputLayout


def test_runs_of_one_second_are_in_the_order_of_their_ids(tmp_path, monkeypatch):
    """`newest` is the last id: a run that had begun later in the second once came before the first."""
    clock = iter([900, 1_000, 999_999, 1_000_001])  # microseconds

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime(2026, 11, 26, 13, 16, 42, tzinfo=tz) + datetime.timedelta(microseconds=next(clock))

    monkeypatch.setattr(module.datetime, "datetime", Clock)
    ids = []
    for _ in range(4):
        ids.append(choose_run_id(Run(resume=False), str(tmp_path), "f", "t", "m", Storage()))
        Storage().put(OutputLayout(str(tmp_path)).run(ids[-1]).record, b"{}")
    assert ids == ["20261126T131642Z", "20261126T131642Z-001000", "20261126T131642Z-999999", "20261126T131643Z"]
    assert ids == sorted(ids)
