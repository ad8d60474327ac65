"""A shard of real files explained by a fake model, in threads or in loader processes."""

from collections.abc import Sequence
from pathlib import Path

from fakes import FakeModel

from transforms.explain.batches import BatchExplainer
from transforms.explain.failure_limit import FailureLimit
from transforms.explain.settings import ExplainSettings
from transforms.explain.shard import explain_shard
from transforms.explain.tally import Tally
from transforms.loaders import LoaderPool
from transforms.records import ImageRef, Shard
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation
from transforms.table.schema import statistics_schema


def explain(
    refs: Sequence[ImageRef], folder: Path, model=None, storage=Storage(), pool: LoaderPool | None = None, **settings
) -> tuple[list[dict], dict[str, int]]:
    """The rows, in the order of the references, and the events of the tally; overlays go below ``folder / "out"``."""
    settings = ExplainSettings(
        TableLocation(str(folder / "out"), "r1", "fake"), statistics_schema(), batch_size=3, **settings
    )
    result = explain_shard(
        Shard("00000-test", tuple(refs), 0, 0, 0), BatchExplainer(model or FakeModel(), 3), settings, storage,
        FailureLimit(settings.max_failures), Tally(), pool,
    )  # fmt: skip
    places = {ref.image_id: place for place, ref in enumerate(refs)}
    return sorted(result.rows.to_pylist(), key=lambda row: places[row["image_id"]]), result.events
