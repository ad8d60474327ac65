"""Parts as earlier versions wrote them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.storage.storage import Storage

STORAGE = Storage()


def as_version_2(uri: str) -> None:
    """Rewrite a part as an earlier version did: with ``cam`` in float16."""
    parquet = pq.ParquetFile(STORAGE.open(uri))
    rows, metadata = parquet.read(), dict(parquet.schema_arrow.metadata)
    schema = rows.schema.set(rows.schema.get_field_index("cam"), pa.field("cam", pa.list_(pa.float16())))
    footer = metadata[b"beam_gradcam"].replace(b'"schema_version": "3"', b'"schema_version": "2"')
    assert footer != metadata[b"beam_gradcam"]
    cast = rows.cast(schema.with_metadata(metadata | {b"beam_gradcam": footer, b"schema_version": b"2"}))
    buffer = io.BytesIO()
    pq.write_table(cast, buffer)
    STORAGE.put(uri, buffer.getvalue())
