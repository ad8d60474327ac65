"""What a launcher says of a job that ended with an error."""

from pipeline.launch.run import _cause
from transforms.explain.failure_limit import TooManyFailures, write_stop
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation

STORAGE = Storage()


def test_the_word_of_a_worker_comes_before_what_the_runner_made_of_it(tmp_path):
    table = TableLocation(str(tmp_path), "r1", "fake", token="t")
    error = RuntimeError("Worker subprocess exited with return code 1")
    assert _cause(error, table, STORAGE) is error
    write_stop(TooManyFailures("nothing but failures"), "00000-a", table, STORAGE)
    cause = _cause(error, table, STORAGE)
    assert (type(cause), str(cause)) == (TooManyFailures, "nothing but failures")


def test_a_file_that_cannot_be_read_does_not_hide_the_error(tmp_path):
    table = TableLocation(str(tmp_path), "r1", "fake", token="t")
    for content in (b"{", b'{"words": 1}'):
        STORAGE.put(table.run.stopped, content)
        error = OSError("disk full")
        assert _cause(error, table, STORAGE) is error
        assert f"{tmp_path}/runs/r1/stopped.json cannot be read: " in error.__notes__[0]
