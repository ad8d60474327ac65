"""What neighbours say, in sentences: leakage, contradicting and doubtful labels, duplicates, outliers."""

from pipeline.audit.findings import Finding, Rows, named, photos
from pipeline.audit.inputs import AuditTable, quoted
from pipeline.audit.neighbours.write import SPLIT

_NEIGHBOURS = "(SELECT n.{what} FROM statistics_neighbours n WHERE n.image_id = statistics.image_id)"
_IN = "image_id IN (SELECT image_id FROM statistics_neighbours WHERE {where})"
_BY_GROUP = f"{_NEIGHBOURS.format(what='duplicate_group')}, image_id"

_FOUND = (
    "Nearest neighbours by the features that the classifier reads (1 - cosine of the centred features); a rule, not a "
    "test: {rule}"
)
_SAME = (
    "the same bytes; or at most 0.02 apart; or at most 0.15, and at most half as far as the tenth neighbour of either. "
    "Who is the same as the same is the same."
)
_LOOK = "Photos of one series look like copies to the model: look at the pictures."


def neighbour_findings(table: AuditTable, split: str | None = None) -> list[Finding]:
    """The findings of a run's neighbours; none where it has none.

    Strength: of leakage 1; of labels that contradict each other 1; of a doubtful label the votes for the predicted
    class less those for the label, on average; of duplicates and outliers 0.25.

    Args:
        split: the column of splits; None: that called ``split``.
    """
    if not table.has_neighbours:
        return []
    found = [
        _leakage(table, split or SPLIT),
        _contradictions(table),
        _labels(table),
        _duplicates(table),
        _outliers(table),
    ]
    return [finding for finding in found if finding is not None]


def _leakage(table: AuditTable, split: str) -> Finding | None:
    if split not in table.columns:
        return None
    images = (
        f"(SELECT image_id, any_value(CAST({quoted(split)} AS VARCHAR)) AS split, any_value(is_correct) AS is_right "
        "FROM statistics GROUP BY image_id)"
    )
    rows = table.records(
        f"SELECT split, count(*) AS images, count(*) FILTER (leaks) AS leaking, "
        "avg(CAST(is_right AS INT)) FILTER (leaks) AS seen, avg(CAST(is_right AS INT)) FILTER (NOT leaks) AS unseen "
        f"FROM {images} JOIN statistics_neighbours USING (image_id) "
        "WHERE split IS NOT NULL GROUP BY split ORDER BY leaking / count(*) DESC, split"
    )
    if not rows or not rows[0]["leaking"]:
        return None
    count = sum(row["leaking"] for row in rows)
    worst = rows[0]
    others = [row["split"] for row in rows[1:] if row["leaking"]]
    right = ""
    if worst["seen"] is not None and worst["unseen"] is not None:
        name = named(worst["split"])
        right = (
            f" The model is right about {worst['seen']:.0%} of them, and {worst['unseen']:.0%} of the rest of {name}."
        )
    return Finding(
        kind="neighbours",
        text=(
            f"{worst['leaking']:,} of {photos(worst['images'])} of {split} {named(worst['split'])} are in "
            f"{' and '.join(map(named, others)) or 'another split'} too, as the same picture or nearly so.{right}"
        ),
        numbers={"leaking": count, "split": worst["split"], "of_split": worst["leaking"], "images": worst["images"]},
        images=count,
        strength=1.0,
        test=_FOUND.format(rule=_SAME),
        caveat=f"{_LOOK} What is measured on photos that a model has learned from says nothing about others.",
        rows=Rows(_IN.format(where="leaks"), order=_BY_GROUP),
    )


