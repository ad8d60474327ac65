"""YAML in, one typed config out, every mistake reported at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import fsspec
import pydantic
import yaml

from pipeline.config.schema import Config, ConfigError
from pipeline.config.yaml12 import load_yaml
from transforms.storage import uris


def load_config(location: str | None = None, settings: Sequence[str] = ()) -> Config:
    """Read the YAML at ``location`` (any fsspec URL; None: only the defaults) and apply ``key.path=value`` settings.

    Raises:
        ConfigError: the file cannot be read or parsed, a key is unknown, or a value is wrong.
    """
    tree = _read_yaml(location) if location is not None else {}
    for setting in settings:
        _apply(tree, setting)
    return config_of(tree)


def config_of(tree: Mapping[str, Any]) -> Config:
    """Sections and keys as plain values -> the config.

    Raises:
        ConfigError: a key is unknown, or a value is wrong; all of them, a line each.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def redacted(config: Config) -> dict[str, Any]:
    """The config as plain values for logs and summaries, without the secrets of storage options and signed URLs."""
    tree = _redact(config.model_dump(mode="json"), config)
    tree["storage"] = {scheme: dict.fromkeys(options, "<not shown>") for scheme, options in config.storage.items()}
    return tree


def _redact(value: Any, config: Config) -> Any:
    if isinstance(value, str):
        return uris.redact(value, config.storage)
    if isinstance(value, dict):
        return {name: _redact(inner, config) for name, inner in value.items()}
    return [_redact(inner, config) for inner in value] if isinstance(value, list) else value


def _read_yaml(location: str) -> dict[str, Any]:
    try:
        with fsspec.open(location, "r", encoding="utf-8") as file:
            tree = load_yaml(file)
    except FileNotFoundError:
        raise ConfigError(f"{location}: there is no such config file (looked in {Path.cwd()})") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{location}: the config cannot be read: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{location}: a config is a YAML mapping (input:, model:, ...), not a {type(tree).__name__}")
    return tree


def _apply(tree: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {setting}: write a key and a value, such as --set input.limit=100")
    try:
        value = _value_of(keys, text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value is not YAML: {error}") from None
    for key in keys[:-1]:
        branch = tree.get(key)
        if branch is None:
            branch = tree[key] = {}
        if not isinstance(branch, dict):
            raise ConfigError(f"--set {setting}: {key} is not a section of the config")
        tree = branch
    tree[keys[-1]] = value


def _value_of(keys: Sequence[str], text: str) -> Any:
    """The value of a setting: the text itself where the key takes a text, else what it is as YAML."""
    kinds = _kinds_of(keys)
    if kinds <= {str, NoneType}:
        return None if NoneType in kinds and text in ("null", "~") else text
    try:
        value = load_yaml(text)
    except yaml.YAMLError:
        if str not in kinds:
            raise
        return text
    return text if str in kinds and isinstance(value, dict) and dict not in kinds else value


def _kinds_of(keys: Sequence[str]) -> set[Any]:
    """The types that the value of a key may have; of an unknown key, any."""
    annotation: Any = Config
    for key in keys:
        fields = getattr(annotation, "model_fields", None)
        if fields is None:  # within a mapping such as storage.s3
            return {str} if uris.names_a_secret(keys[-1]) else {Any}
        if key not in fields:
            return {Any}
        annotation = fields[key].annotation
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return {str if get_origin(member) is Literal else get_origin(member) or member for member in members}


def _explain(problem: Any) -> str:
    """One line for one mistake: the path of the key, what it was, what would be right."""
    location = [str(part) for part in problem["loc"]]
    keys = []
    section: Any = Config
    for part in location:  # pydantic appends the branch of a union to the path: a name that is no key of ours
        fields = getattr(section, "model_fields", None)
        if fields is None and not part.isdigit():
            break
        keys.append(part)
        section = fields[part].annotation if fields and part in fields else None
        if problem["type"] == "extra_forbidden":
            continue
    path = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        path = ".".join(location)
        return f"{path}: unknown key; {_keys_near(location)}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    wanted = message if problem["type"] == "value_error" else f"should be {message}"
    return f"{path}: {problem['input']!r} is wrong; {wanted}"


def _keys_near(location: list[str]) -> str:
    import difflib

    section: Any = Config
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    near = difflib.get_close_matches(location[-1], known, 1)
    where = ".".join(location[:-1]) or "the config"
    return f"did you mean {near[0]}?" if near else f"{where} has {', '.join(known)}"
