"""What Beam's own pages show of a job: Dataflow's, Flink's and Spark's counters, made of the tallies of shards.

Rows and summary stay the truth: a bundle that a runner repeats counts again here.
"""

import pyarrow as pa
from apache_beam.metrics import Metrics

from transforms.explain.tally import Tally
from transforms.table import image_statuses

NAMESPACE = "beam_gradcam"
DISTRIBUTIONS = ("fetch", "decode", "compute", "write")  # steps of a tally; the metrics are called fetch_ms and so on


def report_metrics(rows: pa.Table, tally: Tally) -> None:
    """Add what came of some images to the counters of the step at hand; does nothing outside of a pipeline.

    Counters: ``images`` and ``images_<status>`` (an image is a failure if one of its rows is), ``rows``, and every
    event of the tally: ``batches``, ``padded_images``, ``fetch_retries``, ``out_of_memory_backoffs``, ``bytes_read``,
    ``bytes_written`` ... Distributions: milliseconds of each fetch, decode and write, and of each batch's computation.

    To be called in the thread that Beam runs the step in: in other threads its metrics go nowhere.
    """
    statuses = list(image_statuses(rows).values())
    Metrics.counter(NAMESPACE, "images").inc(len(statuses))
    for status in sorted(set(statuses)):
        Metrics.counter(NAMESPACE, f"images_{status}").inc(statuses.count(status))
    Metrics.counter(NAMESPACE, "rows").inc(rows.num_rows)
    for event, times in tally.events().items():
        Metrics.counter(NAMESPACE, event).inc(times)
    for step in DISTRIBUTIONS:
        distribution = Metrics.distribution(NAMESPACE, f"{step}_ms")
        for seconds in tally.durations(step):
            distribution.update(round(1000 * seconds))
