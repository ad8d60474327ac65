"""Names stay what they are, and secrets stay out of messages."""

import pytest

from transforms.storage.uris import absolute, is_local, join, local_path, redact, scheme_of, schemes_of


def test_what_is_local():
    assert is_local("/data/a.jpg")
    assert is_local("a b#?%20[1].jpg")
    assert is_local("file:///data/a.jpg")
    assert is_local("FILE:///data/a.jpg")
    assert is_local("odd::name.jpg")
    assert not is_local("s3://bucket/a.jpg")
    assert not is_local("zip://a.jpg::/data/x.zip")
    assert local_path("file:///data/a%20b.jpg") == "/data/a%20b.jpg"  # literal, as in fsspec
    assert local_path("file:/data/a.jpg") == "/data/a.jpg"  # as Hadoop and Spark write it
    assert is_local("File:/data/a.jpg")
    assert join("/base", "file:/data/a.jpg") == "file:/data/a.jpg"
    assert local_path("file:a.jpg") == "file:a.jpg"


def test_schemes_of_chains_are_those_that_fsspec_sees():
    assert schemes_of("/a.jpg") == ["file"]
    assert schemes_of("HTTPS://host/a") == ["https"]
    assert schemes_of("zip://a.jpg::s3://bucket/x.zip") == ["zip", "s3"]
    assert schemes_of("simplecache::https://host/a.jpg") == ["simplecache", "https"]
    assert schemes_of("zip://a.jpg::/etc/x.zip") == ["zip", "file"]
    assert schemes_of("zip://a.jpg::file:///etc/x.zip") == ["zip", "file"]
    assert scheme_of("s3a://b/k") == "s3a"
    assert schemes_of("https://[::1]/a.jpg") == ["https"]
    assert schemes_of("s3://bucket/a::b.jpg") == ["s3"]


@pytest.mark.parametrize(
    ("base", "relative", "expected"),
    [
        ("/data", "a.jpg", "/data/a.jpg"),
        ("/data/", "sub/a b#?%41[*].jpg", "/data/sub/a b#?%41[*].jpg"),
        ("/data", "/other/a.jpg", "/other/a.jpg"),
        ("/data", "s3://bucket/a.jpg", "s3://bucket/a.jpg"),
        ("/data", "new\nline.jpg", "/data/new\nline.jpg"),
        ("file:///data", "a.jpg", "/data/a.jpg"),
        ("s3://bucket/set", "a b#?%41.jpg", "s3://bucket/set/a b#?%41.jpg"),
        ("s3://bucket", "a.jpg", "s3://bucket/a.jpg"),
        ("s3://bucket/set", "/etc/passwd", "s3://bucket/etc/passwd"),
        ("http://host:8000/set/", "a b#1.jpg?x=1", "http://host:8000/set/a b%231.jpg?x=1"),
        ("http://host/set", "/etc/passwd", "http://host/etc/passwd"),
        ("https://host", "a.jpg", "https://host/a.jpg"),
        ("http://[::1]:80/set", "a::b.jpg", "http://[::1]:80/set/a::b.jpg"),
        ("memory://set", "a.jpg", "memory://set/a.jpg"),
        ("zip://::s3://bucket/x.zip", "a.jpg", "zip://a.jpg::s3://bucket/x.zip"),
        ("zip://set::s3://bucket/x.zip", "sub/a.jpg", "zip://set/sub/a.jpg::s3://bucket/x.zip"),
    ],
)
def test_join(base, relative, expected):
    assert join(base, relative) == expected


def test_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("a.jpg") == str(tmp_path / "a.jpg")
    assert absolute("~/a.jpg") == "/home/me/a.jpg"
    assert absolute("file:///a.jpg") == "/a.jpg"
    assert absolute("s3://bucket/a.jpg") == "s3://bucket/a.jpg"


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hunter2@host/a.jpg",
        "https://me:hun@hunter2@host/a.jpg",
        "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Credential=hunter2&X-Amz-Signature=hunter2&x=1",
        "https://x.blob.core.windows.net/c/k?sv=2020&sig=hunter2%3D&se=2026",
        "https://storage.googleapis.com/b/k?X-Goog-Signature=hunter2",
        "url='https://host/a?access_token=hunter2'",
        "https://host/a?api_key=hunter2, and more",
        "https://s3.amazonaws.com/b/k?AWSAccessKeyId=hunter2&Signature=hunter2&Expires=1",
        "{'key': 'x', 'secret': 'hunter2'}",
        '{"account_key": "hunter2"}',
        "Authorization: Bearer hunter2hunter2",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=hunter2;EndpointSuffix=y",
    ],
)
def test_redact_removes_credentials(text):
    assert "hunter2" not in redact(text)
    assert "***" in redact(text)


def test_redact_leaves_the_rest():
    url = "https://host/a.jpg?X-Amz-Signature=abc&width=3"
    assert redact(url) == "https://host/a.jpg?X-Amz-Signature=***&width=3"
    for harmless in (
        "s3://bucket/a@b.jpg",
        "https://host/path/me@example.org.jpg",
        "monkey=3",
        "/tmp/token/a.jpg",
        "basic shapes",
    ):
        assert redact(harmless) == harmless


def test_redact_knows_the_secrets_of_the_options():
    options = {
        "s3": {
            "key": "AKIAXYZ",
            "secret": "hunter2",
            "client_kwargs": {"region_name": "eu-1", "aws_session_token": "tok123"},
        }
    }
    assert (
        redact("no access for AKIAXYZ with hunter2 and tok123 in eu-1", options)
        == "no access for *** with *** and *** in eu-1"
    )


@pytest.mark.parametrize(
    "uri", ["data:image/png;base64,iVBORw0K", "data:,x", "DATA:image/svg+xml;charset=utf-8,<svg/>", "data:;base64,AA//"]
)
def test_an_image_in_its_own_uri_is_neither_a_path_nor_relative_to_anything(uri):
    assert (scheme_of(uri), is_local(uri)) == ("data", False)
    assert join("/base", uri) == join("s3://bucket/base", uri) == absolute(uri) == uri


@pytest.mark.parametrize("path", ["data:photo,1.jpg", "data:", "data: a, b.jpg", "data/image,1.jpg", "database64,x"])
def test_a_file_whose_name_only_begins_like_one_is_a_file(path):
    assert is_local(path)
    assert join("/base", path) == f"/base/{path}"
