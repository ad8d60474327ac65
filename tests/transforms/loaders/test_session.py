"""A shard through loader processes is the shard through threads, to the last bit, whatever happens on the way."""

import dataclasses
import os
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from dying_photos import write_photos
from fakes import FakeModel
from shards import explain
from waiting import wait_until

from transforms.explain.batches import BatchExplainer
from transforms.explain.failure_limit import FailureLimit, TooManyFailures
from transforms.explain.settings import ExplainSettings
from transforms.explain.shard import explain_shard
from transforms.explain.tally import Tally
from transforms.loaders import LoaderPool
from transforms.manifest import Manifest, read_manifest
from transforms.model import ModelOptions
from transforms.model.no_model import NoModel, no_model_card
from transforms.overlays import OverlaySettings
from transforms.records import ImageRef, Shard, image_id_of
from transforms.storage import Storage
from transforms.table import TableLocation, statistics_schema
from transforms.targets import TargetPolicy

REGIONS = ("corner",)


@pytest.fixture(scope="module")
def pool():
    pool = LoaderPool(2)
    yield pool
    pool.close()


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()}


def explained(shard: Shard, folder: Path, pool: LoaderPool | None, model, batch_size: int, **settings) -> pa.Table:
    table = TableLocation(str(folder), "r1", "fake")
    chosen = ExplainSettings(table, statistics_schema(REGIONS), batch_size=batch_size, **settings)
    explainer = BatchExplainer(model, batch_size)
    return explain_shard(shard, explainer, chosen, Storage(), FailureLimit(0), Tally(), pool).rows


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Shard:
    """Real photos of several sizes and formats, and what is wrong with strangers' files."""
    folder, refs = tmp_path_factory.mktemp("photos"), []
    (folder / "no.jpg").write_bytes(b"no picture")
    originals = [ref.uri for ref in read_manifest(Manifest("bundled:photos"), Storage())]
    (folder / "cut.jpg").write_bytes(Path(originals[0]).read_bytes()[:999])
    for number in range(30):
        pixels = cv2.imread(originals[number % len(originals)])
        side = 60 + 7 * number
        path = folder / f"{number}.{'png' if number % 3 else 'jpg'}"
        cv2.imwrite(str(path), cv2.resize(pixels, (side, 2 * side)))
        refs.append(str(path))
    refs[5:5] = [str(folder / name) for name in ("no.jpg", "cut.jpg", "missing.jpg")]
    labels = ("3", "no such class", None)
    labelled = [ImageRef(uri, image_id_of(uri), labels[i % 3]) for i, uri in enumerate(refs)]
    return Shard("00000-test", tuple(labelled), 0, 0, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"overlays": OverlaySettings()},
        {"overlays": OverlaySettings(in_tar=True, max_side=64, format="png"), "targets": TargetPolicy.parse("top_k:3")},
        {
            "targets": TargetPolicy.parse(["7", "9"]),
            "detect_changes": True,
            "regions": ((REGIONS[0], (0.0, 0.0, 0.3, 0.3)),),
        },
    ],
)
def test_table_and_overlays_are_those_of_threads_bit_for_bit(pool, photos, tmp_path, settings):
    model = NoModel(no_model_card(ModelOptions(source="none")))
    expected = explained(photos, tmp_path / "out", None, model, 8, **settings)
    files = files_below(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "threads") if files else None
    table = explained(photos, tmp_path / "out", pool, model, 8, **settings)
    assert table.num_rows == expected.num_rows > 30
    assert table.equals(expected)
    assert files_below(tmp_path / "out") == files
    assert bool(files) == ("overlays" in settings)


def test_16_bits_pass_through_the_ring(pool, tmp_path):
    pixels = np.arange(24 * 32 * 3, dtype=np.uint16).reshape(24, 32, 3) * 28
    cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    ref = ImageRef(str(tmp_path / "deep.png"), image_id_of("deep"))
    seen = []

    class Model(NoModel):
        def explain(self, images, targets):
            seen.append(images[0].copy())
            return super().explain(images, targets)

    options = ModelOptions(source="none", preprocessing={"scale": 1.0, "offset": 0.0, "bits": 16}, input_size=(24, 32))
    model = Model(no_model_card(options))
    for one in (None, pool):
        explained(Shard("00000-test", (ref,), 0, 0, 0), tmp_path / "out", one, model, 2)
    assert seen[0].dtype == np.uint16
    assert len(np.unique(seen[0])) > 256
    np.testing.assert_array_equal(*seen)


class KillsLoaders(FakeModel):
    """Kills every loader of a pool while the photos of its first batches wait there for their maps."""

    def __init__(self, pool: LoaderPool, batches: int):
        self._pool, self._batches = pool, batches

    def explain(self, images, targets):
        if self._batches:
            self._batches -= 1
            pids = self._pool.pids()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(set(self._pool.pids()) - set(pids)) == self._pool.count, 60)
        return super().explain(images, targets)


