"""What is compared between classes: measures of a map, as SQL over the statistics table."""

import dataclasses

from pipeline.audit.inputs.database import quoted
from pipeline.audit.inputs.table import AuditTable

_CORNER_AREA = "((cam_height + 3) // 4 * ((cam_width + 3) // 4) / (cam_height * cam_width))"
CORNERS = {"tl": "top left", "tr": "top right", "bl": "bottom left", "br": "bottom right"}


@dataclasses.dataclass(frozen=True)
class Measure:
    """One number per row, and how to read it."""

    name: str
    title: str
    sql: str
    meaning: str
    alarm: float | None = None  # a class that has more than this, and far more than the others, is to be looked at


def list_measures(table: AuditTable) -> list[Measure]:
    """The measures that this table has values for."""
    all_measures = [
        Measure("probability", "probability", "target_probability", "of the class that the map explains"),
        Measure("effective_area", "area", "effective_area", "1 / (n Σp²): share of the cells that carry the map"),
        Measure(
            "average_drop", "drop kept", "greatest(0, feature_keep_drop) / nullif(target_probability, 0)",
            "Average Drop: share of the probability lost where the head sees only the features under the heatmap; "
            "low is faithful",
        ),
        Measure(
            "removal_drop", "drop removed", "greatest(0, feature_remove_drop) / nullif(target_probability, 0)",
            "share of the probability lost where the head sees all but the features under the heatmap; "
            "high is faithful",
        ),
        Measure("border_lift", "border", "border_lift", "mass in the outer ring / its area; 1 = uniform", 1.0),
        Measure("corner_lift", "corner", "corner_lift", "mass in the strongest corner / its area; 1 = uniform"),
        *(
            Measure(
                f"corner_{key}", title, f"corner_mass_{key} / {_CORNER_AREA}",
                "mass in the corner / its area; 1 = uniform", 1.0,
            )
            for key, title in CORNERS.items()
        ),
        Measure("center_mass", "centre", "center_mass", "mass in the middle half of rows and columns"),
        Measure("padding_mass", "padding", "padding_mass", "mass on letterbox bars, which show nothing", 0.1),
        *(
            Measure(
                f"region_{region}", region, f"region_{region}_lift",
                "mass in the region / its area; 1 = uniform", 1.0,
            )
            for region in table.regions
        ),
        Measure("gt_lift", "object", "gt_lift", "mass in the ground-truth boxes / their area; 1 = uniform"),
        Measure("point_hit", "pointing", "point_hit", "is the peak in a ground-truth box (pointing game)"),
        Measure(
            "center_hit", "centre hit", "CASE WHEN point_hit IS NOT NULL THEN center_hit END",
            "would the image centre have hit: the free baseline of the pointing game",
        ),
        Measure("pointing_gain", "gain", "point_hit - center_hit", "pointing less the centre baseline, image by image"),
    ]  # fmt: skip
    counts = ", ".join(f"count({measure.sql})" for measure in all_measures)
    found = table.database.execute(f"SELECT {counts} FROM {quoted(table.name)}").fetchone()
    assert found is not None
    return [measure for measure, count in zip(all_measures, found, strict=True) if count]
