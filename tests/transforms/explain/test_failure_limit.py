"""A worker that meets nothing but failures says so to its launcher, through a file of the run."""

import dataclasses

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from fakes import FakeModel

from transforms.explain.failure_limit import TooManyFailures, why_stopped, write_stop
from transforms.explain.settings import ExplainSettings
from transforms.explain.shard import ExplainImages
from transforms.records import ImageRef, Shard, image_id_of
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation
from transforms.table.schema import statistics_schema

STORAGE = Storage({"s3": {"secret": "open sesame"}})


@pytest.fixture(params=["", "memory:/"])
def table(request, tmp_path) -> TableLocation:
    return TableLocation(f"{request.param}{tmp_path}/out", "r1", "fake", token="launch 1")


def stop(table: TableLocation, shard_id: str = "00000-a") -> None:
    write_stop(TooManyFailures("nothing but failures (secret: open sesame)"), shard_id, table, STORAGE)


def test_the_launcher_hears_what_the_worker_said_without_secrets(table):
    assert why_stopped(table, STORAGE) is None
    stop(table)
    said = why_stopped(table, STORAGE)
    assert isinstance(said, TooManyFailures)
    assert str(said) == "nothing but failures (secret: ***)"


def test_a_worker_of_another_launch_of_the_same_run_does_not_count(table):
    stop(dataclasses.replace(table, token="launch 0"))
    assert why_stopped(table, STORAGE) is None
    stop(dataclasses.replace(table, token=None))
    assert why_stopped(table, STORAGE) is None
    assert why_stopped(dataclasses.replace(table, run_id="r2"), STORAGE) is None


def test_a_shard_that_another_worker_finished_ended_no_job(table):
    stop(table)
    STORAGE.put(table.run.part("00000-b"), b"another shard")
    assert why_stopped(table, STORAGE) is not None
    STORAGE.put(table.run.part("00000-a"), b"rows")
    assert why_stopped(table, STORAGE) is None


def test_a_part_of_an_earlier_launch_is_no_sign_that_the_shard_was_finished(table):
    STORAGE.put(table.run.part("00000-a"), b"rows")
    stop(table)
    assert why_stopped(table, STORAGE) is not None


def test_the_file_is_there_when_the_runner_raises(table):
    refs = tuple(ImageRef(f"/nowhere/{i}.png", image_id_of(str(i))) for i in range(9))
    settings = ExplainSettings(table, statistics_schema(), batch_size=3, max_failures=5)
    with (
        pytest.raises(Exception, match="nothing but failures"),
        beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline,
    ):
        _ = pipeline | beam.Create([(Shard("00000-a", refs, 0, 0, 0),)]) | ExplainImages(FakeModel, settings, STORAGE)
    said = str(why_stopped(table, STORAGE))
    assert said.startswith("nothing but failures: the first 5 images of a worker all failed, the last with FETCH_ERROR")
    assert "/nowhere/4.png" in said


def test_other_errors_of_a_worker_leave_no_word(table):
    class Broken(FakeModel):
        def __init__(self):
            raise OSError("no such model")

    settings = ExplainSettings(table, statistics_schema(), batch_size=3, max_failures=1)
    with (
        pytest.raises(Exception, match="no such model"),
        beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline,
    ):
        _ = pipeline | beam.Create([(Shard("00000-a", (), 0, 0, 0),)]) | ExplainImages(Broken, settings, STORAGE)
    assert why_stopped(table, STORAGE) is None
