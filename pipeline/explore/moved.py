"""What changed since another run, as columns of the table: filter, sort and brush them as any other."""

import dataclasses

import pyarrow as pa

from pipeline.audit.analysis import CHANGES, PAIR_SCHEMA, compare_pairs, match_images, matching_key
from pipeline.audit.inputs import AuditTable, quoted
from transforms.records import Box

_OF_IMAGES = {"fate": "fate", "image_id": "image_id_before", "predicted_name": "name_before",
              "predicted_index": "predicted_before", "probability": "probability_before"}  # fmt: skip


def moved_columns(taken: set[str]) -> dict[str, str]:
    """Measure of a pair, or fact of the image before -> the column that holds it: ``before_distance`` and so on.

    A column of the manifest may be called so already; ours then gets a line behind its name.
    """
    names = {}
    for what in (*CHANGES, *_OF_IMAGES):
        name = f"before_{what}"
        while name.casefold() in taken:
            name += "_"
        names[what] = name
    return names


def add_moves(table: AuditTable, seen: list[Box]) -> tuple[AuditTable, dict[str, str]]:
    """The tables ``statistics`` and ``before`` matched image by image: how far each map moved, what became of it.

    Args:
        seen: what the maps before and after cover of the model input.

    Returns:
        The table with further columns, and their names by what they hold.
    """
    database = table.database
    database.execute("CREATE VIEW after AS FROM statistics")
    key = matching_key(table)
    match_images(table, key)
    pairs = pa.concat_tables([PAIR_SCHEMA.empty_table(), *compare_pairs(table, key, seen)])
    database.register("compared", pairs.select(["image_id", "target_index", *CHANGES]))
    names = moved_columns({name.casefold() for name in table.columns})
    added = [f"p.{quoted(what)} AS {quoted(names[what])}" for what in CHANGES]
    added += [f"i.{quoted(source)} AS {quoted(names[what])}" for what, source in _OF_IMAGES.items()]
    database.execute(
        f"CREATE TABLE moved AS SELECT s.*, {', '.join(added)} FROM statistics s "
        "LEFT JOIN compared p USING (image_id, target_index) "
        "LEFT JOIN (SELECT * FROM images WHERE fate <> 'gone') i ON i.image_id = s.image_id"
    )
    database.unregister("compared")
    for made in ("VIEW after", "TABLE statistics", "TABLE images", "TABLE before_images", "TABLE after_images"):
        database.execute(f"DROP {made}")
    database.execute("ALTER TABLE moved RENAME TO statistics")
    return dataclasses.replace(table, columns=(*table.columns, *names.values())), names
