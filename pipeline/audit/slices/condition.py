"""SQL conditions of the user's own: looked at as a tree before they are executed, where they reach nothing."""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from pipeline.audit.errors import AuditError
from pipeline.audit.inputs import AuditTable

_CLASSES = {
    "BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR", "TYPE",
}  # fmt: skip
_FUNCTIONS = {
    "+", "-", "*", "/", "%", "//", "||", "~~", "!~~", "~~*", "!~~*", "abs", "ceil", "coalesce", "contains", "ends_with",
    "floor", "greatest", "least", "len", "length", "ln", "log10", "lower", "regexp_full_match", "regexp_matches",
    "round", "sqrt", "starts_with", "suffix", "prefix", "upper",
}  # fmt: skip


def checked_condition(text: str, table: AuditTable) -> str:
    """A condition over the columns of the table, as SQL in brackets.

    Only comparisons, logic, arithmetic and some functions of texts and numbers: no query within, no aggregate, no
    parameter, and no function that could reach anything.

    Raises:
        AuditError: it is something else, or names a column that the table does not have.
    """
    told = table.database.execute("SELECT json_serialize_sql(?)", [f"SELECT ({text}\n) FROM statistics"]).fetchall()[0]
    tree = json.loads(told[0])
    if tree["error"]:
        raise AuditError(
            f"audit.slices: {text!r} is no SQL condition: {tree.get('error_message', 'not one expression')}"
        )
    node = tree["statements"][0]["node"]
    plain = node.get("type") == "SELECT_NODE" and node.get("from_table", {}).get("type") == "BASE_TABLE"
    if not plain or len(tree["statements"]) != 1 or len(node["select_list"]) != 1 or node["where_clause"]:
        raise AuditError(f"audit.slices: {text!r} is not one condition; write one such as width < 400")
    for part in _parts(node):
        kind, function = part["class"], part.get("function_name")
        if kind not in _CLASSES or (function is not None and function not in _FUNCTIONS):
            known = ", ".join(sorted(name for name in _FUNCTIONS if name[0].isalpha()))
            raise AuditError(
                f"audit.slices: {text!r} has {function or kind.lower()}, which a condition of a slice may not; it may "
                f"compare columns and values, and use {known}"
            )
        if kind == "COLUMN_REF" and (len(part["column_names"]) != 1 or not _is_column(part["column_names"][0], table)):
            name = ".".join(part["column_names"])
            near = difflib.get_close_matches(name, table.columns, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(table.columns)}"
            raise AuditError(f"audit.slices: the table has no column {name!r}; {hint}")
    return f"({text}\n)"


def _is_column(name: str, table: AuditTable) -> bool:
    return name.lower() in {column.lower() for column in table.columns}


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """The expressions of a serialized query."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            yield from _parts(branch)
