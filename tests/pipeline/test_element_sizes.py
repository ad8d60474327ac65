"""What crosses between workers: at most a shard of references; no rows, no pixels."""

import threading

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.pipeline import PipelineVisitor
from fakes import CARD, FakeModel
from synthetic import write_photo

from pipeline.config.schema import Config
from pipeline.graph import build_graph
from pipeline.job import Job
from pipeline.launch.runners import pipeline_options, runner_of
from transforms.dealing import bucket_count
from transforms.explain.settings import ExplainSettings
from transforms.manifest.manifest import Manifest
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import ManifestSummary
from transforms.storage.storage import Storage
from transforms.table.done import write_earlier_parts
from transforms.table.location import TableLocation
from transforms.table.parts import list_parts
from transforms.table.schema import statistics_schema
from transforms.targets import TargetPolicy

IMAGES, SHARD = 1000, 64
_sizes: dict[str, list[int]] = {}
_lock = threading.Lock()


class Shuffles(PipelineVisitor):
    """Every place where elements leave a worker, and what goes in there."""

    def __init__(self):
        self.inputs: dict[str, beam.PCollection] = {}

    def visit_transform(self, node):
        if isinstance(node.transform, beam.GroupByKey):
            self.inputs[node.full_label] = node.inputs[0]
        for view in node.side_inputs:
            self.inputs[f"side input of {node.full_label}"] = view.pvalue


def note_size(element, place: str) -> None:
    with _lock:
        _sizes[place].append(len(FastPrimitivesCoder().encode(element)))


def run_noting_sizes(job: Job) -> dict[str, list[int]]:
    """The encoded size in bytes of every element that is shuffled, by the place of the shuffle."""
    table = job.settings.table
    write_earlier_parts(table, list_parts(f"{table.output}/statistics", job.storage), job.storage)
    options = pipeline_options(Config(), [])
    pipeline = beam.Pipeline(runner=runner_of(options), options=options)
    build_graph(pipeline, job)
    shuffles = Shuffles()
    pipeline.visit(shuffles)
    _sizes.clear()
    for number, (place, elements) in enumerate(shuffles.inputs.items()):
        _sizes[place] = []
        elements | f"Note{number}" >> beam.Map(note_size, place)
    pipeline.run().wait_until_finish()
    return dict(_sizes)


def test_nothing_larger_than_a_shard_of_references_is_shuffled(tmp_path):
    photo = write_photo(tmp_path, "photo.png")
    manifest = tmp_path / "manifest.txt"
    manifest.write_text("\n".join([photo, *(f"{tmp_path}/missing-{i:05d}.png" for i in range(IMAGES - 1))]))
    storage = Storage()
    first = next(read_manifest(Manifest(str(manifest)), storage))
    reference = len(FastPrimitivesCoder().encode((first,)))
    shard = 0.6 * SHARD * reference  # packed; but hashing does not fill all shards alike
    for run_id, expected_parts in (("r1", 0), ("r2", bucket_count(IMAGES, SHARD))):  # the second finds all done
        job = Job(
            manifest=Manifest(str(manifest)),
            survey=ManifestSummary(IMAGES, ()),
            card=CARD,
            load_model=FakeModel,
            settings=ExplainSettings(
                TableLocation(str(tmp_path / "out"), run_id, CARD.fingerprint),
                statistics_schema(),
                TargetPolicy("predicted"),
            ),
            buckets=bucket_count(IMAGES, SHARD),
            storage=storage,
        )
        assert sum(1 for _ in list_parts(str(tmp_path / "out"), storage)) == expected_parts
        sizes = run_noting_sizes(job)
        (plan,) = (place for place in sizes if place.startswith("PlanShards"))
        assert len(sizes[plan]) == bucket_count(IMAGES, SHARD) * (1 if run_id == "r1" else 2)
        assert max(sizes[plan]) < shard
        assert sum(sizes[plan]) > 16 * IMAGES  # the references did go this way: 16 bytes of each are its id
        others = {place: sizes[place] for place in sizes if place != plan}
        assert others, "the totals are shuffled too"
        assert max(max(some, default=0) for some in others.values()) < 500  # counts: rows stay where they are made
