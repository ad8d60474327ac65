"""A manifest from a stranger reaches neither local files nor private networks."""

import pickle

import pytest

from transforms.storage.access import Doors, ForbiddenError
from transforms.storage.hosts import is_public


def is_open(doors: Doors, uri: str) -> bool:
    try:
        doors.check(uri)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_private_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(address)


def test_a_local_manifest_may_name_any_scheme_but_no_private_host():
    doors = Doors.of_manifest("/data/manifest.csv")
    for uri in ("/etc/hosts", "s3://b/k", "https://example.org/a.jpg", "zip://a::s3://b/x.zip", "http://8.8.8.8/a"):
        assert is_open(doors, uri), uri
    for uri in (
        "http://127.0.0.1/a",
        "http://169.254.169.254/latest/meta-data",
        "https://[::1]/a",
        "http://user@10.0.0.1:8080/a",
        "zip://a.jpg::http://192.168.0.1/x.zip",
        "simplecache::http://127.0.0.1/a",
    ):
        assert not is_open(doors, uri), uri


@pytest.mark.parametrize("manifest", ["http://example.org/m.csv", "https://example.org/m.csv", "s3://bucket/m.csv"])
def test_a_remote_manifest_may_name_its_own_scheme_only(manifest):
    doors = Doors.of_manifest(manifest)
    assert is_open(doors, manifest.replace("m.csv", "a.jpg"))
    for uri in (
        "/etc/passwd",
        "file:///etc/passwd",
        "local:///etc/passwd",
        "FILE:///etc/passwd",
        "etc/passwd",
        "ftp://example.org/a",
        "simplecache::file:///etc/passwd",
        "simplecache::/etc/passwd",
        "zip://a.jpg::/data/x.zip",
        "memory://a",
    ):
        assert not is_open(doors, uri), uri


def test_both_names_of_a_store_are_one():
    assert is_open(Doors.of_manifest("s3://bucket/m.csv"), "s3a://bucket/a.jpg")
    assert is_open(Doors.of_manifest("gcs://bucket/m.csv"), "gs://bucket/a.jpg")
    assert not is_open(Doors.of_manifest("https://host/m.csv"), "http://host/a.jpg")  # never down to plain http


def test_the_manifests_own_host_is_open_though_private():
    doors = Doors.of_manifest("http://10.0.0.5:8000/m.csv")
    assert is_open(doors, "http://10.0.0.5:8000/a.jpg")
    assert not is_open(doors, "http://10.0.0.5:22/")
    assert not is_open(doors, "http://10.0.0.6:8000/a.jpg")


def test_schemes_can_be_allowed():
    doors = Doors.of_manifest("https://host/m.csv", schemes=["https", "s3"])
    assert is_open(doors, "s3://bucket/a.jpg")
    assert not is_open(doors, "/etc/passwd")


def test_local_roots(tmp_path):
    inside, outside = tmp_path / "set", tmp_path / "secret"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    doors = Doors.of_manifest("/m.csv", roots=[str(inside)])
    assert is_open(doors, f"{inside}/a.jpg")
    assert is_open(doors, f"file://{inside}/sub/a.jpg")
    for uri in (f"{inside}/../secret/a.jpg", f"{inside}/link/a.jpg", f"{inside}-2/a.jpg", "/etc/passwd", "s3://b/k"):
        assert not is_open(doors, uri), uri


def test_remote_roots():
    doors = Doors.of_manifest("/m.csv", roots=["s3://bucket/set/", "http://10.0.0.5/photos", "https://example.org"])
    for uri in ("s3://bucket/set/a.jpg", "http://10.0.0.5/photos/a.jpg", "https://example.org/x/a.jpg"):
        assert is_open(doors, uri), uri
    for uri in (
        "s3://bucket/set2/a.jpg",
        "s3://bucket/set/../other/a.jpg",
        "s3://other/set/a.jpg",
        "http://10.0.0.5/private/a.jpg",
        "http://10.0.0.5/photos/../private/a.jpg",
        "http://10.0.0.5/photos/%2e%2e/private/a.jpg",
        "http://10.0.0.5:81/photos/a.jpg",
        "http://example.org/a.jpg",
        "https://example.org@10.0.0.6/a.jpg",
        "https://example.org.evil.net/a.jpg",
        "/etc/passwd",
        "zip://s3://bucket/set/a.jpg::/etc/x.zip",
    ):
        assert not is_open(doors, uri), uri


def test_messages_say_the_remedy():
    with pytest.raises(ForbiddenError, match=r"'file' is not allowed, only s3, s3a; input.allowed_schemes"):
        Doors.of_manifest("s3://b/m.csv").check("/etc/passwd")
    with pytest.raises(
        ForbiddenError,
        match=r"host '169.254.169.254' is 169.254.169.254, .*; a root of it in input.allowed_roots opens it",
    ):
        Doors().check("http://169.254.169.254/")


def test_what_is_below_no_root_is_named():
    doors = Doors.of_manifest("/m.csv", roots=["http://example.org/photos"])
    message = r"^http://evil.net/a.jpg is below none of input.allowed_roots: http://example.org/photos$"
    with pytest.raises(ForbiddenError, match=message):
        doors.check("http://evil.net/a.jpg")


def test_doors_travel():
    doors = Doors.of_manifest("http://10.0.0.5/m.csv", roots=["/data"])
    assert pickle.loads(pickle.dumps(doors)) == doors


@pytest.mark.parametrize(
    ("manifest", "is_open"),
    [("s3://b/x.tar", True), ("s3://b/in", True), ("s3://b/*.parquet", True), ("s3://b/m.csv", False),
     ("https://h/m.jsonl.gz?sig=x.tar", False)],
)  # fmt: skip
def test_images_inside_the_files_of_a_manifest_are_open_but_a_list_cannot_ask_for_more(manifest, is_open):
    scheme = manifest.partition(":")[0]
    for doors in (Doors.of_manifest(manifest), Doors.of_manifest(manifest, schemes=[scheme])):
        for kind in ("tar", "zip", "tfrecord", "parquet"):
            inside = f"{kind}://a.jpg::{manifest.partition('?')[0]}"
            if is_open:
                doors.check(inside)
            else:
                with pytest.raises(ForbiddenError, match=f"scheme '{kind}' is not allowed"):
                    doors.check(inside)
        with pytest.raises(ForbiddenError, match=r"scheme '(ftp|tar)' is not allowed"):
            doors.check("tar://a.jpg::ftp://elsewhere/x.tar")
