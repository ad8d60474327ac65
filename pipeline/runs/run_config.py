"""The config that a run was made with, as its folder has it: checked as at its launch, since others may write there."""

from typing import Any

import pydantic
import yaml

from pipeline.config import Config, config_of
from transforms.errors import UserError
from transforms.storage import Storage, not_state, read_state

_WHAT = "the config of a run"
_REMEDY = "remove the run's folder, or run the job again"


class _Loader(yaml.SafeLoader):
    """Without anchors: some lines of them stand for gigabytes, and a config that a run wrote has none."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it has an alias", self.peek_event().start_mark)
        return super().compose_node(parent, index)


def read_run_config(uri: str, storage: Storage) -> dict[str, Any]:
    """Every section with every key that this version knows, as plain values; keys of other versions are passed over.

    Raises:
        FileNotFoundError: there is none.
        StateError: it is no config, or a value could not have been launched with.
    """
    content = read_state(uri, storage)
    try:
        tree = yaml.load(content, _Loader)
        if not isinstance(tree, dict):
            raise not_state(uri, _WHAT, f"it is a {type(tree).__name__}", _REMEDY)
        return config_of(_known(tree, Config)).model_dump(mode="json")
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise not_state(uri, _WHAT, why, _REMEDY) from None
    except UserError as error:
        raise not_state(uri, _WHAT, str(error)[:1000], _REMEDY) from None


def _known(tree: dict[Any, Any], section: type[pydantic.BaseModel]) -> dict[str, Any]:
    """What the sections of this version have of a tree; storage options are not written down, only their names."""
    known: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if name not in tree or name in ("storage", "beam"):
            continue
        value, kind = tree[name], field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel) and isinstance(value, dict):
            value = _known(value, kind)
        known[name] = value
    return known
