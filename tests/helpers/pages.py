"""Our pages of Markdown: what is in them, and whether what they name is there."""

import dataclasses
import functools
import importlib
import importlib.util
import re
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
TOPS = ("benchmarks", "configs", "pipeline", "tests", "transforms")
PAGES = {
    str(page.relative_to(ROOT)): page
    for page in (ROOT / "README.md", *(path for top in TOPS for path in sorted((ROOT / top).rglob("*.md"))))
}
# A path of files or the dotted name of a module, of our own; in a path "…" stands for the rest of a test's name.
REFERENCE = re.compile(rf"(?<![\w./-])(?:{'|'.join((*TOPS, 'beam_gradcam'))})(?:[./][\w-]+)+/?(?:::\w+…?)?")


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page of Markdown holds."""

    spans: list[str]  # `code` in lines
    blocks: list[str]  # indented and fenced code
    links: list[str]  # targets of links and pictures
    anchors: set[str]  # of its headings, as GitHub makes them


@functools.cache
def read(path: Path) -> Page:
    spans, blocks, links, anchors = [], [], [], dict[str, int]()
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text())
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type in ("code_block", "fence"):
            blocks.append(token.content)
        elif token.type == "html_block":
            links += re.findall(r'src="([^"]+)"', token.content)
        for child in token.children or ():
            if child.type == "code_inline":
                spans.append(child.content)
            links += [str(child.attrs[name]) for name in ("href", "src") if name in child.attrs]
        if before is not None and before.type == "heading_open":
            text = "".join(child.content for child in token.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            anchors[slug] = anchors.get(slug, -1) + 1
            if anchors[slug]:
                anchors[f"{slug}-{anchors[slug]}"] = 0
    return Page(spans, blocks, links, set(anchors))


def references(page: Page) -> set[str]:
    return {found.rstrip("/") for text in (*page.spans, *page.blocks) for found in REFERENCE.findall(text)}


def leads_somewhere(reference: str) -> bool:
    """Whether there is such a path, test or module, or such a thing in a module."""
    file, _, test = reference.partition("::")
    if test:
        begin = re.escape(test.removesuffix("…")) + ("" if test.endswith("…") else r"\b")
        return (ROOT / file).is_file() and re.search(rf"^def {begin}", (ROOT / file).read_text(), re.M) is not None
    if "/" in reference:
        return (ROOT / reference).exists()
    module, names = reference, []
    while module and not is_module(module):
        module, _, name = module.rpartition(".")
        names.insert(0, name)
    thing = importlib.import_module(module)
    for name in names:
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what stands before the last dot is none
        return False
