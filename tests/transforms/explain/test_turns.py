"""Shards in turn: the next begins when the one before has asked for its last image, and nothing runs after an error."""

import contextlib
import threading

import pytest

from transforms.explain.turns import Turn, in_turn
from transforms.records import ImageRef, image_id_of

REFS = [ImageRef(uri, image_id_of(uri)) for uri in ("a", "b", "c")]


def call(work, turn: Turn):
    return work(turn)


def test_the_next_begins_before_the_one_before_has_ended_and_results_keep_their_order():
    may_end = threading.Event()

    def first(turn: Turn) -> str:
        assert [ref.uri for ref in turn.passing(REFS)] == ["a", "b", "c"]
        assert may_end.wait(30)
        return "first"

    def second(turn: Turn) -> str:
        list(turn.passing(REFS))
        may_end.set()  # the first cannot end before the second has begun
        return "second"

    assert list(in_turn(call, [first, second, lambda _: "third"])) == ["first", "second", "third"]
    assert list(in_turn(call, [])) == []


def test_the_next_waits_until_the_last_image_is_asked_for_and_two_run_at_most():
    running, most = set(), []
    lock = threading.Lock()

    def work(number: int, turn: Turn) -> int:
        for ref in turn.passing(REFS):
            with lock:
                assert ref.uri == "c" or number + 1 not in running
                running.add(number)
                most.append(len(running))
        with lock:
            running.discard(number)
        return number

    assert list(in_turn(work, range(200))) == list(range(200))
    assert max(most) <= 2


def test_after_an_error_the_next_is_not_begun():
    begun = []

    def first(turn: Turn) -> None:
        raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        list(in_turn(call, [first, lambda _: begun.append("second")]))
    assert begun == []


def test_an_error_ends_the_one_that_has_begun_at_its_next_image():
    has_begun, ended = threading.Event(), []

    def first(turn: Turn) -> None:
        list(turn.passing(REFS))
        assert has_begun.wait(30)
        raise ValueError("no disk")

    def second(turn: Turn) -> None:
        has_begun.set()
        try:
            while True:
                list(turn.passing(REFS))
        finally:
            ended.append("second")

    with pytest.raises(ValueError, match="no disk"):
        list(in_turn(call, [first, second]))
    assert ended == ["second"]


def test_whoever_stops_listening_leaves_nothing_running():
    ended = threading.Event()

    def endless(turn: Turn) -> None:
        try:
            while True:
                list(turn.passing(REFS))
        finally:
            ended.set()

    with contextlib.closing(in_turn(call, [lambda _: "first", endless, endless])) as results:
        assert next(results) == "first"
    assert ended.is_set()
