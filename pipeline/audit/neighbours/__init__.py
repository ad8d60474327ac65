"""What the embeddings of a run say: near duplicates, leakage between splits, labels that may be wrong, outliers."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from pipeline.audit.neighbours.write import SPLIT, Found, write_neighbours

__all__ = ["SPLIT", "Found", "write_neighbours"]
__getattr__ = lazy_face(__name__, __file__)
