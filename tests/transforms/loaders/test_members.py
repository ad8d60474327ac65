"""Images inside larger files: read by the worker in order, decoded by the loaders, which may die of them."""

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from containers import Packed, write_parquet, write_records, write_tar, write_zip
from dying_photos import write_photos
from shards import explain

from transforms.loaders import session
from transforms.manifest import Manifest, read_manifest
from transforms.overlays import OverlaySettings
from transforms.records import ImageRef, image_id_of
from transforms.storage import Storage

DEATHS = {3: "SIGSEGV"}
WRITERS = {"tar": write_tar, "zip": write_zip, "tfrecord": write_records, "parquet": write_parquet}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Packed]:
    """Photos, one of which the loaders die of, and what is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    refs = write_photos(folder, 14, DEATHS)
    content = [Path(ref.uri).read_bytes() for ref in refs]
    content[6] = content[5][:50]
    content[7] = b"no picture"
    return [Packed(f"{number:02d}", some) for number, some in enumerate(content)]


@dataclasses.dataclass(frozen=True)
class CountingStorage(Storage):
    """Notes each range that is read, and the process that reads it."""

    log: str = ""

    def fetch_range(self, uri, start, end):
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()} {start} {end}\n")
        return super().fetch_range(uri, start, end)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_decoder_that_dies_of_a_member_costs_its_row_and_the_table_is_that_of_threads(pool, photos, tmp_path, kind):
    path = WRITERS[kind](tmp_path / f"all.{kind}", photos)
    refs = list(read_manifest(Manifest(str(path)), Storage()))
    assert len(refs) == 14
    refs.insert(5, ImageRef(uri := f"{tmp_path}/missing.png", image_id_of(uri)))
    look = OverlaySettings(max_side=16)
    storage = CountingStorage(log=str(tmp_path / "log"))
    rows, _ = explain(refs, tmp_path, storage=storage, pool=pool, overlays=look)
    read = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len(read) == 1  # all of the file, once
    assert int(read[0][0]) == os.getpid()
    expected, _ = explain(refs, tmp_path, overlays=look)  # threads of this process, which lets them live
    assert [row["status"] for row in expected].count("OK") == 12
    deaths = {refs[number + (number >= 5)].uri: number for number in DEATHS}
    for row, other in zip(rows, expected, strict=True):
        if row["uri"] not in deaths:
            assert row == other
            continue
        assert (row["status"], row["error_stage"], row["error_type"]) == ("DECODE_ERROR", "decode", "DecoderCrashed")
        content = photos[deaths[row["uri"]]].content
        assert row["content_sha256"] == hashlib.sha256(content).hexdigest()
        assert row["byte_count"] == len(content)


def test_an_overlay_whose_loader_died_is_drawn_from_the_member_again(pool, photos, tmp_path):
    """The photo of an image goes with the loader that had it; the others read the member by itself."""
    path = write_tar(tmp_path / "all.tar", photos)
    refs = list(read_manifest(Manifest(str(path)), Storage()))
    rows, _ = explain(refs, tmp_path, pool=pool, overlays=OverlaySettings(max_side=16, format="png"))
    drawn = {row["uri"]: Path(row["overlay_uri"]).read_bytes() for row in rows if row["status"] == "OK"}
    assert len(drawn) == 11
    explain(refs, tmp_path, overlays=OverlaySettings(max_side=16, format="png"))
    assert drawn == {row["uri"]: Path(row["overlay_uri"]).read_bytes() for row in rows if row["status"] == "OK"}


def test_large_images_wait_for_their_turn_rather_than_fill_the_memory(pool, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "_BYTES_AHEAD", 5000)  # two photos
    asked, taken, most = [], [], []

    def begin(self, source, slot, begin=session.Session._request):
        asked.append(source)
        most.append(len(asked) - len(taken))
        return begin(self, source, slot)

    def loaded(self, pending, unsent, loaded=session.Session._loaded):
        taken.append(pending)
        return loaded(self, pending, unsent)

    monkeypatch.setattr(session.Session, "_request", begin)
    monkeypatch.setattr(session.Session, "_loaded", loaded)
    whole = [photo for number, photo in enumerate(photos) if number not in (*DEATHS, 6, 7)]
    refs = list(read_manifest(Manifest(str(write_tar(tmp_path / "all.tar", whole))), Storage()))
    rows, _ = explain(refs, tmp_path, pool=pool)
    assert [row["status"] for row in rows] == ["OK"] * 11
    assert max(most) == 3  # one more than fit
