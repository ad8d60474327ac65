"""Raw maps -> the numbers of the table: pure functions of arrays."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.statistics.covariates import image_covariates
    from transforms.statistics.coverage import box_coverage
    from transforms.statistics.distance import jensen_shannon_distance, resample
    from transforms.statistics.ground_truth import ground_truth_statistics
    from transforms.statistics.map_columns import map_statistics, region_statistics, upsample
    from transforms.statistics.masks import TrueMask

__all__ = [
    "TrueMask",
    "box_coverage",
    "ground_truth_statistics",
    "image_covariates",
    "jensen_shannon_distance",
    "map_statistics",
    "region_statistics",
    "resample",
    "upsample",
]
__getattr__ = lazy_face(__name__, __file__)
