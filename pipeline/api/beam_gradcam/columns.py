"""The columns of the rows."""

from collections.abc import Sequence

import pyarrow as pa

from transforms.table import statistics_schema


def schema(regions: Sequence[str] = (), contrast: bool = False) -> pa.Schema:
    """The Arrow schema of the rows of :class:`beam_gradcam.Explain` and :meth:`beam_gradcam.Explained.table`.

    Args:
        regions: the names of the declared regions, each of which adds two columns.
        contrast: the model was opened with ``contrast``, which adds ``contrast_index`` and ``contrast_name``.

    >>> import beam_gradcam as bg
    >>> bg.schema().field("border_lift").type
    DataType(float)
    >>> bg.schema(["watermark"]).names[-2:]
    ['region_watermark_mass', 'region_watermark_lift']
    """
    return statistics_schema(tuple(regions), has_contrast=contrast)
