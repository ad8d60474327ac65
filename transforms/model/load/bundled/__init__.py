"""EfficientNet-Lite0 with weights from a package index."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.model.load.bundled.efficientnet_lite0 import build_efficientnet_lite0
    from transforms.model.load.bundled.packages import imagenet_names, lite0_weights_path, package_version

__all__ = ["build_efficientnet_lite0", "imagenet_names", "lite0_weights_path", "package_version"]
__getattr__ = lazy_face(__name__, __file__)
