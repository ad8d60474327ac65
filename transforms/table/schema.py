"""The schema of the statistics table: one row per image and target class. See the README for its use.

The schema is the single source of the column names, types and meanings: parts are cast to it and the README's
table is generated from it.
"""

from collections.abc import Sequence

import pyarrow as pa

SCHEMA_VERSION = "3"
"""Of the columns and their types. Parts of earlier versions are read too: 2 has ``cam`` in float16."""

NUMBERS_VERSION = "2"
"""Of what the numbers mean. It is part of the fingerprint: rows of other numbers do not make an image done, rows of
other types do."""

_GROUPS: dict[str, list[tuple[str, pa.DataType, str]]] = {
    "Identity and outcome": [
        ("run_id", pa.string(), "the run that made this row"),
        ("uri", pa.string(), "the image, as fetched"),
        ("image_id", pa.string(), "stable hash of the URI, 32 hex digits"),
        ("content_sha256", pa.string(), "of the encoded bytes"),
        ("byte_count", pa.int64(), "length of the encoded bytes"),
        ("content_version", pa.string(), "ETag, or size and modification time, before the fetch; NULL unless "
         "input.detect_changes"),
        ("width", pa.int32(), "pixels, after EXIF orientation"),
        ("height", pa.int32(), "pixels, after EXIF orientation"),
        ("status", pa.string(), "OK, ZERO, FLAT, NONFINITE, BAD_TARGET, BAD_INPUT, FETCH_ERROR, DECODE_ERROR, "
         "TOO_LARGE, UNSUPPORTED or MODEL_ERROR"),
        ("error_stage", pa.string(), "fetch, decode, target, input or compute; NULL unless failed"),
        ("error_type", pa.string(), "class of the error; NULL unless failed"),
        ("error_message", pa.string(), "at most 500 characters; NULL unless failed"),
        ("fingerprint", pa.string(), "digest of model weights, target layer, method, score space, preprocessing and "
         "schema version"),
    ],
    "Prediction": [
        ("predicted_index", pa.int32(), "class with the highest score"),
        ("predicted_name", pa.string(), "its name; NULL without class names"),
        ("predicted_probability", pa.float32(), "its probability, 0..1"),
        ("target_index", pa.int32(), "class that the map explains"),
        ("target_name", pa.string(), "its name; NULL without class names"),
        ("target_reason", pa.string(), "predicted, top_k, label, listed, above, or value: one of the values that the "
         "model gives"),
        ("target_rank", pa.int32(), "1 = highest score"),
        ("target_score", pa.float32(), "the value that was differentiated, in logits by default"),
        ("target_probability", pa.float32(), "0..1"),
        ("margin", pa.float32(), "target score - best other score"),
        ("label_index", pa.int32(), "true class; NULL without a label, or where no class is called so"),
        ("is_correct", pa.bool_(), "predicted_index = label_index; of several labels: the outcome is TP or TN; NULL "
         "without a label"),
    ],
    "Several labels (NULL unless the model's output is multi_label)": [
        ("outcome", pa.string(), "of the target class: TP, FP, FN or TN, found where its probability reaches "
         "model.threshold; NULL without labels"),
        ("label_indices", pa.list_(pa.int32()), "all true classes; NULL without labels"),
        ("found_indices", pa.list_(pa.int32()), "all classes whose probability reaches model.threshold"),
        ("class_probabilities", pa.list_(pa.float32()), "of all classes; in the first row of an image, and for at "
         "most 1000 classes"),
    ],
    "Values (NULL unless the model's output is a value)": [
        ("predicted_value", pa.float32(), "what the model gives; target_index says which of its values this is"),
        ("label_value", pa.float32(), "the true value; NULL without a label that is a number"),
        ("error", pa.float32(), "predicted_value - label_value"),
    ],
    "Magnitude (score units)": [
        ("cam_max", pa.float32(), "max S"),
        ("cam_min", pa.float32(), "min S"),
        ("positive_mass", pa.float32(), "M = sum(P)"),
        ("negative_mass", pa.float32(), "sum(max(-S, 0))"),
        ("evidence_sum", pa.float32(), "sum of gradient * activation; target_score - bias for a pooled linear head"),
    ],
    "Faithfulness in feature space (NULL where M = 0)": [
        ("feature_keep_drop", pa.float32(), "target_probability - that of the head on A H, the activations under the "
         "heatmap H = P / max P alone; -1..1, low is faithful; of a value: predicted_value - that of the head"),
        ("feature_remove_drop", pa.float32(), "target_probability - that of the head on A (1 - H), all but them; "
         "-1..1, high is faithful; of a value: predicted_value - that of the head"),
    ],
    "Shape (NULL where M = 0)": [
        ("entropy", pa.float32(), "-sum(p ln p) / ln n, 0..1"),
        ("effective_area", pa.float32(), "1 / (n sum(p^2)), 1/n..1"),
        ("gini", pa.float32(), "Gini coefficient of P, 0..1-1/n"),
        ("top10_mass", pa.float32(), "sum of the ceil(n/10) largest p, 0..1"),
        ("area_15", pa.float32(), "share of cells with P >= 0.15 max P"),
        ("area_50", pa.float32(), "share of cells with P >= 0.50 max P"),
        ("blob_count", pa.int32(), "4-connected components of P >= 0.15 max P"),
        ("largest_blob_mass", pa.float32(), "largest share of mass in one of them, 0..1"),
    ],
    "Location (NULL where M = 0)": [
        ("centroid_x", pa.float32(), "sum(p x), 0..1 across the model input"),
        ("centroid_y", pa.float32(), "sum(p y), 0..1 down the model input"),
        ("spread_x", pa.float32(), "standard deviation of x under p"),
        ("spread_y", pa.float32(), "standard deviation of y under p"),
        ("peak_x", pa.float32(), "centre of the first maximal cell; NULL when FLAT"),
        ("peak_y", pa.float32(), "centre of the first maximal cell; NULL when FLAT"),
        ("peak_ties", pa.int32(), "number of cells that share the maximum"),
        ("center_distance", pa.float32(), "centroid to centre, 0..1 (1 = a corner)"),
        ("box_x0", pa.float32(), "bounding box in original pixels of the largest component of the upsampled map at "
         ">= 15 % of its maximum"),
        ("box_y0", pa.float32(), "as box_x0"),
        ("box_x1", pa.float32(), "as box_x0, exclusive"),
        ("box_y1", pa.float32(), "as box_x0, exclusive"),
    ],
    "Border, corners, padding (NULL where M = 0)": [
        ("border_mass", pa.float32(), "mass in the outermost ring of cells, 0..1"),
        ("border_lift", pa.float32(), "border_mass / area of the ring; 1 = uniform"),
        ("corner_mass_tl", pa.float32(), "mass in the top left ceil(h/4) x ceil(w/4) cells, 0..1"),
        ("corner_mass_tr", pa.float32(), "top right"),
        ("corner_mass_bl", pa.float32(), "bottom left"),
        ("corner_mass_br", pa.float32(), "bottom right"),
        ("corner_lift", pa.float32(), "the largest corner mass / area of a corner"),
        ("center_mass", pa.float32(), "mass in the middle ceil(h/2) x ceil(w/2) cells, 0..1"),
        ("padding_mass", pa.float32(), "mass on letterbox padding, 0..1; NULL when there is none"),
    ],
    "Ground truth (NULL unless the manifest carries boxes or masks)": [
        ("gt_boxes", pa.list_(pa.float64()), "x0, y0, x1, y1 of each box in original pixels, one box after the other"),
        ("gt_status", pa.string(), "NONE, OK, EMPTY, OUT_OF_FRAME, FULL or SUBCELL"),
        ("gt_area", pa.float32(), "share of the model input inside the boxes or the mask, 0..1"),
        ("gt_mass", pa.float32(), "sum(p f), f the covered share of each cell, 0..1"),
        ("gt_lift", pa.float32(), "gt_mass / gt_area"),
        ("point_hit", pa.float32(), "fraction of tied maxima inside; NULL for ZERO and FLAT"),
        ("point_hit_15px", pa.float32(), "the same with a tolerance of 15 pixels at 224"),
        ("center_hit", pa.float32(), "would the image centre hit: the free baseline"),
        ("box_iou", pa.float32(), "best IoU of the 15 % box with a ground-truth box, 0..1"),
        ("mask_iou_15", pa.float32(), "IoU of the upsampled map >= 15 % of its maximum with the boxes"),
        ("mask_iou_30", pa.float32(), "at 30 %"),
        ("mask_iou_50", pa.float32(), "at 50 %"),
    ],
    "Image covariates (decoded pixels)": [
        ("brightness", pa.float32(), "mean luma, 0..1"),
        ("contrast", pa.float32(), "standard deviation of luma, 0..1"),
        ("sharpness", pa.float32(), "variance of the Laplacian of luma"),
        ("saturation", pa.float32(), "mean HSV saturation, 0..1"),
    ],
    "The map itself": [
        ("cam_height", pa.int32(), "h, cells"),
        ("cam_width", pa.int32(), "w, cells"),
        ("cam", pa.list_(pa.float32()), "P / max P, row by row"),
        ("overlay_uri", pa.string(), "a file, or tar://NAME::TAR; NULL where the policy wrote none"),
    ],
}  # fmt: skip


