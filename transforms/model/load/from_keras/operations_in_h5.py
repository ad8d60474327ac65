"""keras.ops in the ``.h5`` files of Keras 3, which leave out where a class lives. Imports Keras.

Keras looks the class ``Add`` of ``x + y`` up among its layers, where there is another of that name, and cannot load
what it saved: ConvNeXt and MobileNetV3 of keras.applications among them.
"""

import importlib
from typing import Any

from transforms.model.load.from_keras.harmless_names import OPERATIONS

_MODULES = tuple(f"keras.src.ops.{name}" for name in ("numpy", "nn", "math", "image", "linalg", "core"))


def with_modules_of_operations(config: Any) -> Any:
    """A configuration whose operations, which unlike layers have no ``trainable``, say where they live."""
    if isinstance(config, list):
        return [with_modules_of_operations(value) for value in config]
    if not isinstance(config, dict):
        return config
    completed = {key: with_modules_of_operations(value) for key, value in config.items()}
    name, settings = config.get("class_name"), config.get("config")
    if (
        isinstance(name, str)
        and name in OPERATIONS
        and isinstance(settings, dict)
        and "inbound_nodes" in config
        and not {"trainable", "dtype"} & set(settings)
        and "module" not in config
    ):
        homes = [module for module in _MODULES if hasattr(importlib.import_module(module), name)]
        completed |= {"module": homes[0], "registered_name": None} if homes else {}
    return completed
