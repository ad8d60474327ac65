import pytest

from transforms.table.markdown import README, columns_markdown, with_columns
from transforms.table.schema import statistics_schema


def test_the_readme_has_the_columns_of_the_schema():
    text = README.read_text()
    assert with_columns(text) == text, "the columns have changed: run python -m transforms.table.markdown"


def test_every_column_has_its_line():
    lines = [line for line in columns_markdown().splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == statistics_schema().names
    assert "| `cam` | list<float> | P / max P, row by row |" in lines


def test_what_stands_between_the_marks_is_replaced_and_nothing_else():
    readme = "before\n<!-- columns -->\nold\n<!-- /columns -->\nafter\n"
    made = with_columns(readme)
    assert made == f"before\n<!-- columns -->\n{columns_markdown()}\n<!-- /columns -->\nafter\n"
    assert with_columns(made) == made
    with pytest.raises(ValueError, match="no <!-- columns -->"):
        with_columns("nothing")
