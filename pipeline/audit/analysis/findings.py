"""What stands out in a run, in sentences: the top of the page, and a file for machines."""

import dataclasses
from typing import Literal

import numpy as np

from pipeline.audit.analysis.classes import ClassAudit
from pipeline.audit.analysis.clusters import Cluster
from pipeline.audit.analysis.correlates import Correlate
from pipeline.audit.analysis.health import Health

_MOST_CLASSES = 20
_MOST_CORRELATES = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """One sentence, the section that shows more, and the numbers."""

    kind: Literal["health", "class", "cluster", "correlate"]
    text: str
    numbers: dict[str, float | int | str]


def map_findings(audit: ClassAudit, clusters: list[list[Cluster]], correlates: list[Correlate]) -> list[Finding]:
    """What the maps show, the gravest kind first; within a kind the strongest first."""
    return [*_of_classes(audit), *_of_clusters(clusters, audit), *_of_correlates(correlates)]


def health_findings(health: Health) -> list[Finding]:
    """What went wrong before there was any map."""
    findings = []
    if health.expected is None:
        findings.append(Finding("health", "The run has not ended: all below is about the images so far.", {}))
    elif not health.is_conserved:
        text = f"The manifest has {health.expected:,} images, the table has {health.images:,}."
        if health.images > health.expected:
            text += " Earlier runs with the same fingerprint explained images that this manifest lacks; they count."
        findings.append(Finding("health", text, {"expected": health.expected, "images": health.images}))
    failed = sum(kind["images"] for kind in health.failures)
    if failed:
        text = (
            f"{failed:,} of {health.images:,} images failed; the most common cause is {health.failures[0]['status']}."
        )
        findings.append(Finding("health", text, {"failed": failed}))
    if health.zero_rate is not None and health.zero_rate > 0.05:
        text = f"{health.zero_rate:.1%} of the maps are zero: nowhere is there positive evidence for the class."
        findings.append(Finding("health", text, {"zero_rate": health.zero_rate}))
    if health.guarded_channels:
        text = (
            f"The method could not compute the weight of {health.guarded_channels:,} channels, over all maps, and left "
            "them out; gradcam and hirescam have no such channels."
        )
        findings.append(Finding("health", text, {"guarded_channels": health.guarded_channels}))
    return findings


def _of_classes(audit: ClassAudit) -> list[Finding]:
    places = sorted(np.argwhere(audit.flags).tolist(), key=lambda place: -audit.ratio[place[0], place[1]])
    findings = []
    for group, place in places[:_MOST_CLASSES]:
        measure, means = audit.measures[place], audit.means
        text = (
            f"{audit.names[group]}: {audit.ratio[group, place]:.1f} times as much {measure.title} as the other classes "
            f"({means.mean[group, place]:.2f}, 95 % interval {means.low[group, place]:.2f} to "
            f"{means.high[group, place]:.2f}, n = {means.count[group, place]:.0f})."
        )
        numbers: dict[str, float | int | str] = {
            "class": int(audit.indices[group]),
            "name": audit.names[group],
            "measure": measure.name,
            "ratio": float(audit.ratio[group, place]),
            "mean": float(means.mean[group, place]),
            "low": float(means.low[group, place]),
            "high": float(means.high[group, place]),
            "p_value": float(audit.p_values[group, place]),
            "maps": int(means.count[group, place]),
        }
        findings.append(Finding("class", text, numbers))
    return findings


def _of_clusters(clusters: list[list[Cluster]], audit: ClassAudit) -> list[Finding]:
    names = dict(zip(audit.indices.tolist(), audit.names, strict=True))
    findings = []
    for cluster in (cluster for of_class in clusters for cluster in of_class if cluster.is_candidate):
        text = (
            f"{names[cluster.class_index]}: {cluster.size} maps ({cluster.share:.0%} of the class) are almost the same "
            "and confident. Look at their images."
        )
        numbers: dict[str, float | int | str] = {
            "class": cluster.class_index,
            "size": cluster.size,
            "share": cluster.share,
        }
        findings.append(Finding("cluster", text, numbers))
    return findings


def _of_correlates(correlates: list[Correlate]) -> list[Finding]:
    notable = sorted((found for found in correlates if found.is_notable), key=lambda found: -abs(found.strength))
    findings = []
    for found in notable[:_MOST_CORRELATES]:
        sign = "" if found.is_categorical else f"{found.strength:+.2f}, "
        how = "differs by" if found.is_categorical else "goes with"
        explained = f"explains {found.strength**2:.0%}, classes apart"
        text = f"{found.look.capitalize()} {how} {found.covariate} ({sign}{explained})."
        numbers: dict[str, float | int | str] = {
            "covariate": found.covariate, "look": found.look, "strength": found.strength, "p_value": found.p_value
        }  # fmt: skip
        findings.append(Finding("correlate", text, numbers))
    return findings
