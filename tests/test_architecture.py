"""The walls: flows → tasks → {perception_r1, storage}; only flows and tasks know Prefect, only storage knows DuckDB."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("flows", "tasks", "perception_r1", "storage")
MAY_IMPORT = {
    "flows": {"tasks", "perception_r1", "storage"},
    "tasks": {"perception_r1", "storage"},
    "perception_r1": set(),
    "storage": set(),
}
ONLY_IN = {"prefect": {"flows", "tasks"}, "duckdb": {"storage"}}
ONLY_INSIDE_FUNCTIONS = {"torch", "trl", "transformers", "vllm", "datasets", "prefect"}
CHILD_PROCESSES = {f"perception_r1/train/{name}.py" for name in ("__main__", "sampler", "trainer")}


def imported(tree: ast.AST) -> set[str]:
    """The top-level packages that some statement of the tree imports."""
    nodes = list(ast.walk(tree))
    direct = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {
        name.split(".")[0]
        for name in direct | {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    }


def imported_with_the_module(tree: ast.Module) -> set[str]:
    """What importing the module itself imports: everything outside functions and `if TYPE_CHECKING`."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= imported(node)
        waiting.extend(ast.iter_child_nodes(node))
    return names


def violations(layer: str, path: str, source: str) -> list[str]:
    """The walls that the source of one file breaks."""
    tree = ast.parse(source)
    everywhere = imported(tree)
    wrong = [f"{path} imports {name}" for name in LAYERS if name in everywhere - MAY_IMPORT[layer] - {layer}]
    wrong += [f"{path} knows {name}" for name, homes in ONLY_IN.items() if name in everywhere and layer not in homes]
    if path not in CHILD_PROCESSES and layer != "tasks":
        heavy = imported_with_the_module(tree) & (ONLY_INSIDE_FUNCTIONS - ({"prefect"} if layer == "flows" else set()))
        wrong += [f"{path} imports {name} before it is needed" for name in sorted(heavy)]
    return wrong


def test_no_file_imports_across_a_wall() -> None:
    found = []
    for layer in LAYERS:
        files = sorted((ROOT / layer).rglob("*.py"))
        assert files, f"{layer}/ has no Python file: the test looks in the wrong place"
        for file in files:
            found += violations(layer, str(file.relative_to(ROOT)), file.read_text())
    assert found == []


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        pytest.param("storage", "import perception_r1.records", id="store-knows-the-library"),
        pytest.param("perception_r1", "from storage import sql", id="library-knows-the-store"),
        pytest.param("perception_r1", "def f():\n    from tasks.train import train", id="upward-inside-a-function"),
        pytest.param("tasks", "import flows.reproduce", id="task-imports-flow"),
        pytest.param("perception_r1", "import prefect", id="library-knows-prefect"),
        pytest.param("tasks", "def f():\n    import duckdb", id="task-knows-duckdb"),
        pytest.param("perception_r1", "import torch", id="torch-at-import"),
        pytest.param("perception_r1", "try:\n    from transformers import x\nexcept ImportError: ...", id="in-a-try"),
    ],
)
def test_a_planted_import_across_a_wall_is_found(layer: str, source: str) -> None:
    assert violations(layer, f"{layer}/planted.py", source)


def test_heavy_imports_are_free_inside_functions_and_for_types() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import trl\n"
    assert violations("perception_r1", "perception_r1/x.py", source) == []
