"""From rows to findings: intervals, classes, clusters, correlates, pairs of runs."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.analysis.classes import ClassAudit, MeanMaps, audit_classes, mean_maps
    from pipeline.audit.analysis.clusters import find_clusters
    from pipeline.audit.analysis.correlates import COVARIATES, LOOKS, Correlate, find_correlates
    from pipeline.audit.analysis.findings import health_findings, map_findings
    from pipeline.audit.analysis.galleries import find_galleries, rows_of, rules
    from pipeline.audit.analysis.health import Health, check_health
    from pipeline.audit.analysis.intervals import Means, group_means
    from pipeline.audit.analysis.labels import LabelAudit, audit_labels
    from pipeline.audit.analysis.pairs import (
        CHANGES,
        PAIR_SCHEMA,
        ImageCounts,
        compare_pairs,
        match_images,
        matching_key,
    )
    from pipeline.audit.analysis.values import ValueAudit, ValueBin, audit_values

__all__ = [
    "CHANGES",
    "COVARIATES",
    "LOOKS",
    "PAIR_SCHEMA",
    "ClassAudit",
    "Correlate",
    "Health",
    "ImageCounts",
    "LabelAudit",
    "MeanMaps",
    "Means",
    "ValueAudit",
    "ValueBin",
    "audit_classes",
    "audit_labels",
    "audit_values",
    "check_health",
    "compare_pairs",
    "find_clusters",
    "find_correlates",
    "find_galleries",
    "group_means",
    "health_findings",
    "map_findings",
    "match_images",
    "matching_key",
    "mean_maps",
    "rows_of",
    "rules",
]
__getattr__ = lazy_face(__name__, __file__)