# Only where the manifest has the user's own predictions (input.columns.expected), and where classes are contrasted
# (explain.contrast): so the schema of all others stays what it is.
_EXPECTED = {"expected_index": pa.int32(), "agrees": pa.bool_()}
_CONTRASTED = {"contrast_index": pa.int32(), "contrast_name": pa.string()}


def statistics_schema(
    regions: Sequence[str] = (),
    extra_columns: Sequence[str] = (),
    has_expected: bool = False,
    has_contrast: bool = False,
) -> pa.Schema:
    """The schema of a part: the fixed columns, those of the declared regions, then the manifest's further columns.

    Args:
        has_expected: with ``expected_index`` (the class that the user's own code predicts) and ``agrees`` (whether the
            model says the same), NULL where the manifest says nothing.
        has_contrast: with ``contrast_index`` and ``contrast_name``, the class whose score is taken off that of the
            target: the map, ``target_score`` and the magnitudes are of the difference.
    """
    fields = [pa.field(name, kind) for name, kind, _ in _columns()]
    fields += [pa.field(name, kind) for name, kind in _EXPECTED.items() if has_expected]
    fields += [pa.field(name, kind) for name, kind in _CONTRASTED.items() if has_contrast]
    fields += [pa.field(f"region_{region}_{what}", pa.float32()) for region in regions for what in ("mass", "lift")]
    fields += [pa.field(name, pa.string()) for name in extra_columns]
    return pa.schema(fields)


