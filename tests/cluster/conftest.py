import pytest
import runs


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A manifest with everything that has to be counted: 60 photos, a broken one, one that is missing, a duplicate."""
    folder = tmp_path_factory.mktemp("photos")
    lines = runs.write_photos(folder, 60)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return [*lines, str(folder / "broken.png"), str(folder / "missing.png"), lines[0]]


@pytest.fixture(scope="module")
def expected(photos, tmp_path_factory):
    """The table as FnApiRunner makes it."""
    folder = tmp_path_factory.mktemp("local")
    runs.run_job(folder, "out", photos, [])
    rows = runs.rows_of(folder, "out")
    assert len(rows) == 62
    assert sum(row["status"] == "OK" for row in rows) == 60
    return rows


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The bundled photos, explained with the bundled model on FnApiRunner."""
    return runs.run_bundled(tmp_path_factory.mktemp("bundled") / "out", [])
