import os

from transforms import machine


def test_a_quota_of_the_control_group_counts(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine.pathlib.Path, "exists", lambda _: True)
    monkeypatch.setattr(machine.pathlib.Path, "read_text", lambda _: "250000 100000\n")
    assert machine.available_cpus() == 3
    monkeypatch.setattr(machine.pathlib.Path, "read_text", lambda _: "max 100000\n")
    assert machine.available_cpus() == 8
