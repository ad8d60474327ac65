"""The worst offenders of each rule: which rows to look at first."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.audit.inputs import AuditTable

GALLERY_SIZE = 12

_ROW = (
    "image_id, uri, target_index, target_name, target_probability, label_index, is_correct, "
    "predicted_value, overlay_uri"
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One way in which a map can look wrong. ``measure`` is shown under each picture."""

    name: str
    title: str
    meaning: str
    where: str
    measure: str  # SQL
    order: str  # SQL; the worst first
    unit: str  # what the measure is called under a picture; empty: the probability, which stands there anyway


@dataclasses.dataclass(frozen=True)
class Gallery:
    """The worst rows of a rule."""

    rule: Rule
    total: int  # rows that the rule applies to
    rows: list[dict[str, Any]]  # image_id, uri, target_index ... and ``measure``


def rules(table: AuditTable) -> list[Rule]:
    """All rules that can apply to this table."""
    has_map = "status IN ('OK', 'FLAT')"
    return [
        Rule("elsewhere", "Confident, but elsewhere", "The peak is outside all true boxes; most probable first.",
             "point_hit = 0 AND target_rank = 1", "gt_lift", "target_probability DESC", "× uniform on the object"),
        Rule("wrong_on_object", "Wrong, but on the object", "The model looked at the object and named it wrongly.",
             "point_hit > 0 AND target_rank = 1 AND NOT is_correct", "gt_lift", "gt_mass DESC",
             "× uniform on the object"),
        Rule("confidently_wrong", "Wrong and confident", "Wrong predictions, the most probable first.",
             "NOT is_correct AND target_rank = 1 AND outcome IS NULL", "target_probability", "target_probability DESC",
             ""),
        Rule("false_alarm", "Found, but not there", "Labels that are found and not true, the most probable first.",
             "outcome = 'FP'", "target_probability", "target_probability DESC", ""),
        Rule("missed", "There, but not found", "Labels that are true and not found, the least probable first.",
             "outcome = 'FN'", "target_probability", "target_probability", ""),
        Rule("error", "Furthest off", "Values that are furthest from their labels.",
             "error IS NOT NULL", "error", "abs(error) DESC", "more than the label"),
        Rule("border", "Border lovers", "Most mass in the outer ring of cells.",
             has_map, "border_lift", "border_lift DESC", "× uniform in the border"),
        Rule("corner", "Corner lovers", "Most mass in one corner.",
             has_map, "corner_lift", "corner_lift DESC", "× uniform in a corner"),
        Rule("padding", "Padding lovers", "Most mass on letterbox bars, where there is nothing to see.",
             "padding_mass > 0", "padding_mass", "padding_mass DESC", "of the mass on padding"),
        *(Rule(f"region_{region}", f"Lovers of {region}", f"Most mass in the declared region {region}.",
               f"region_{region}_lift > 0", f"region_{region}_lift", f"region_{region}_lift DESC",
               f"× uniform in {region}")
          for region in table.regions),
        Rule("diffuse", "Most diffuse", "Maps that point nowhere in particular.",
             has_map, "effective_area", "effective_area DESC", "of the cells carry the map"),
        Rule("unfaithful", "Maps that carry least of the score",
             "Confident predictions that lose least of their probability without the features under the heatmap.",
             f"{has_map} AND target_rank = 1 AND target_probability >= 0.5 AND feature_remove_drop IS NOT NULL",
             "feature_remove_drop / target_probability", "feature_remove_drop / target_probability",
             "of the probability lost"),
        Rule("zero", "Zero maps", "No positive evidence for the class anywhere; the most probable first.",
             "status = 'ZERO'", "target_probability", "target_probability DESC", ""),
    ]  # fmt: skip


def find_galleries(table: AuditTable, size: int = GALLERY_SIZE) -> list[Gallery]:
    """The worst rows of every rule that has any, ties in the order of the image ids."""
    galleries = []
    for rule in rules(table):
        total = table.database.execute(f"SELECT count(*) FROM statistics WHERE {rule.where}").fetchall()[0][0]
        if total:
            rows = table.records(
                f"SELECT {_ROW}, {rule.measure} AS measure FROM statistics WHERE {rule.where} "
                f"ORDER BY {rule.order} NULLS LAST, image_id, target_index LIMIT {size}"
            )
            galleries.append(Gallery(rule, total, rows))
    return galleries


def rows_where(
    table: AuditTable, where: str, parameters: Mapping[str, Any], order: str, limit: int
) -> list[dict[str, Any]]:
    """The first rows of a condition, one of each image: that of its most probable class."""
    return table.records(
        f"SELECT {_ROW} FROM statistics WHERE status IN ('OK', 'ZERO', 'FLAT') AND ({where}) "
        "QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY target_rank, target_index) = 1 "
        f"ORDER BY {order} LIMIT {int(limit)}",
        parameters,
    )


def rows_of(table: AuditTable, keys: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """The rows of (image id, target class) pairs, in their order."""
    found = table.records(
        f"SELECT {_ROW} FROM statistics WHERE image_id IN (SELECT unnest($ids))",
        {"ids": [image_id for image_id, _ in keys]},
    )
    by_key = {(row["image_id"], row["target_index"]): row for row in found}
    return [by_key[key] for key in keys]
