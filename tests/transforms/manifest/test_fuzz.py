"""Manifests come from strangers: whatever is in one, it is read as images or refused with its name and a line."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from transforms.manifest.manifest import Manifest, ManifestError
from transforms.manifest.read import read_manifest
from transforms.manifest.survey import ManifestSummary, survey_manifest
from transforms.records import ImageRef
from transforms.storage.storage import Storage

STORAGE = Storage()
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
cells = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["uri", "label", "targets", "boxes", "site"]), cells, max_size=5)
pieces = st.sampled_from(
    ['"', ",", "\n", "\r", ";", "uri", "label", "boxes", "[1,2,3,4]", "a.jpg", "\x00", "[", "{", "é", "\ufeff"]
)


def check(path) -> None:
    """Read, or refused with the manifest's name; both passes agree."""
    manifest = Manifest(str(path))
    try:
        survey = survey_manifest(manifest, STORAGE)
    except ManifestError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        return
    refs = list(read_manifest(Manifest(str(path), extra_columns=survey.extra_columns), STORAGE))
    assert isinstance(survey, ManifestSummary)
    assert len(refs) == survey.count > 0
    for ref in refs:
        assert isinstance(ref, ImageRef)
        assert ref.uri.strip()
        assert len(ref.image_id) == 32
        assert len(ref.extra) == len(survey.extra_columns)
        assert all(value is None or isinstance(value, str) for value in (ref.label, *ref.extra, *(ref.targets or ())))
        assert all(isinstance(corner, float) for box in ref.boxes or () for corner in box)


@quick
@given(
    st.binary(max_size=200),
    st.sampled_from(["m.csv", "m.tsv", "m.txt", "m.jsonl", "m.parquet", "m.csv.gz", "m.jsonl.gz"]),
)
@example(b"uri\n\x00", "m.csv")
@example(b'{"uri": ' + b"[" * 100_000, "m.jsonl")
@example(gzip.compress(b"uri\na.jpg\n")[:-4], "m.csv.gz")
def test_any_bytes(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    check(tmp_path / name)


@quick
@given(st.lists(pieces, max_size=30), st.sampled_from(["m.csv", "m.tsv", "m.txt", "m.jsonl"]))
def test_almost_a_manifest(tmp_path, parts, name):
    (tmp_path / name).write_text("uri,label,targets,boxes\n" + "".join(parts), newline="")
    check(tmp_path / name)


@quick
@given(st.lists(objects, min_size=1, max_size=4))
@example([{"uri": "a", "label": float("nan"), "targets": [[]], "boxes": {}}])
@example([{"uri": "a", "boxes": [[1, 2, 3, 10**400]]}])
@example([{"uri": "a", "boxes": "[" * 100_000}])
@example([{"uri": "a", "targets": "[" * 100_000}])
@example([{"uri": "a", "label": float("inf"), "boxes": [[1, 2, 3, 1e400]]}])
def test_any_json_in_any_column(tmp_path, lines):
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    check(tmp_path / "m.jsonl")


@quick
@given(
    st.lists(
        st.fixed_dictionaries({"uri": st.none() | st.text(max_size=5), "label": st.none() | st.floats()}), max_size=4
    )
)
def test_parquet_with_gaps_and_strange_numbers(tmp_path, lines):
    schema = pa.schema([("uri", pa.string()), ("label", pa.float64())])
    try:
        table = pa.Table.from_pylist(lines, schema)
    except UnicodeEncodeError:  # lone surrogates are no text in Arrow
        return
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    (tmp_path / "m.parquet").write_bytes(buffer.getvalue())
    check(tmp_path / "m.parquet")
