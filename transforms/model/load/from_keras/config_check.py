"""What the configuration in a Keras file may name without ``model.trust``: what is on the allow-lists, nothing else.

The check reads the configuration before any of it reaches Keras, whose deserialisation imports modules, looks up
functions by name and calls what it finds with the arguments in the file.
"""

from typing import Any, NoReturn

from transforms.model.errors import ModelRefused
from transforms.model.graph import COMPUTES
from transforms.model.load.from_keras.described import dicts
from transforms.model.load.from_keras.harmless_names import (
    NAMED_IN_SETTINGS,
    OF_APPLICATIONS,
    VALUES,
    is_harmless_class,
    is_harmless_function,
)
from transforms.model.load.from_keras.harmless_symbols import HARMLESS_SYMBOLS
from transforms.model.load.from_keras.keras_hub_names import is_harmless_hub_class

BY_FACTORY = (
    "build or load the model in a Python function of your own, with custom_objects, and name it: "
    "model.source: package.module:function"
)
HUB_LAYER = "KerasLayer"
_OP_LAYERS = ("TFOpLambda", "SlicingOpLambda")
_RAW_OP_LAYERS = ("TensorFlowOpLayer", "AddTensorFlowOpLayer")
_LAYERS = "keras.layers"  # a module that layers are harmless in
_TRUST = "If you know who wrote it, say model.trust: true"


def refuse_code(config: dict[str, Any], source: str) -> None:
    """Refuse what may do more than compute.

    Raises:
        ModelRefused: with the layer, what it names, and the remedy.
    """
    for value in dicts(config):
        if "class_name" in value:
            _refuse_node(value, source)
        for setting, named in value.items():
            _refuse_setting(setting, named, value, source)


def layers_of_applications(config: dict[str, Any]) -> set[str]:
    """The layers in a configuration that keras.applications has and Keras does not find by itself."""
    return {str(value["class_name"]) for value in dicts(config) if value.get("class_name") in OF_APPLICATIONS}


def _refuse_node(node: dict[str, Any], source: str) -> None:
    name, module, config = node["class_name"], node.get("module"), node.get("config")
    registered = node.get("registered_name")
    if not (isinstance(name, str) and isinstance(module, str | None) and isinstance(registered, str | None)):
        raise ModelRefused(f"{source} is damaged: one of its layers{_called(node)} has no class that is a name")
    if name in ("Lambda", "__lambda__"):
        raise ModelRefused(
            f"{source} carries Python code in a Lambda layer{_called(node)}: if you know who wrote it, say "
            "model.trust: true; or replace the layer (a Rescaling layer, keras.ops) and save again"
        )
    if name == HUB_LAYER:
        if module not in (None, "tensorflow_hub.keras_layer", "tensorflow_hub"):
            _refuse_foreign(module, name, source)
        return
    if name == "function":
        if not isinstance(config, str) or not is_harmless_function(config, module) or registered not in (None, config):
            _refuse_foreign(module, str(config), source)
        return
    if name in VALUES or is_harmless_hub_class(name, module, registered):
        return
    if name in OF_APPLICATIONS:
        home = (f"keras.src.{OF_APPLICATIONS[name]}", f"keras.{OF_APPLICATIONS[name]}", "keras.layers")
        if module is not None and module.removeprefix("tf_") not in home:
            _refuse_foreign(module, name, source)
        if registered not in (None, *OF_APPLICATIONS):
            _refuse_foreign(module, str(registered), source)
        return
    as_layer = name in (*_OP_LAYERS, *_RAW_OP_LAYERS) and is_harmless_class("Dense", module or _LAYERS)
    if registered not in (None, name) or not (as_layer or is_harmless_class(name, module)):
        _refuse_class(module, name, registered, node, source)
    if name in _OP_LAYERS:
        symbol = config.get("function") if isinstance(config, dict) else None
        if not isinstance(symbol, str) or symbol not in HARMLESS_SYMBOLS:
            _refuse_symbol(f"{name} calls tf.{symbol}", node, source)
    if name in _RAW_OP_LAYERS:
        definition = config.get("node_def") if isinstance(config, dict) else None
        # Newer versions write the definition as a dict; older ones as the bytes of a protocol buffer.
        operation = definition.get("op") if isinstance(definition, dict) else None
        if operation not in COMPUTES:
            _refuse_symbol(f"{name} runs the operation {operation}", node, source)


def _refuse_setting(setting: str, named: Any, owner: dict[str, Any], source: str) -> None:
    if not isinstance(named, str):
        return
    for kind, allowed in NAMED_IN_SETTINGS.items():
        if setting.endswith(kind) and named not in allowed:
            raise ModelRefused(
                f"{source} is built with the custom object {named} ({setting} of {owner.get('name', 'a layer')}), "
                f"which is not part of Keras. Remedy: {BY_FACTORY}"
            )


def _refuse_class(module: str | None, name: str, registered: Any, node: dict[str, Any], source: str) -> NoReturn:
    if module is None:
        raise ModelRefused(
            f"{source} has a layer{_called(node)} of the class {registered or name}: the custom object {name}, or a "
            "class of Keras that may run code or read files, is not on the list of those that only compute. "
            f"{_TRUST}; or {BY_FACTORY}"
        )
    if module.split(".")[0] in ("keras", "tf_keras", "builtins"):
        what = name if registered in (None, name) else f"{name}, registered as {registered}"
        raise ModelRefused(
            f"{source} has an object{_called(node)} of the class {module}.{what}, which is not on the list of those "
            f"that only compute: it may run code or read files. {_TRUST}; or replace it and save again"
        )
    _refuse_foreign(module, name, source)


def _refuse_symbol(what: str, node: dict[str, Any], source: str) -> NoReturn:
    raise ModelRefused(
        f"{source}: the layer{_called(node)} of the class {what}, which is not on the list of those that only compute: "
        f"it may run code or touch files. {_TRUST}; or replace the layer by one of Keras and save again"
    )


def _refuse_foreign(module: str | None, name: str, source: str) -> NoReturn:
    if module is None:
        raise ModelRefused(
            f"{source} is built with the custom object {name}, which is not part of Keras. Remedy: {BY_FACTORY}"
        )
    raise ModelRefused(
        f"{source} is built with {module}.{name}, which is not part of Keras: say model.trust: true to import it "
        f"from {module}; or {BY_FACTORY}"
    )


def _called(node: dict[str, Any]) -> str:
    config = node.get("config")
    return f" ({config['name']})" if isinstance(config, dict) and isinstance(config.get("name"), str) else ""
