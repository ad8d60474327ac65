"""Without a GPU it can still be known whether one could run the compiled models: TensorFlow lists its kernels."""

import keras
import pytest
import tensorflow as tf
from source_models import fine_tuned
from tensorflow.python.framework import kernels

from transforms.model import METHODS, ModelOptions, compile_model
from transforms.storage import Storage

STORAGE = Storage()
APPLICATIONS = (
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "ResNet50", "ResNet50V2", "InceptionV3", "EfficientNetB0",
    "DenseNet121", "ConvNeXtTiny", "NASNetMobile", "Xception",
)  # fmt: skip
# They have no kernel because there is nothing to compute: values from outside, and where a graph begins and ends.
NO_KERNEL = {"Placeholder", "PlaceholderWithDefault", "NoOp", "StatefulPartitionedCall", "PartitionedCall"}


def operations_of(folder: str) -> set[str]:
    """The types of all operations that the function ``explain`` of a compiled model may run."""
    function = tf.saved_model.load(folder).signatures["explain"]
    definition = function.graph.as_graph_def()
    nodes = [*definition.node, *(node for one in definition.library.function for node in one.node_def)]
    return {node.op for node in nodes} - NO_KERNEL


def on_gpus(operation: str) -> bool:
    found = kernels.get_registered_kernels_for_op(operation).kernel
    return any(kernel.device_type in ("GPU", "DEFAULT") for kernel in found)  # DEFAULT: those of every device


def without_gpu_kernel(options: ModelOptions, folder) -> set[str]:
    card = compile_model(options, str(folder), STORAGE)
    operations = operations_of(f"{folder}/{card.fingerprint}")
    assert {"Conv2D", "TensorListStack", "Cast"} <= operations  # the network, the loop over classes, the pixels
    return {operation for operation in operations if not on_gpus(operation)}


@pytest.mark.parametrize(
    "method", [name if name == "gradcam++" else pytest.param(name, marks=pytest.mark.slow) for name in sorted(METHODS)]
)
def test_every_operation_of_the_bundled_model_has_one(tmp_path, method):
    assert without_gpu_kernel(ModelOptions("bundled:efficientnet-lite0", method=method), tmp_path) == set()


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_every_operation_of_a_fine_tuned_model_has_one(tmp_path, precision):
    fine_tuned(keras).save(tmp_path / "model.keras")
    options = ModelOptions(str(tmp_path / "model.keras"), precision=precision)
    assert without_gpu_kernel(options, tmp_path / "models") == set()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_operation_of_the_applications_has_one(tmp_path, name):
    options = ModelOptions(f"keras:{name}", weights="none", preprocessing="none")
    assert without_gpu_kernel(options, tmp_path) == set()


def test_an_operation_without_one_is_noticed():
    assert not on_gpus("DecodeJpeg")
    assert on_gpus("Conv2D")
