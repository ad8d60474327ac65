"""What the embeddings of a run say, as columns of the table, and the neighbours of one image."""

import dataclasses
from typing import Any

from pipeline.audit.inputs import AuditTable, quoted

NEIGHBOUR_COLUMNS = {
    "duplicate_group": "number of the group of photos that are the same or nearly so; NULL where there is no other",
    "is_copy": "there is another photo of its group, which tests count in its place",
    "leaks": "its group lies in several splits",
    "suggested_index": "class that neighbours and model agree on in place of the label; NULL where the label stands",
    "label_votes": "share of the labelled neighbours' votes for the label, 0..1",
    "predicted_votes": "for the predicted class",
    "outlier_score": "distance to the five most similar photos over the median of all: 1 is usual",
    "is_outlier": "unlike all others",
    "embedding_group": "group of photos that look alike to the model",
    "emb_x": "first principal component of the embedding",
    "emb_y": "second principal component",
}
"""Column of the neighbours -> what it means."""

_MOST_COPIES = 20


def add_neighbours(table: AuditTable) -> tuple[AuditTable, dict[str, str]]:
    """The table with the columns of its neighbours, where it has any, and their names in it.

    A column of the manifest may be called so already; ours then gets a line behind its name.
    """
    if not table.has_neighbours:
        return table, {}
    taken = {name.casefold() for name in table.columns}
    names = {}
    for what in NEIGHBOUR_COLUMNS:
        name = what
        while name.casefold() in taken:
            name += "_"
        names[what] = name
    added = ", ".join(f"n.{quoted(what)} AS {quoted(name)}" for what, name in names.items())
    table.database.execute(
        f"CREATE TABLE with_neighbours AS SELECT s.*, {added} FROM statistics s "
        "LEFT JOIN statistics_neighbours n USING (image_id) ORDER BY s.rowid"
    )
    table.database.execute("DROP TABLE statistics")
    table.database.execute("ALTER TABLE with_neighbours RENAME TO statistics")
    return dataclasses.replace(table, columns=(*table.columns, *names.values())), names


NEAR = """
    WITH own AS (SELECT * FROM statistics_neighbours WHERE image_id = $id),
    near AS (
        SELECT unnest(neighbours) AS image_id, unnest(neighbour_distances)::DOUBLE AS distance FROM own
        UNION ALL
        (SELECT n.image_id, NULL FROM statistics_neighbours n, own
        WHERE n.duplicate_group = own.duplicate_group AND n.image_id <> own.image_id ORDER BY n.image_id LIMIT $most)
    )
    SELECT near.image_id, distance, s.uri, s.target_index, s.predicted_name, s.predicted_index, s.label_index
    FROM near JOIN statistics s USING (image_id)
    QUALIFY row_number() OVER (PARTITION BY near.image_id ORDER BY s.target_rank, s.target_index) = 1
    ORDER BY distance NULLS FIRST, near.image_id
"""
"""SQL: the other photos of an image's group (without a distance), then its neighbours, the nearest first."""

NEAR_PARAMETERS: dict[str, Any] = {"most": _MOST_COPIES}
