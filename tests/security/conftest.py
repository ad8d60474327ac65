import os

import pytest

# As transforms.model.tensorflow sets it; a test module that imports Keras first would be too late.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture
def canary(tmp_path):
    """A folder that nothing may look into."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "lib.so").write_bytes(b"\x7fELF" + bytes(100))
    (folder / "words.txt").write_text("a\nb\n")
    return folder