def test_photos_that_died_with_their_loader_are_loaded_again_for_their_overlays(pool, tmp_path):
    refs = write_photos(tmp_path / "photos", 20, {})
    look = OverlaySettings(max_side=16)
    expected, _ = explain(refs, tmp_path, overlays=look)
    files = files_below(tmp_path / "out")
    assert len(files) == 20
    (tmp_path / "out").rename(tmp_path / "threads")
    rows, _ = explain(refs, tmp_path, KillsLoaders(pool, 2), pool=pool, overlays=look)
    assert rows == expected
    assert files_below(tmp_path / "out") == files


class ChangesPhoto(KillsLoaders):
    def __init__(self, pool: LoaderPool, photo: str, content: bytes):
        super().__init__(pool, 1)
        self._photo, self._content = photo, content

    def explain(self, images, targets):
        if self._batches:
            Path(self._photo).write_bytes(self._content)
        return super().explain(images, targets)


def test_a_photo_that_cannot_be_loaded_again_is_a_failure_and_not_an_overlay_of_something_else(pool, tmp_path):
    refs = write_photos(tmp_path / "photos", 8, {})
    changed = Path(refs[7].uri).read_bytes()
    model = ChangesPhoto(pool, refs[1].uri, changed)
    rows, _ = explain(refs, tmp_path, model, pool=pool, overlays=OverlaySettings(max_side=16))
    assert [row["status"] for row in rows] == ["OK", "FETCH_ERROR"] + ["OK"] * 6
    assert rows[1]["error_message"] == "the image has changed since it was explained; explain it again"
    assert len(files_below(tmp_path / "out")) == 7


@dataclasses.dataclass(frozen=True)
class ManyAtATime(Storage):
    """A fetch or a put is done as soon as so many are under way; alone, it fails."""

    folder: str = ""
    together: int = 0

    def fetch(self, uri, max_bytes, on_retry=None):
        self._meet("fetch", uri)
        return super().fetch(uri, max_bytes, on_retry)

    def put(self, uri, content, durable=True):
        self._meet("put", uri)
        super().put(uri, content, durable)

    def _meet(self, what: str, uri: str) -> None:
        room = Path(self.folder) / what
        room.mkdir(exist_ok=True)
        (room / image_id_of(uri)).touch()
        wait_until(lambda: sum(1 for _ in room.iterdir()) >= self.together, 30)


def test_a_far_store_is_asked_for_many_images_at_a_time(pool, tmp_path):
    refs = write_photos(tmp_path / "photos", 40, {})
    (tmp_path / "meetings").mkdir()
    storage = ManyAtATime(folder=str(tmp_path / "meetings"), together=8)
    rows, _ = explain(refs, tmp_path, storage=storage, pool=pool, overlays=OverlaySettings(max_side=16))
    assert [row["status"] for row in rows] == ["OK"] * 40


@dataclasses.dataclass(frozen=True)
class DeadMount(Storage):
    """Reads of some files never come back."""

    dead: frozenset[str] = frozenset()

    def fetch(self, uri, max_bytes, on_retry=None):
        if uri in self.dead:
            threading.Event().wait()
        return super().fetch(uri, max_bytes, on_retry)


def test_more_reads_that_hang_than_threads_cost_a_row_each(pool, tmp_path):
    count = 2 * pool.fetchers + 3
    refs = write_photos(tmp_path / "photos", count + 6, {})
    storage = DeadMount(timeout=0.5, dead=frozenset(ref.uri for ref in refs[2 : 2 + count]))
    rows, events = explain(refs, tmp_path, storage=storage, pool=pool)
    assert [row["status"] for row in rows] == ["OK"] * 2 + ["FETCH_ERROR"] * count + ["OK"] * 4
    assert rows[2]["error_message"] == "timed out: fetch took more than 0.6 seconds; input.timeout can allow more"
    assert events["timed_out"] == count


@dataclasses.dataclass(frozen=True)
class FullDisk(Storage):
    def put(self, uri, content, durable=True):
        raise OSError(28, "No space left on device", uri)


def test_an_output_that_cannot_be_written_ends_the_shard_with_the_cause_and_the_pool_goes_on(pool, tmp_path):
    refs = write_photos(tmp_path / "photos", 12, {})
    with pytest.raises(OSError, match="No space left on device") as caught:
        explain(refs, tmp_path, storage=FullDisk(), pool=pool, overlays=OverlaySettings(max_side=16))
    assert "in a loader process:" in caught.value.__notes__[0]
    rows, _ = explain(refs, tmp_path, pool=pool)
    assert [row["status"] for row in rows] == ["OK"] * 12


def test_a_streak_of_failures_ends_the_shard_as_with_threads(pool, tmp_path):
    refs = [ImageRef(f"{tmp_path}/none/{i}.png", image_id_of(str(i))) for i in range(9)]
    with pytest.raises(TooManyFailures, match=r"the first 5 images of a worker all failed, the last with FETCH_ERROR"):
        explain(refs, tmp_path, pool=pool, max_failures=5)


def test_two_shards_at_a_time_share_the_loaders(pool, tmp_path):
    refs = write_photos(tmp_path / "photos", 30, {})
    expected = explain(refs, tmp_path)[0]
    found = {}

    def run(name: str) -> None:
        found[name] = explain(refs, tmp_path / name, pool=pool)[0]

    threads = [threading.Thread(target=run, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys("abc", expected)
