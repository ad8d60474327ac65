"""Models in any store: fetched with the options of every link of their URL, refused where they cannot be."""

import pytest

from transforms.model.errors import ModelRefused
from transforms.model.load.model_files import content_digest, local_model
from transforms.storage.storage import Storage


def test_nothing_there_is_refused():
    for url in ("memory://models/nothing.keras", "/nowhere/m.keras", "zip://m.keras::memory://models/none.zip"):
        with pytest.raises(ModelRefused, match="there is no model at"), local_model(url, Storage()):
            pass
        with pytest.raises(ModelRefused, match="there is no model at"):
            content_digest(url, Storage())


def test_what_a_store_raises_is_a_refusal_without_secrets():
    Storage().put("memory://models/broken.zip", b"no archive")
    cases = {
        "x9://a": "cannot be read: ValueError: Protocol not known",
        "zip://m.keras::memory://models/broken.zip": "cannot be read: BadZipFile: File is not a zip file",
    }
    for url, message in cases.items():
        with pytest.raises(ModelRefused, match=message), local_model(url, Storage()):
            pass
        with pytest.raises(ModelRefused, match=message):
            content_digest(url, Storage())
    with pytest.raises(ModelRefused) as refused, local_model("x9://me:hunter2@host/m", Storage()):
        pass
    assert "hunter2" not in str(refused.value)


def test_errors_of_those_who_use_the_copy_are_their_own(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"model")
    with pytest.raises(FileNotFoundError), local_model(f"{tmp_path}/m.keras", Storage()):
        raise FileNotFoundError("something else")
