import io
import tarfile

import fsspec

from transforms.overlays.archive import encode_tar, member_of, member_uri


def test_a_tar_holds_the_files_and_does_not_depend_on_their_order(tmp_path):
    files = {"b-1.jpg": b"second", "a-0.jpg": b"", "c.jpg": bytes(1000)}
    encoded = encode_tar(files)
    assert encoded == encode_tar(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(encoded)) as archive:
        assert archive.getnames() == ["a-0.jpg", "b-1.jpg", "c.jpg"]
    path = tmp_path / "x.tar"
    path.write_bytes(encoded)
    for name, content in files.items():
        uri = member_uri(name, str(path))
        assert member_of(uri) == name
        with fsspec.open(uri) as file:
            assert file.read() == content
