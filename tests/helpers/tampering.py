"""What somebody else may do to an output folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def parts_of(output: Path) -> list[Path]:
    return sorted(output.glob("statistics/run=*/part-*.parquet"))


def change_part(part: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite the rows of a part, its footer as it was."""
    rows = pq.read_table(part, partitioning=None)
    pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), part)


def with_column(name: str, values: list, kind: pa.DataType | None = None) -> Callable[[pa.Table], pa.Table]:
    """A change that gives a column other values, perhaps of another type; a new one is added at the end."""

    def change(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(name)
        column = pa.array((values * rows.num_rows)[: rows.num_rows], kind or (rows.schema.field(name).type))
        return rows.append_column(name, column) if place < 0 else rows.set_column(place, name, column)

    return change


def change_footer(part: Path, **facts: object) -> None:
    """Rewrite what a part says about itself."""
    rows = pq.read_table(part, partitioning=None)
    metadata = dict(rows.schema.metadata)
    metadata[b"beam_gradcam"] = json.dumps(json.loads(metadata[b"beam_gradcam"]) | facts).encode()
    pq.write_table(rows.replace_schema_metadata(metadata), part)


def damage_pages(part: Path) -> None:
    """Overwrite the middle of the data; the footer, at the end, stays."""
    content = bytearray(part.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little")
    end = len(content) - 8 - footer
    content[4:end] = bytes(byte ^ 0x5A for byte in content[4:end])
    part.write_bytes(content)


def change_json(path: Path, **facts: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
