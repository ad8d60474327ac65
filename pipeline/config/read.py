"""YAML in, one typed config out, every mistake reported at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pydantic
import yaml

from pipeline.config.schema import Config, ConfigError


def load_config(location: str | None = None, settings: Sequence[str] = ()) -> Config:
    """Read the YAML at ``location`` (any fsspec URL; None: only the defaults) and apply ``key.path=value`` settings.

    Raises:
        ConfigError: the file cannot be read or parsed, a key is unknown, or a value is wrong.
    """
    tree = _read_yaml(location) if location is not None else {}
    for setting in settings:
        _apply(tree, setting)
    return checked_config(tree)


def checked_config(tree: dict[str, Any]) -> Config:
    """Plain values -> the config.

    Raises:
        ConfigError: a key is unknown, or a value is wrong.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def redacted(config: Config) -> dict[str, Any]:
    """The config as plain values for logs and summaries, without what storage options may hold of secrets."""
    tree = config.model_dump(mode="json")
    tree["storage"] = {scheme: dict.fromkeys(options, "<not shown>") for scheme, options in config.storage.items()}
    return tree


class _Loader(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(location: str) -> dict[str, Any]:
    try:
        with fsspec.open(location, "r", encoding="utf-8") as file:
            tree = yaml.load(file, _Loader)
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
        value = yaml.safe_load(text)
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
