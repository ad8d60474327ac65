"""What stands out in a run, in sentences that somebody who never read a paper on maps can act on."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.findings.finding import MOST_FINDINGS, Finding, Rows, rank
    from pipeline.audit.findings.of_classes import class_findings
    from pipeline.audit.findings.of_clusters import cluster_findings
    from pipeline.audit.findings.of_correlates import correlate_findings
    from pipeline.audit.findings.of_health import health_findings
    from pipeline.audit.findings.pages import FindingView, view_findings, write_findings
    from pipeline.audit.findings.power import what_would_be_seen
    from pipeline.audit.findings.words import ENDS, LOOK_WORDS, named, p_value, photos, place_of

__all__ = [
    "ENDS",
    "LOOK_WORDS",
    "MOST_FINDINGS",
    "Finding",
    "FindingView",
    "Rows",
    "class_findings",
    "cluster_findings",
    "correlate_findings",
    "health_findings",
    "named",
    "p_value",
    "photos",
    "place_of",
    "rank",
    "view_findings",
    "what_would_be_seen",
    "write_findings",
]
__getattr__ = lazy_face(__name__, __file__)
