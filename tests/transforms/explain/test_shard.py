"""A shard of real files with a fake model: hanging storage and decoders, models without finite numbers."""

import contextlib
import dataclasses
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import CARD, FakeModel

from transforms.explain import loading
from transforms.explain.batches import BatchExplainer
from transforms.explain.failure_limit import FailureLimit, TooManyFailures
from transforms.explain.settings import ExplainSettings
from transforms.explain.shard import explain_shard
from transforms.explain.tally import Tally
from transforms.machine import available_cpus
from transforms.model.explanation import BatchExplanation
from transforms.overlays.settings import OverlaySettings
from transforms.records import ImageRef, Shard, image_id_of
from transforms.storage.storage import Storage
from transforms.table.location import TableLocation
from transforms.table.schema import statistics_schema


def write_shard(folder: Path, count: int) -> Shard:
    refs = []
    for i in range(count):
        uri = str(folder / f"{i:02d}.png")
        photo = np.full((8, 8, 3), (20 + i, 10, 5), np.uint8)  # BGR
        photo[:4, :4] *= 2
        cv2.imwrite(uri, photo)
        refs.append(ImageRef(uri, image_id_of(uri)))
    return Shard("00000-test", tuple(refs), 0, 0, 0)


def explain(shard: Shard, folder: Path, model=None, storage=Storage(), **settings):
    settings = ExplainSettings(
        TableLocation(str(folder / "out"), "r1", "fake"), statistics_schema(), batch_size=3, **settings
    )
    result = explain_shard(
        shard, BatchExplainer(model or FakeModel(), 3), settings, storage, FailureLimit(settings.max_failures), Tally()
    )
    return {row["uri"].rpartition("/")[2]: row for row in result.rows.to_pylist()}, result.events


@dataclasses.dataclass(frozen=True)
class DeadMount(Storage):
    """Reads of some files never come back, as on an NFS mount whose server is gone."""

    dead: frozenset[str] = frozenset()
    back: threading.Event = None

    def fetch(self, uri, max_bytes, on_retry=None):
        if uri in self.dead:
            self.back.wait()
        return super().fetch(uri, max_bytes, on_retry)


