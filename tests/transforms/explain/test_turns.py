"""Shards in turn: the next begins when the one before has asked for its last image, and nothing runs after an error."""

import threading

import pytest

from transforms.explain.turns import Turn, Turns
from transforms.records import ImageRef, image_id_of

REFS = [ImageRef(uri, image_id_of(uri)) for uri in ("a", "b", "c")]


def take(turns, work):
    return list(turns.take(work))


def test_the_next_begins_before_the_one_before_has_ended_and_results_keep_their_order():
    turns, begun, may_end = Turns[str](), [], threading.Event()

    def first(turn: Turn) -> str:
        begun.append("first")
        assert [ref.uri for ref in turn.passing(REFS)] == ["a", "b", "c"]
        assert may_end.wait(30)
        return "first"

    def second(turn: Turn) -> str:
        begun.append("second")
        list(turn.passing(REFS))
        may_end.set()  # the first cannot end before the second has begun
        return "second"

    assert take(turns, first) == []
    assert take(turns, second) == ["first"]
    assert take(turns, None) == ["second"]
    assert take(turns, None) == []
    assert begun == ["first", "second"]


def test_the_next_waits_until_the_last_image_is_asked_for():
    turns, begun = Turns[str](), []
    asked, go_on = threading.Event(), threading.Event()

    def first(turn: Turn) -> str:
        refs = turn.passing(REFS)
        next(refs)
        asked.set()
        assert go_on.wait(30)
        assert not begun
        list(refs)
        return "first"

    def second(_turn: Turn) -> str:
        begun.append("second")
        return "second"

    take(turns, first)
    assert asked.wait(30)
    taking = threading.Thread(target=lambda: results.extend(take(turns, second)))
    results: list[str] = []
    taking.start()
    go_on.set()
    taking.join(30)
    assert results == ["first"]
    assert take(turns, None) == ["second"]


def test_after_an_error_the_next_is_not_begun():
    turns, begun = Turns[None](), []

    def first(turn: Turn) -> None:
        raise ValueError("no disk")

    take(turns, first)
    with pytest.raises(ValueError, match="no disk"):
        take(turns, lambda _: begun.append("second"))
    assert begun == []
    assert take(turns, None) == []


def test_an_error_ends_the_one_that_has_begun_at_its_next_image():
    turns, ended = Turns[None](), []
    has_begun = threading.Event()

    def first(turn: Turn) -> None:
        list(turn.passing(REFS))
        assert has_begun.wait(30)
        raise ValueError("no disk")

    def second(turn: Turn) -> None:
        has_begun.set()
        try:
            for _ in range(10**9):
                list(turn.passing(REFS))
        finally:
            ended.append("second")

    take(turns, first)
    with pytest.raises(ValueError, match="no disk"):
        take(turns, second)
    assert ended == ["second"]
    assert take(turns, None) == []


def test_what_is_dropped_ends_and_gives_no_result():
    turns, ended = Turns[None](), threading.Event()

    def endless(turn: Turn) -> None:
        try:
            while True:
                list(turn.passing(REFS))
        finally:
            ended.set()

    take(turns, endless)
    turns.drop()
    assert ended.is_set()
    assert take(turns, None) == []