def column_meanings() -> dict[str, dict[str, str]]:
    """Group -> column -> what it means, for the README."""
    return {group: {name: meaning for name, _, meaning in columns} for group, columns in _GROUPS.items()}


def column_names_for(manifest_columns: Sequence[str], regions: Sequence[str] = ()) -> tuple[str, ...]:
    """Names in the table for further manifest columns; one that is taken already gets ``manifest_`` in front.

    Taken by the table, or by a further column that keeps its name: a table that is fed back has ``manifest_status``
    beside ``status``. DuckDB and Spark do not tell ``Site`` from ``site``, so neither do we.
    """
    own = {name.casefold() for name in (*statistics_schema(regions, has_expected=True, has_contrast=True).names, "run")}
    taken, names = set(own), {}
    plain = [name for name in manifest_columns if name and name.casefold() not in own]
    # Those that need no other name keep theirs.
    for name in (*plain, *(name for name in manifest_columns if name not in plain)):
        new = name or "manifest_column"
        while new.casefold() in taken:
            new = f"manifest_{new}"
        taken.add(new.casefold())
        names[name] = new.encode("utf-8", "backslashreplace").decode()
    return tuple(names[name] for name in manifest_columns)


def _columns() -> list[tuple[str, pa.DataType, str]]:
    return [column for group in _GROUPS.values() for column in group]
