"""What the embeddings of a run say: near duplicates, leakage between splits, labels that may be wrong, outliers."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.neighbours.findings import neighbour_findings
    from pipeline.audit.neighbours.view import NeighbourView, neighbours_view
    from pipeline.audit.neighbours.write import SPLIT, Found, write_neighbours

__all__ = ["SPLIT", "Found", "NeighbourView", "neighbour_findings", "neighbours_view", "write_neighbours"]
__getattr__ = lazy_face(__name__, __file__)
