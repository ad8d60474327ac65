import os
import sys
import zlib

import hypothesis
import pytest
from gate import Gate
from wide import mark_wide

# Before the first test imports TensorFlow by itself: as transforms.model.tensorflow sets it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("any machine")


def seed(name: str) -> None:
    """The weights of a test's models are those of its name, whatever ran before it and beside it."""
    for library in ("keras", "tf_keras"):
        if utils := getattr(sys.modules.get(library), "utils", None):
            utils.set_random_seed(zlib.crc32(name.encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    mark_wide(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    seed(f"{fixturedef.baseid}::{fixturedef.argname}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    seed(item.nodeid)


@pytest.fixture
def gate(tmp_path):
    """A shut gate, which opens at the end for whatever a failed test has left there."""
    gate = Gate.shut(tmp_path / "gate")
    yield gate
    gate.open()
