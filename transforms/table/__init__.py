"""The statistics table: its columns, its parts, and when a part is committed."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.table.commit import Totals, WriteStatistics, WriteTotals, read_totals, write_part
    from transforms.table.done import DoneImages, counts_for, read_done_blocks, write_earlier_parts
    from transforms.table.embeddings import EMBEDDING_SCHEMA, embedding_table, read_embeddings
    from transforms.table.lease import LeaseHolder, LeaseLostError, read_holder, write_holder
    from transforms.table.location import Embeddings, OutputLayout, RunLayout, TableLocation, embeddings_beside
    from transforms.table.parts import (
        PartFooter,
        image_statuses,
        list_parts,
        read_footer,
        read_part,
        remove_images,
        replace_rows,
        text_array,
    )
    from transforms.table.schema import (
        NUMBERS_VERSION,
        SCHEMA_VERSION,
        column_meanings,
        column_names_for,
        statistics_schema,
    )

__all__ = [
    "EMBEDDING_SCHEMA",
    "NUMBERS_VERSION",
    "SCHEMA_VERSION",
    "DoneImages",
    "Embeddings",
    "LeaseHolder",
    "LeaseLostError",
    "OutputLayout",
    "PartFooter",
    "RunLayout",
    "TableLocation",
    "Totals",
    "WriteStatistics",
    "WriteTotals",
    "column_meanings",
    "column_names_for",
    "counts_for",
    "embedding_table",
    "embeddings_beside",
    "image_statuses",
    "list_parts",
    "read_done_blocks",
    "read_embeddings",
    "read_footer",
    "read_holder",
    "read_part",
    "read_totals",
    "remove_images",
    "replace_rows",
    "statistics_schema",
    "text_array",
    "write_earlier_parts",
    "write_holder",
    "write_part",
]
__getattr__ = lazy_face(__name__, __file__)