@pytest.fixture
def forever():
    """What hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_more_reads_that_hang_than_threads_cost_a_row_each_and_the_shard_goes_on(tmp_path, forever):
    count = loading._FETCHERS + 2
    shard = write_shard(tmp_path, count + 10)
    dead = frozenset(ref.uri for ref in shard.refs[2 : 2 + count])
    rows, events = explain(shard, tmp_path, storage=DeadMount(timeout=1, dead=dead, back=forever))
    assert len(rows) == count + 10
    failed = {name: row for name, row in rows.items() if row["status"] != "OK"}
    assert sorted(failed) == [f"{i:02d}.png" for i in range(2, 2 + count)]
    for row in failed.values():
        assert (row["status"], row["error_stage"], row["error_type"]) == ("FETCH_ERROR", "fetch", "TimeoutError")
        assert row["error_message"] == "timed out: fetch took more than 1.2 seconds; input.timeout can allow more"
    assert events["timed_out"] == count


def test_a_decoder_that_hangs_costs_one_row(tmp_path, monkeypatch, forever):
    shard = write_shard(tmp_path, 7)
    bomb = (tmp_path / "03.png").read_bytes()
    decode = loading.decode_image

    def hanging(encoded, *arguments, **more):
        if encoded == bomb:
            forever.wait()
        return decode(encoded, *arguments, **more)

    monkeypatch.setattr(loading, "decode_image", hanging)
    rows, _ = explain(shard, tmp_path, storage=Storage(timeout=1))
    assert [name for name, row in rows.items() if row["status"] != "OK"] == ["03.png"]
    assert (rows["03.png"]["status"], rows["03.png"]["error_stage"]) == ("DECODE_ERROR", "decode")
    assert rows["03.png"]["error_message"].startswith("timed out: decode took more than 1.2 seconds")


def test_labels_that_the_model_does_not_know_are_counted(tmp_path):
    shard = write_shard(tmp_path, 5)
    labels = ("blue", "bleu", "2", "3", None)
    refs = tuple(dataclasses.replace(ref, label=label) for ref, label in zip(shard.refs, labels, strict=True))
    rows, events = explain(dataclasses.replace(shard, refs=refs), tmp_path)
    assert [row["label_index"] for row in rows.values()] == [2, None, 2, None, None]
    assert events["unknown_labels"] == 2


@dataclasses.dataclass(frozen=True)
class FarStore(Storage):
    """Answers only while so many others are asking too, as if each answer took very long."""

    readers: threading.Barrier = None
    writers: threading.Barrier = None

    def fetch(self, uri, max_bytes, on_retry=None):
        self.readers.wait()
        return super().fetch(uri, max_bytes, on_retry)

    def put(self, uri, content, durable=True):
        self.writers.wait()
        super().put(uri, content, durable)


def test_a_far_store_is_asked_for_many_images_at_a_time_and_decoders_are_no_more_than_cores(tmp_path, monkeypatch):
    decoding, most, one_more = set(), [], threading.Barrier(available_cpus() + 1)
    decode = loading.decode_image

    def counted(*arguments, **more):
        decoding.add(threading.get_ident())
        most.append(len(decoding))
        with contextlib.suppress(threading.BrokenBarrierError):
            one_more.wait(0.3)  # long enough for one more to come in, if it were let; the first wait is the last
        try:
            return decode(*arguments, **more)
        finally:
            decoding.discard(threading.get_ident())

    monkeypatch.setattr(loading, "decode_image", counted)
    storage = FarStore(readers=threading.Barrier(16, timeout=50), writers=threading.Barrier(16, timeout=50))
    look = OverlaySettings(max_side=16)
    rows, events = explain(write_shard(tmp_path, 48), tmp_path, storage=storage, overlays=look)
    assert [row["status"] for row in rows.values()] == ["OK"] * 48
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 48
    assert "timed_out" not in events
    assert max(most) <= available_cpus()


class BrokenModel(FakeModel):
    """NaN in the maps of images that are bright, in the scores of those that are dark, as NaN weights make them."""

    def explain(self, images: np.ndarray, targets: np.ndarray) -> BatchExplanation:
        explanation = super().explain(images, targets)
        level = images[:, 7, 7, 2]
        cams, scores = explanation.cams.copy(), explanation.scores.copy()
        cams[level == 22] = np.nan
        scores[level == 23, 1] = np.inf
        finite = np.isfinite(cams).all(axis=(2, 3)) & np.isfinite(scores).all(axis=1, keepdims=True)
        return dataclasses.replace(explanation, cams=cams, scores=scores, finite=finite)


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_not_finite_are_a_status_and_never_nan_in_the_table(tmp_path):
    rows, _ = explain(write_shard(tmp_path, 6), tmp_path, BrokenModel(), overlays=OverlaySettings(max_side=16))
    assert [row["status"] for row in rows.values()] == ["OK", "OK", "NONFINITE", "NONFINITE", "OK", "OK"]
    for name in ("02.png", "03.png"):
        row = rows[name]
        assert [column for column, value in row.items() if isinstance(value, float) and not np.isfinite(value)] == []
        assert (row["cam_max"], row["entropy"], row["cam"], row["overlay_uri"]) == (None, None, None, None)
        assert row["byte_count"] > 0
        assert row["brightness"] > 0
    assert rows["02.png"]["predicted_name"] == "blue"  # its scores are finite
    assert rows["03.png"]["predicted_index"] is None
    written = {path.name.partition("-")[0] for path in (tmp_path / "out" / "overlays").rglob("*.jpg")}
    assert written == {row["image_id"] for row in rows.values() if row["status"] == "OK"}
    assert CARD.cam_height * CARD.cam_width == len(rows["00.png"]["cam"])


def test_a_wrong_bucket_stops_the_worker_with_the_cause(tmp_path):
    refs = tuple(ImageRef(f"{tmp_path}/none/{i}.png", image_id_of(str(i))) for i in range(9))
    with pytest.raises(TooManyFailures) as caught:
        explain(Shard("00000-test", refs, 0, 0, 0), tmp_path, max_failures=5)
    said = str(caught.value)
    assert said.startswith("nothing but failures: the first 5 images of a worker all failed, the last with FETCH_ERROR")
    assert f"{tmp_path}/none/4.png: " in said
    assert "No such file or directory" in said


def test_one_image_that_succeeds_ends_the_suspicion_for_good(tmp_path):
    shard = write_shard(tmp_path, 6)
    for ref in (*shard.refs[:3], *shard.refs[4:]):
        (tmp_path / ref.uri).unlink()
    rows, _ = explain(shard, tmp_path, max_failures=4)
    assert [row["status"] for row in rows.values()].count("FETCH_ERROR") == 5
    rows, _ = explain(Shard("00001-test", shard.refs[4:], 0, 0, 0), tmp_path, max_failures=0)
    assert len(rows) == 2


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_real_model_whose_scores_overflow_on_some_photos(tmp_path):
    import keras

    from transforms.model.compile import compile_model
    from transforms.model.compiled import load_compiled
    from transforms.model.options import ModelOptions

    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu", name="features")(inputs)
    scores = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features))
    brightness = keras.layers.Dense(1, "relu", name="bright")(keras.layers.GlobalAveragePooling2D()(inputs))
    overflowing = keras.layers.Add()([scores, keras.layers.Rescaling(1e38)(brightness)])
    model = keras.Model(inputs, keras.layers.Softmax()(overflowing))
    model.get_layer("bright").set_weights([np.full((3, 1), 1 / 3), np.array([-200.0])])
    model.save(tmp_path / "broken.keras")
    shard = write_shard(tmp_path, 5)
    for name in ("01.png", "02.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 255, np.uint8))
    storage = Storage()
    options = ModelOptions(source=str(tmp_path / "broken.keras"), target_layer="features")
    card = compile_model(options, str(tmp_path / "models"), storage)
    compiled = load_compiled(f"{tmp_path}/models/{card.fingerprint}", storage, 3)
    rows, _ = explain(shard, tmp_path, compiled, overlays=OverlaySettings(max_side=16))
    statuses = [row["status"] for row in rows.values()]
    assert statuses[1:3] == ["NONFINITE", "NONFINITE"]
    assert "NONFINITE" not in (statuses[0], *statuses[3:])
    for row in rows.values():
        assert [name for name, value in row.items() if isinstance(value, float) and not np.isfinite(value)] == []
        is_finite = row["status"] != "NONFINITE"
        assert [row[name] is not None for name in ("predicted_index", "cam_max", "overlay_uri")] == [is_finite] * 3
        assert (row["width"], row["height"]) == (8, 8)
    bright = Shard("00001-test", shard.refs[1:3], 0, 0, 0)
    with pytest.raises(TooManyFailures, match="the last with NONFINITE"):
        explain(bright, tmp_path, compiled, max_failures=2)


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_overlays_in_a_tar_are_those_that_a_file_each_would_be(tmp_path, scheme):
    shard, out = write_shard(tmp_path, 8), f"{scheme}{tmp_path}/tar"
    cv2.imwrite(str(tmp_path / "04.png"), np.zeros((8, 8, 3), np.uint8))  # black: a zero map, with its badge
    files, _ = explain(shard, tmp_path, overlays=OverlaySettings(max_side=16))
    table = TableLocation(out, "r1", "fake")
    settings = ExplainSettings(
        table, statistics_schema(), batch_size=3, overlays=OverlaySettings(max_side=16, in_tar=True)
    )
    storage, explainer = Storage(), BatchExplainer(FakeModel(), 3)
    contents = []
    for _ in range(2):  # a shard that is executed twice leaves one tar
        rows = explain_shard(shard, explainer, settings, storage, FailureLimit(0), Tally()).rows.to_pylist()
        (archive,) = storage.walk(f"{out}/overlays")
        contents.append(storage.read(archive))
    assert contents[0] == contents[1]
    assert archive.endswith("/overlays/run=r1/part-00000-test.tar")
    assert len(rows) == 8
    for row in rows:
        assert row["overlay_uri"].endswith(f"::{out}/overlays/run=r1/part-00000-test.tar")
        same = files[row["uri"].rpartition("/")[2]]["overlay_uri"]
        assert storage.read(row["overlay_uri"]) == storage.read(same)
