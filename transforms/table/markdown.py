"""The columns of the statistics table as Markdown.

``python -m transforms.table.markdown`` writes them into the README.md beside this file.
"""

import pathlib

from transforms.table.schema import column_meanings, statistics_schema

README = pathlib.Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- columns -->", "<!-- /columns -->"


def columns_markdown() -> str:
    """One table for each group of columns."""
    kinds = {field.name: str(field.type).replace("list<item: ", "list<") for field in statistics_schema()}
    blocks = []
    for group, columns in column_meanings().items():
        lines = [f"**{group}**", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {kinds[name]} | {meaning.replace('|', chr(92) + '|')} |" for name, meaning in columns.items()
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def with_columns(readme: str) -> str:
    """``readme`` with the present columns between the two marks.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = readme.find(_BEGIN), readme.find(_END)
    if not 0 <= begin < end:
        raise ValueError(f"the README has no {_BEGIN} before {_END}")
    return f"{readme[: begin + len(_BEGIN)]}\n{columns_markdown()}\n{readme[end:]}"


if __name__ == "__main__":
    README.write_text(with_columns(README.read_text()))
