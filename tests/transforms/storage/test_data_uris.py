"""Images that stand in the manifest itself."""

import base64
import os
import urllib.parse

import pytest

from transforms.records import ImageFailure, Status
from transforms.storage.access import Doors
from transforms.storage.storage import Storage

CONTENT = bytes(range(256)) + os.urandom(1000)
ENCODED = base64.b64encode(CONTENT).decode()


@pytest.mark.parametrize(
    "written",
    [
        f"image/png;base64,{ENCODED}",
        f";base64,{ENCODED.rstrip('=')}",
        f"image/png;base64,{base64.urlsafe_b64encode(CONTENT).decode()}",
        f"image/png;charset=x;BASE64,{urllib.parse.quote(ENCODED)}",
        f"image/png;base64,{ENCODED[:100]}%0A {ENCODED[100:]}",
        f"image/png,{urllib.parse.quote(CONTENT)}",
    ],
    ids=lambda text: text[:30],
)
def test_a_data_uri_is_its_bytes(written):
    assert Storage().fetch(f"data:{written}", 10_000) == CONTENT
    assert Storage().version_of_image(f"data:{written}") == "data"


@pytest.mark.parametrize("written", ["image/png;base64,AAA*", "image/png;base64,A", "image/png;base64,A\u00e9A="])
def test_what_is_no_base64_fails_and_is_not_quoted(written):
    with pytest.raises(ImageFailure, match="not Base64, or cut off") as failure:
        Storage().fetch(f"data:{written}", 100)
    assert failure.value.status == Status.FETCH_ERROR


@pytest.mark.parametrize("kind", ["image/png;base64", "image/png"])
def test_a_large_one_is_too_large(kind):
    with pytest.raises(ImageFailure) as failure:
        Storage().fetch(f"data:{kind},{'A' * 1000}", 100)
    assert failure.value.status == Status.TOO_LARGE


def test_a_remote_manifest_may_hold_images_unless_only_other_schemes_are_allowed():
    uri = f"data:;base64,{ENCODED}"
    assert Storage(doors=Doors.of_manifest("https://example.org/m.csv", None, ["https://example.org/"])).fetch(
        uri, 10_000
    )
    with pytest.raises(ImageFailure, match="scheme 'data' is not allowed"):
        Storage(doors=Doors.of_manifest("/m.csv", ["s3"])).fetch(uri, 10_000)
