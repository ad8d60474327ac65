"""The rooms of the house: who may import whom, read off the code."""

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = {"transforms": ROOT, "pipeline": ROOT, "beam_gradcam": ROOT / "pipeline" / "api"}
FILES = {
    ".".join(path.relative_to(root).with_suffix("").parts): path
    for top, root in OWN.items()
    for path in sorted((root / top).rglob("*.py"))
    if root != ROOT or OWN["beam_gradcam"] not in path.parents
}
PACKAGES = {name.removesuffix(".__init__") for name in FILES if name.endswith(".__init__")}
MODULES = FILES.keys() - {f"{package}.__init__" for package in PACKAGES}
TENSORFLOW = tuple(f"transforms.model.{room}" for room in ("load", "graph", "plan", "cam", "expectation", "check"))


def imports_of(module: str) -> Iterator[tuple[str, str]]:
    """(module, name) of every import of our own packages, wherever it stands in the file."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OWN:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name, "") for alias in node.names if alias.name.split(".")[0] in ("transforms", "pipeline")
            )


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_other_packages_only_what_their_faces_offer(module):
    for home, name in imports_of(module):
        if home in PACKAGES:
            face = importlib.import_module(home)
            assert name in getattr(face, "__all__", ()) or is_within(module, home), f"{name} is not offered by {home}"
            continue
        package = home.rpartition(".")[0]
        # The modules of packages that this one lies in are its own; so are those at the root of each side.
        assert is_within(module, package) or "." not in package, f"import {name} from a face above {home}"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_face_offers_what_it_says_and_nothing_is_called_as_a_module(package):
    face = importlib.import_module(package)
    offered = getattr(face, "__all__", [])
    assert face.__doc__, f"{package} does not say what it is"
    for name in offered:
        value = getattr(face, name)
        is_module = f"{package}.{name}" in MODULES
        assert is_module == (type(value).__name__ == "module"), f"{name} is a module of {package} and something else"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = face.nothing


def test_the_worker_side_never_imports_the_launch_side():
    assert not [(module, home) for module in MODULES for home, _ in imports_of(module)
                if is_within(module, "transforms") and not is_within(home, "transforms")]  # fmt: skip


def test_the_graph_knows_nothing_of_where_models_come_from():
    for inner, outer in (
        ("graph", "load"),
        ("graph", "plan"),
        ("graph", "cam"),
        ("plan", "cam"),
        ("load", "plan"),
        ("expectation", "load"),
        ("expectation", "plan"),
        ("cam", "check"),
    ):
        guilty = [
            (module, home)
            for module in MODULES
            for home, _ in imports_of(module)
            if is_within(module, f"transforms.model.{inner}") and is_within(home, f"transforms.model.{outer}")
        ]
        assert not guilty


def test_only_the_rooms_of_the_model_import_tensorflow():
    for module, path in FILES.items():
        tree = ast.parse(path.read_text())
        names = {alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module).split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
        if names & {"tensorflow", "keras", "tf_keras", "tensorflow_hub"}:
            assert any(is_within(module, room) for room in TENSORFLOW), module


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import pipeline.cli", {"apache_beam", "cv2", "fsspec", "numpy", "pyarrow", "pydantic"}),
        ("import pipeline.config as c; c.load_config()", {"apache_beam", "pyarrow"}),
        ("import pipeline.worker", {"apache_beam", "pyarrow"}),
        ("import transforms.explain as e; e.ExplainImages", {"aiohttp"}),
        ("import beam_gradcam as bg; bg.open_model, bg.open_run, bg.Image, bg.schema", {"apache_beam"}),
        ("import transforms.model as m; m.load_compiled, m.ModelOptions", set()),
    ],
)
def test_what_starts_a_process_leaves_the_heavy_packages_alone(code, absent):
    absent = absent | {"tensorflow", "keras", "tf_keras"}
    free = {"transforms.model.cam.methods"}  # the names of the methods are choices of the config
    rooms = {name for name in MODULES - free if any(is_within(name, room) for room in TENSORFLOW)}
    if code.startswith("import beam_gradcam"):
        rooms = set()  # it is about to load a model
    code = f"import sys; {code}; print(*sorted(name for name in sys.modules if name in {absent | rooms}))"
    environment = os.environ | {"PYTHONPATH": str(OWN["beam_gradcam"])}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    assert ended.stdout.split() == []


def test_a_launcher_whose_model_is_compiled_and_checked_needs_no_tensorflow():
    code = "import sys, pipeline.launch.run; print(*{'tensorflow', 'keras', 'tf_keras'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