def _contradictions(table: AuditTable) -> Finding | None:
    groups = (
        "SELECT duplicate_group FROM statistics_neighbours JOIN statistics USING (image_id) "
        "WHERE duplicate_group IS NOT NULL AND label_index IS NOT NULL AND outcome IS NULL "
        "GROUP BY duplicate_group HAVING count(DISTINCT label_index) > 1"
    )
    row = table.records(
        f"SELECT count(*) AS images, count(DISTINCT duplicate_group) AS groups FROM statistics_neighbours "
        f"WHERE duplicate_group IN ({groups})"
    )[0]
    if not row["images"]:
        return None
    pictures = "one picture has" if row["groups"] == 1 else f"{row['groups']:,} pictures have"
    return Finding(
        kind="neighbours",
        text=(
            f"{pictures[0].upper()}{pictures[1:]} several labels: {photos(row['images'])} that are the same or nearly "
            "so are labelled differently."
        ),
        numbers={"images": row["images"], "groups": row["groups"]},
        images=row["images"],
        strength=1.0,
        test=_FOUND.format(rule=_SAME),
        caveat=f"{_LOOK} A picture that shows two things may have been labelled once for each.",
        rows=Rows(_IN.format(where=f"duplicate_group IN ({groups})"), order=_BY_GROUP),
    )


def _labels(table: AuditTable) -> Finding | None:
    row = table.records(
        "SELECT count(*) AS labelled, count(suggested_index) AS doubted, "
        "avg(predicted_votes - label_votes) FILTER (suggested_index IS NOT NULL) AS strength "
        "FROM statistics_neighbours WHERE image_id IN "
        "(SELECT image_id FROM statistics WHERE label_index IS NOT NULL AND outcome IS NULL)"
    )[0]
    if not row["doubted"]:
        return None
    was = "label" if row["doubted"] == 1 else "labels"
    return Finding(
        kind="neighbours",
        text=(
            f"{row['doubted']:,} {was} of {photos(row['labelled'])} may be wrong: the model predicts another class, "
            "and so are the most similar photos labelled."
        ),
        numbers={"doubted": row["doubted"], "labelled": row["labelled"]},
        images=row["doubted"],
        strength=float(row["strength"]),
        test=_FOUND.format(
            rule="of the ten nearest photos with labels, copies left out and nearer ones counting more, no class has "
            "more votes than the predicted one, and that has at least twice as many as the label."
        ),
        caveat=(
            "Neighbours and prediction come from the same features: where the model confuses two classes, both may be "
            "wrong together. Look at the pictures before a label is changed."
        ),
        rows=Rows(
            _IN.format(where="suggested_index IS NOT NULL"),
            order=f"{_NEIGHBOURS.format(what='predicted_votes - n.label_votes')} DESC, image_id",
        ),
    )


def _duplicates(table: AuditTable) -> Finding | None:
    row = table.records(
        "SELECT count(duplicate_group) AS images, count(DISTINCT duplicate_group) AS groups, count(*) AS everything, "
        "count(*) FILTER (is_copy) AS copies FROM statistics_neighbours"
    )[0]
    if not row["images"]:
        return None
    groups = "1 picture" if row["groups"] == 1 else f"{row['groups']:,} different pictures"
    return Finding(
        kind="neighbours",
        text=(
            f"{row['images']:,} of {photos(row['everything'])} show only {groups}, the same or nearly so; the tests of "
            f"this report count each picture once, and leave {photos(row['copies'])} out."
        ),
        numbers={"images": row["images"], "groups": row["groups"], "copies": row["copies"]},
        images=row["images"],
        strength=0.25,
        test=_FOUND.format(rule=_SAME),
        caveat=_LOOK,
        rows=Rows(_IN.format(where="duplicate_group IS NOT NULL"), order=_BY_GROUP),
    )


def _outliers(table: AuditTable) -> Finding | None:
    row = table.records(
        "SELECT count(*) FILTER (is_outlier) AS images, count(*) AS everything, max(outlier_score) AS most "
        "FROM statistics_neighbours"
    )[0]
    if not row["images"]:
        return None
    are = "is" if row["images"] == 1 else "are"
    return Finding(
        kind="neighbours",
        text=(
            f"{row['images']:,} of {photos(row['everything'])} {are} unlike all others: up to {row['most']:.1f} times "
            "as far from the five most similar photos as is usual."
        ),
        numbers={"images": row["images"], "most": float(row["most"])},
        images=row["images"],
        strength=0.25,
        test=_FOUND.format(
            rule="the logarithm of its mean cosine with the five nearest is below the lower quartile by two times the "
            "distance of the quartiles, or more."
        ),
        caveat="Rare is not wrong; but blank, broken and foreign pictures are among them.",
        rows=Rows(_IN.format(where="is_outlier"), order=f"{_NEIGHBOURS.format(what='outlier_score')} DESC, image_id"),
    )
