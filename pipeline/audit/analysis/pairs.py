"""Two runs, image by image: which maps moved, which predictions changed, which images came, went or broke."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipeline.audit.inputs import AuditTable
from transforms.placement import WHOLE
from transforms.records import Box
from transforms.statistics import jensen_shannon_distance, resample

_CHUNK = 20_000
CHANGES = ("distance", "peak_shift", "centroid_shift", "score_change", "probability_change", "gt_lift_change")
"""Measures of a pair; see the schema."""


PAIR_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),  # in the later run, or in the earlier one where the image is gone
        ("uri", pa.string()),
        ("target_index", pa.int32()),
        ("target_name", pa.string()),
        ("label_index", pa.int32()),
        ("status_before", pa.string()),
        ("status_after", pa.string()),
        ("target_probability_before", pa.float32()),
        ("target_probability_after", pa.float32()),
        ("overlay_before", pa.string()),
        ("overlay_after", pa.string()),
        ("image_id_before", pa.string()),
        ("distance", pa.float32()),  # Jensen-Shannon distance of the maps, 0..1; NULL where one has no mass
        ("peak_shift", pa.float32()),  # in sides of the model input
        ("centroid_shift", pa.float32()),
        ("score_change", pa.float32()),  # later less earlier, in score units
        ("probability_change", pa.float32()),
        ("gt_lift_change", pa.float32()),
    ]
)


@dataclasses.dataclass(frozen=True)
class ImageCounts:
    """What became of the images."""

    both: int  # in both runs, and explained in both
    changed: int  # of these, predicted to be of another class
    new: int
    gone: int
    newly_failing: int
    recovered: int
    still_failing: int


def matching_key(table: AuditTable) -> str:
    """How images of the tables ``before`` and ``after`` are matched: by URI, or by content where no URI is in both."""
    common = table.records("SELECT count(*) AS images FROM before SEMI JOIN after USING (image_id)")[0]["images"]
    return "image_id" if common else "content_sha256"


def match_images(table: AuditTable, key: str) -> ImageCounts:
    """Make the table ``images``: one row per image of either run with its fate."""
    for name in ("before", "after"):
        table.database.execute(
            f"CREATE TABLE {name}_images AS SELECT {key} AS key, any_value(image_id) AS image_id, "
            "any_value(uri) AS uri, "
            "bool_or(status IN ('OK', 'ZERO', 'FLAT')) AS explained, any_value(predicted_index) AS predicted, "
            "any_value(predicted_name) AS predicted_name, any_value(predicted_probability) AS probability, "
            f"any_value(error_message) AS error FROM {name} WHERE {key} IS NOT NULL GROUP BY {key}"
        )
    table.database.execute(
        "CREATE TABLE images AS SELECT CASE WHEN b.key IS NULL THEN 'new' WHEN a.key IS NULL THEN 'gone' "
        "WHEN b.explained AND a.explained THEN CASE WHEN a.predicted IS NOT DISTINCT FROM b.predicted "
        "THEN 'same class' ELSE 'changed class' END WHEN b.explained THEN 'newly failing' "
        "WHEN a.explained THEN 'recovered' ELSE 'still failing' END AS fate, "
        "coalesce(a.image_id, b.image_id) AS image_id, b.image_id AS image_id_before, coalesce(a.uri, b.uri) AS uri, "
        "b.predicted AS predicted_before, a.predicted AS predicted_after, b.predicted_name AS name_before, "
        "a.predicted_name AS name_after, b.probability AS probability_before, a.probability AS probability_after, "
        "b.error AS error_before, a.error AS error_after FROM before_images b FULL JOIN after_images a USING (key)"
    )
    fates = {row["fate"]: row["n"] for row in table.records("SELECT fate, count(*) AS n FROM images GROUP BY fate")}
    changed = fates.get("changed class", 0)
    return ImageCounts(
        both=fates.get("same class", 0) + changed,
        changed=changed,
        new=fates.get("new", 0),
        gone=fates.get("gone", 0),
        newly_failing=fates.get("newly failing", 0),
        recovered=fates.get("recovered", 0),
        still_failing=fates.get("still failing", 0),
    )


def compare_pairs(table: AuditTable, key: str, seen: Sequence[Box] = (WHOLE, WHOLE)) -> Iterator[pa.Table]:
    """The rows of both runs that explain the same class of the same image, compared, some thousand at a time.

    Args:
        seen: what the maps before and after cover of the model input.
    """
    joined = table.database.sql(
        f"SELECT a.image_id, b.image_id AS image_id_before, a.uri, a.target_index, a.target_name, a.label_index, "
        "b.status AS status_before, a.status AS status_after, b.target_probability AS target_probability_before, "
        "a.target_probability AS target_probability_after, b.overlay_uri AS overlay_before, "
        "a.overlay_uri AS overlay_after, a.target_score - b.target_score AS score_change, "
        "a.target_probability - b.target_probability AS probability_change, a.gt_lift - b.gt_lift AS gt_lift_change, "
        "sqrt((a.peak_x - b.peak_x) ** 2 + (a.peak_y - b.peak_y) ** 2) AS peak_shift, "
        "sqrt((a.centroid_x - b.centroid_x) ** 2 + (a.centroid_y - b.centroid_y) ** 2) AS centroid_shift, "
        "b.cam AS cam_before, a.cam AS cam_after, b.cam_height AS height_before, b.cam_width AS width_before, "
        "a.cam_height AS height_after, a.cam_width AS width_after "
        f"FROM ({_explained('before', key)}) b JOIN ({_explained('after', key)}) a "
        f"ON b.{key} = a.{key} AND b.target_index = a.target_index "
        "ORDER BY a.image_id, a.target_index"
    )
    for batch in joined.to_arrow_reader(_CHUNK):
        rows = pa.Table.from_batches([batch])
        rows = rows.append_column("distance", pa.array(_distances(rows, seen), from_pandas=True))
        yield rows.select(PAIR_SCHEMA.names).cast(PAIR_SCHEMA)


def _explained(name: str, key: str) -> str:
    """The rows with a map; of images with the same content, where they are matched by it, the first."""
    return (
        f"SELECT * FROM {name} WHERE status IN ('OK', 'ZERO', 'FLAT') "
        f"QUALIFY row_number() OVER (PARTITION BY {key}, target_index ORDER BY image_id) = 1"
    )


def _distances(rows: pa.Table, seen: Sequence[Box]) -> np.ndarray:
    """The distance of each pair of maps; NaN where one has no mass.

    Where the maps cover different parts of the input, both are brought onto a grid over all that either covers.
    """
    grids = rows.select(["height_before", "width_before", "height_after", "width_after"]).slice(0, 1).to_pylist()[0]
    maps = []
    for when in ("before", "after"):
        shape = (-1, grids[f"height_{when}"], grids[f"width_{when}"])
        maps.append(rows[f"cam_{when}"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(shape))
    height, width = (min(grids[f"{side}_before"], grids[f"{side}_after"]) for side in ("height", "width"))
    first, second = seen
    every = first if first == second else (*np.minimum(first, second)[:2], *np.maximum(first, second)[2:])
    frames = [(WHOLE, WHOLE)] * 2 if first == second else [(first, every), (second, every)]
    return jensen_shannon_distance(
        *(
            resample(values.astype(np.float64), height, width, *frame)
            for values, frame in zip(maps, frames, strict=True)
        )
    )
