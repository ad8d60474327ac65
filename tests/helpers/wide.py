"""What the default run leaves to ``-m wide``, so that it stays under five minutes: both run at every commit.

The default has the way of every job: photos, manifests, storage, the convolutional models, statistics, table, report,
resume. Here is what stands beside it.
"""

from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
_OTHER = ("slow", "cluster", "fuzz", "gpu", "readers", "stores", "browser")

# Files or folders below tests/.
WIDE = (
    "security/",  # strangers' files, models, names and signals
    "pipeline/test_faults.py",  # kills
    "pipeline/test_on_s3.py",
    "transforms/model/load/test_models_on_s3.py",
    "transforms/model/plan/tokens/",  # transformers and hybrids
    "transforms/model/plan/test_pooled.py",
    "transforms/model/graph/test_one_token.py",
    "transforms/model/cam/test_attention.py",
    "transforms/model/cam/test_fuse.py",
    "transforms/model/load/from_keras/test_keras_hub_presets.py",
    "transforms/model/test_extra_inputs.py",  # inputs beside the image, crops and pads in the model
    "pipeline/test_inputs_beside.py",
    "pipeline/test_own_geometry.py",
    "transforms/explain/test_own_geometry.py",
    "pipeline/test_fused_layers.py",  # whole jobs of single settings
    "pipeline/test_contrast.py",
    "pipeline/test_masks.py",
    "pipeline/test_merged_labels.py",
    "pipeline/test_embeddings.py",
    "pipeline/test_sixteen_bits.py",
    "pipeline/test_pixels.py",  # doubts about pixels
    "pipeline/test_reproduces_predict.py",
    "pipeline/methods/",
)


def mark_wide(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of :data:`WIDE` that have no other marker that leaves them out.

    Whoever names files or folders gets all that is in them.
    """
    if config.args_source is pytest.Config.ArgsSource.ARGS and "not wide" in config.option.markexpr:
        return
    for item in items:
        below = item.path.relative_to(_TESTS).as_posix()
        if below.startswith(WIDE) and not any(item.get_closest_marker(name) for name in _OTHER):
            item.add_marker(pytest.mark.wide)
