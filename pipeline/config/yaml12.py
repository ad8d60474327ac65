"""YAML as its version 1.2 reads it: ``no`` is a text, ``010`` is ten, ``2026-11-26`` and ``12:30`` are texts.

PyYAML reads version 1.1, in which the class ``no`` is False and the run ``2026-11-26`` a date. The core schema of 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema) knows null, true, false, whole numbers and numbers, and nothing else.
"""

import re
from typing import IO, Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice: PyYAML takes the last of two without a word."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name and type

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        text = node.value
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text, 10)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
     list("-+0123456789.")),
    ("merge", r"<<", ["<"]),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole_number)


def load_yaml(content: str | bytes | IO[str]) -> Any:
    """Plain values of YAML.

    Raises:
        yaml.YAMLError: it is none, or a key stands twice in a mapping.

    >>> load_yaml("[no, 010, 0x10, 1e3, 12:30, 2026-11-26, true, ~]")
    ['no', 10, 16, 1000.0, '12:30', '2026-11-26', True, None]
    """
    return yaml.load(content, _Loader)
