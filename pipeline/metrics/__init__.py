"""How far a run is, as OpenMetrics: for a node exporter's folder of text files, or a push gateway."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.metrics.reporter import MetricsReporter
    from pipeline.metrics.target import MetricsRefused, MetricsTarget, open_target
    from pipeline.metrics.text import RunState, metrics_text

__all__ = [
    "MetricsRefused",
    "MetricsReporter",
    "MetricsTarget",
    "RunState",
    "metrics_text",
    "open_target",
]
__getattr__ = lazy_face(__name__, __file__)
