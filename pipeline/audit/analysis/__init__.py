"""From rows to findings: intervals, classes, clusters, correlates, pairs of runs."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.analysis.classes import (
        FEWEST_MAPS,
        LEAST_RATIO,
        SIGNIFICANCE,
        ClassAudit,
        MeanMaps,
        audit_classes,
        mean_maps,
    )
    from pipeline.audit.analysis.clusters import Cluster, find_clusters
    from pipeline.audit.analysis.correlates import (
        COVARIATES,
        LEAST_CORRELATION,
        LOOKS,
        SAMPLE,
        Correlate,
        find_correlates,
    )
    from pipeline.audit.analysis.galleries import find_galleries, rows_of, rows_where, rules
    from pipeline.audit.analysis.grouped_maps import group_maps
    from pipeline.audit.analysis.health import Health, check_health
    from pipeline.audit.analysis.intervals import LEVEL, Means, group_means, holm, larger_than_rest
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
    "FEWEST_MAPS",
    "LEAST_CORRELATION",
    "LEAST_RATIO",
    "LEVEL",
    "LOOKS",
    "PAIR_SCHEMA",
    "SAMPLE",
    "SIGNIFICANCE",
    "ClassAudit",
    "Cluster",
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
    "group_maps",
    "group_means",
    "holm",
    "larger_than_rest",
    "match_images",
    "matching_key",
    "mean_maps",
    "rows_of",
    "rows_where",
    "rules",
]
__getattr__ = lazy_face(__name__, __file__)
