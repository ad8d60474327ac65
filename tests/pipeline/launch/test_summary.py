"""Where the time of a run went."""

from pipeline.launch.summary import time_split
from transforms.explain.shard import WAITING, WHOLE
from transforms.explain.tally import Tally


def test_the_shares_add_up_to_the_whole():
    seconds = {WHOLE: 10.0, WAITING: 5.5, "compute": 3.0, "decode": 20.0, "fetch": 1.0}
    assert time_split(seconds) == {"fetch and decode": 0.55, "model": 0.3, "rows and overlays": 0.15}


def test_a_run_without_shards_has_none():
    assert time_split({}) == {}


def test_waiting_passes_the_elements_on_and_counts_each_wait():
    tally = Tally()
    assert list(tally.waiting("wait", iter([1, 2, 3]))) == [1, 2, 3]
    assert tally.seconds().keys() == {"wait"}
