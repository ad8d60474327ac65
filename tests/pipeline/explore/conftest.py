import pytest
from explored import session_of, write_two_runs


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore") / "out"
    write_two_runs(folder)
    return folder


@pytest.fixture(scope="module")
def session(output):
    with session_of(output) as opened:
        yield opened


@pytest.fixture(scope="module")
def compared(output):
    with session_of(output, "r2", "r1") as opened:
        yield opened


@pytest.fixture(scope="module")
def rows(session):
    """All rows as Python has them: what the oracles look at."""
    return session.table.records("SELECT * FROM statistics")
