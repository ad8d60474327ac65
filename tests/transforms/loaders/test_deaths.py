"""A decoder that dies or hangs in a loader costs its own image a row, and no other image anything."""

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from dying_photos import write_photos
from shards import explain

from transforms.images import Limits
from transforms.overlays import OverlaySettings
from transforms.storage import Storage

LIMITS = Limits(max_bytes=1 << 20, max_pixels=1 << 20)  # so that endless memory ends soon


def test_each_death_is_a_row_and_the_other_images_are_as_if_nothing_had_been(pool, tmp_path):
    deaths = {2: "SIGSEGV", 5: "SIGABRT", 6: "SIGKILL", 11: "exit", 12: "sys.exit", 19: "SIGSEGV"}
    refs = write_photos(tmp_path, 24, deaths)
    look = OverlaySettings(max_side=16)
    rows, _ = explain(refs, tmp_path, pool=pool, overlays=look)
    undisturbed, _ = explain(refs, tmp_path, overlays=look)  # threads of this process, which lets them live
    for number, (row, expected) in enumerate(zip(rows, undisturbed, strict=True)):
        if number not in deaths:
            assert row == expected
            assert Path(row["overlay_uri"]).exists()
            continue
        assert (row["status"], row["error_stage"], row["error_type"]) == ("DECODE_ERROR", "decode", "DecoderCrashed")
        content = Path(refs[number].uri).read_bytes()
        assert row["content_sha256"] == hashlib.sha256(content).hexdigest()
        assert row["byte_count"] == len(content)
    said = {number: rows[number]["error_message"] for number in deaths}
    assert said[2] == (
        "the process that decoded it was ended by SIGSEGV (Segmentation fault) when it had nothing else to do"
    )
    assert "was ended by SIGABRT (Aborted)" in said[5]
    assert "was ended by SIGKILL (Killed)" in said[6]
    assert "ended with exit code 3" in said[11]
    assert "ended with exit code 4" in said[12]


def test_a_bomb_that_takes_all_memory_is_too_large(pool, tmp_path):
    refs = write_photos(tmp_path, 6, {3: "memory"})
    rows, _ = explain(refs, tmp_path, pool=pool, limits=LIMITS)
    assert [row["status"] for row in rows] == ["OK", "OK", "OK", "TOO_LARGE", "OK", "OK"]
    assert rows[3]["error_message"] == "not enough memory to decode it"


@pytest.mark.parametrize("how", ["hang", "hang with the lock"])
def test_a_decoder_that_hangs_is_killed_and_is_a_row(pool, tmp_path, how):
    refs = write_photos(tmp_path, 8, {3: how})
    rows, events = explain(refs, tmp_path, pool=pool, storage=Storage(timeout=0.5))
    assert [row["status"] for row in rows] == ["OK"] * 3 + ["DECODE_ERROR"] + ["OK"] * 4
    assert (rows[3]["error_stage"], rows[3]["error_type"]) == ("decode", "TimeoutError")
    assert rows[3]["error_message"] == "timed out: decode took more than 0.6 seconds; input.timeout can allow more"
    assert events["timed_out"] == 1


@dataclasses.dataclass(frozen=True)
class DyingStorage(Storage):
    """Fetches end their process, as a library of a store may; no decoder is at work then."""

    deadly: str = ""

    def fetch(self, uri, max_bytes, on_retry=None):
        if uri == self.deadly:
            os._exit(5)
        return super().fetch(uri, max_bytes, on_retry)


def test_a_fetch_that_ends_the_process_is_a_row_too(pool, tmp_path):
    refs = write_photos(tmp_path, 6, {})
    rows, _ = explain(refs, tmp_path, pool=pool, storage=DyingStorage(deadly=refs[4].uri))
    assert [row["status"] for row in rows] == ["OK"] * 4 + ["DECODE_ERROR", "OK"]
    assert rows[4]["error_type"] == "DecoderCrashed"
