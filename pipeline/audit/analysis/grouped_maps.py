"""Mean maps of any groups of rows."""

from collections.abc import Hashable

import numpy as np

from pipeline.audit.inputs import AuditTable


def group_maps(table: AuditTable, rows: str, height: int, width: int) -> dict[Hashable, np.ndarray]:
    """The mean lift (n p, 1 = uniform) of each cell over the rows of a group; each map counts the same.

    Args:
        rows: SQL that gives the columns ``bin`` and ``cam`` of rows with a map.

    Returns:
        ``[h, w]`` by group.
    """
    found = table.arrays(
        f"SELECT bin, cell, avg(lift) AS mean FROM (SELECT bin, generate_subscripts(cam, 1) AS cell, "
        f"len(cam) * unnest(cam) / list_sum(cam) AS lift FROM ({rows})) GROUP BY bin, cell"
    )
    grids: dict[Hashable, np.ndarray] = {}
    for group, cell, mean in zip(found["bin"].tolist(), found["cell"].tolist(), found["mean"].tolist(), strict=True):
        grids.setdefault(group, np.full(height * width, np.nan))[int(cell) - 1] = mean
    return {group: grid.reshape(height, width) for group, grid in grids.items()}
