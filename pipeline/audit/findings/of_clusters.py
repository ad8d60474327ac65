"""Small, tight and confident clusters of maps: what only some photos of a class show."""

from collections.abc import Sequence

from pipeline.audit.analysis import ClassAudit, Cluster
from pipeline.audit.findings.finding import Finding, Rows
from pipeline.audit.findings.words import named, photos

_CAVEAT = (
    "Photos of one series, near duplicates and objects that always stand in one place look like this too: look at the "
    "pictures."
)


def cluster_findings(clusters: Sequence[Sequence[Cluster]], audit: ClassAudit) -> list[Finding]:
    """A finding for each candidate. The strength is how much tighter it is than the median cluster, 0..1."""
    names = dict(zip(audit.indices.tolist(), audit.names, strict=True))
    findings = []
    for of_class in clusters:
        of = sum(cluster.size for cluster in of_class)
        rest = {id(cluster): _probability_of_others(cluster, of_class) for cluster in of_class}
        for cluster in of_class:
            if not cluster.is_candidate:
                continue
            sure = f"as sure ({cluster.probability:.0%}, other photos of the class {rest[id(cluster)]:.0%})"
            text = (
                f"On {cluster.size:,} of {photos(of)} of {named(names[cluster.class_index])} the model looks at almost "
                f"the same place, and is at least {sure}: the maps are {cluster.dispersion:.2f} apart, those of usual "
                f"groups of a class {cluster.usual_dispersion:.2f}."
            )
            findings.append(
                Finding(
                    kind="cluster",
                    text=text,
                    numbers={
                        "class": cluster.class_index,
                        "name": names[cluster.class_index],
                        "size": cluster.size,
                        "share": cluster.share,
                        "dispersion": cluster.dispersion,
                        "usual": cluster.usual_dispersion,
                    },
                    images=cluster.size,
                    strength=1 - cluster.dispersion / cluster.usual_dispersion,
                    test=(
                        "A rule, not a test: at most 30 % of the class, at least 5 maps, at most 0.6 of the median "
                        "dispersion (mean Hellinger distance to the group's mean map), at least as probable as the "
                        "class on average. Groups are found by mini-batch k-means."
                    ),
                    caveat=_CAVEAT,
                    rows=Rows(
                        "target_index = $class AND list_contains($members, image_id)",
                        {"class": cluster.class_index, "members": list(cluster.members)},
                        "list_position($members, image_id)",
                    ),
                )
            )
    return findings


def _probability_of_others(cluster: Cluster, clusters: Sequence[Cluster]) -> float:
    others = [other for other in clusters if other is not cluster]
    size = sum(other.size for other in others)
    return sum(other.probability * other.size for other in others) / size if size else float("nan")
