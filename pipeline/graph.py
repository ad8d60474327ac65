"""The job as a graph: the table of contents of beam-gradcam."""

import functools

import apache_beam as beam

from pipeline.job import Job
from transforms.blocks import ReadBlocks
from transforms.container_shards import FollowContainers
from transforms.explain import ExplainImages, write_mistake
from transforms.shards import PlanShards
from transforms.table import WriteStatistics, WriteTotals


def build_graph(root: beam.Pipeline, job: Job) -> beam.PCollection[str]:
    """Put the steps of ``job`` on ``root``. Only references and rows pass between them, never pixels."""
    blocks = root | "ReadBlocks" >> ReadBlocks(
        job.manifest,
        job.settings.table,
        job.storage,
        job.buckets,
        functools.partial(write_mistake, table=job.settings.table, storage=job.storage),
    )
    shards = blocks | "PlanShards" >> PlanShards(
        job.buckets, job.manifest.conflicts == "multi", job.shard_size, job.in_turn
    )
    if job.survey.has_containers:
        shards |= "FollowContainers" >> FollowContainers(job.buckets, job.shard_size, job.in_turn)
    return (
        shards
        | "ExplainImages" >> ExplainImages(job.load_model, job.settings, job.storage, job.loaders)
        | "WriteStatistics" >> WriteStatistics(job.settings.table, job.storage)
        | "WriteTotals" >> WriteTotals(job.settings.table, job.storage)
    )
