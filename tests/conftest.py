import os

import hypothesis
import pytest
from gate import Gate

# Before the first test imports TensorFlow by itself: as transforms.model.tensorflow sets it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("any machine")


@pytest.fixture
def gate(tmp_path):
    """A shut gate, which opens at the end for whatever a failed test has left there."""
    gate = Gate.shut(tmp_path / "gate")
    yield gate
    gate.open()
