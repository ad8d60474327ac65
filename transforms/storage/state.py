"""State as JSON: frozen dataclasses, read back only where every field has its type."""

from typing import Any, TypeVar

import pydantic

from transforms.storage.state_files import StateError

State = TypeVar("State")


def decode_state(kind: type[State], content: bytes | str, uri: str, what: str, remedy: str) -> State:
    """The dataclass ``kind`` in JSON; what only another version knows is passed over.

    Args:
        uri: of the file, for the message.
        what: the file should be, as in "the record of a run".
        remedy: what a person can do about it.

    Raises:
        StateError: it is no JSON, or a field is missing or of another type.
    """
    try:
        return pydantic.TypeAdapter(kind).validate_json(content)
    except pydantic.ValidationError as error:
        raise not_state(uri, what, "; ".join(map(_explain, error.errors()[:3])), remedy) from None


def not_state(uri: str, what: str, why: str, remedy: str) -> StateError:
    """The refusal of a file of state; says which and what to do."""
    return StateError(f"{uri} is not {what} that this version can read ({why}); {remedy}")


def _explain(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
