"""Where a version comes from: the code that made it, the commit, the machine and its packages."""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from storage.artifact import digest_of
from storage.errors import BadData

PROJECT = ("perception_r1", "tasks", "flows")  # storage does not know what artifacts mean, so it cannot change one
STARTED = time.time()
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Code:
    """The code behind an artifact: a digest of each module and resource file, and of all of them."""

    digest: str = ""
    modules: dict[str, str] = field(default_factory=dict)


def code_of(*roots: ModuleType | Callable[..., Any] | str, project: tuple[str, ...] = PROJECT) -> Code:
    """The digest of the roots' modules and of every project module they import, directly or not, also inside functions.

    Comments, docstrings and layout do not count; files that are not Python (prompts, SQL) beside an imported module do.
    A root is a module, a function or class of one, or a dotted module name (for what is started by name).
    """
    files: dict[str, Path] = {}
    waiting = [_located(root, project) for root in roots]
    while waiting:
        name, path = waiting.pop()
        if name in files:
            continue
        files[name] = path
        _check_as_imported(name, path)
        for imported in _imports(name, path):
            waiting.extend(_project_files(imported, project, files))
    digests = {name: _read(path).digest for name, path in sorted(files.items())}
    packages = {_package(name, path): path.parent for name, path in files.items() if name.split(".")[0] in project}
    for package, folder in sorted(packages.items()):
        digests |= {f"{package}/{file.relative_to(folder)}": _bytes_digest(file) for file in _resources(folder)}
    return Code(digest_of(digests), digests)


def _located(root: ModuleType | Callable[..., Any] | str, project: tuple[str, ...]) -> tuple[str, Path]:
    """The root's module name and source file, or BadData."""
    if isinstance(root, functools.partial):
        raise BadData("a partial's bound arguments would not be part of the key: put them into the config")
    name = root if isinstance(root, str) else root.__name__ if isinstance(root, ModuleType) else root.__module__
    module = sys.modules.get(name)
    source = getattr(module, "__file__", None) or (_find(name) if name.split(".")[0] in project else None)
    if not source or not Path(source).is_file():
        raise BadData(f"the code of {name!r} has no file, so its digest cannot be known: define it in a module")
    return name, Path(source)


def _package(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def _check_as_imported(name: str, path: Path) -> None:
    """Raises BadData for a file that was changed under a running process: what it runs is not what is there."""
    if name in sys.modules and path.stat().st_mtime > STARTED + 1:
        raise BadData(
            f"{path} was changed after this process started, so the results of what it runs would be kept under code "
            "that did not make them: start a new process"
        )


def _imports(name: str, path: Path) -> Iterator[str]:
    """Every module name that the file may import, absolute."""
    package = _package(name, path)
    for level, module, alias in _read(path).imports:
        base = package.rsplit(".", level - 1)[0] if level else ""
        whole = ".".join(part for part in (base, module) if part)
        yield f"{whole}.{alias}" if alias else whole


def _project_files(name: str, project: tuple[str, ...], known: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """The module and the packages around it, where they are files of the project."""
    if name.split(".")[0] not in project:
        return
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        part = ".".join(parts[:length])
        path = None if part in known else _find(part)
        if path:
            yield part, path


def _find(name: str) -> Path | None:
    """The source file of a project module, found without importing it."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)
    if not spec or not spec.submodule_search_locations:
        return None
    base = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    candidates = [base / "__init__.py"] + ([base.with_suffix(".py")] if rest else [])
    return next((path for path in candidates if path.is_file()), None)


def _resources(folder: Path) -> Iterable[Path]:
    """The files beside a module that are not Python, also in plain subfolders such as prompts/."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")) or path.name.endswith("~"):
            continue
        if path.is_dir() and not (path / "__init__.py").exists():
            yield from _resources(path)
        elif path.is_file() and path.suffix not in {".py", ".pyc"}:
            yield path


@dataclass(frozen=True, slots=True)
class _Source:
    """What a Python file comes to: the digest of its meaning, and what it imports as (level, module, name)."""

    digest: str
    imports: tuple[tuple[int, str, str], ...]


def _read(path: Path) -> _Source:
    stat = path.stat()
    return _read_once(path, stat.st_size, stat.st_mtime_ns)


_PARSING = threading.Lock()  # before Python 3.11.8 two threads that parse at once get a SystemError (gh-106905)


@functools.lru_cache(maxsize=4096)  # a file is read once, however many stages run its code
def _read_once(path: Path, size: int, mtime_ns: int) -> _Source:
    with _PARSING:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    nodes: list[ast.Import | ast.ImportFrom] = []
    digest = hashlib.sha256(_meaning(tree, nodes).encode()).hexdigest()
    return _Source(digest, tuple(dict.fromkeys(imported for node in nodes for imported in _imported(node))))


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str, str]]:
    if isinstance(node, ast.Import):
        yield from ((0, alias.name, "") for alias in node.names)
        return
    yield node.level, node.module or "", ""
    yield from ((node.level, node.module or "", alias.name) for alias in node.names)


def _meaning(node: Any, imports: list[ast.Import | ast.ImportFrom]) -> str:
    """The syntax tree as text, without docstrings and empty fields (so that Python 3.11 and 3.14 spell it alike)."""
    if isinstance(node, list):
        return "[" + ",".join([_meaning(each, imports) for each in node]) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    fields = {name: getattr(node, name, None) for name in node._fields if name != "kind"}
    if isinstance(node, DOCUMENTED) and _is_text(node.body[0] if node.body else None):
        fields["body"] = node.body[1:]
    shown = [
        f"{name}={_meaning(value, imports)}" for name, value in fields.items() if value is not None and value != []
    ]
    return f"{type(node).__name__}({','.join(shown)})"


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _is_text(statement: ast.stmt | None) -> bool:
    """Whether it is a docstring."""
    said = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(said, ast.Constant) and isinstance(said.value, str)


def _bytes_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def checkout_state(source: Path = HERE) -> dict[str, str]:
    """The git commit of the running code and, if it was changed since, a digest of the changes; else its version."""
    if _git(source, "ls-files", "--error-unmatch", source.name, at=source.parent) is None:
        return {"version": _own_version()}
    commit = _git(source, "rev-parse", "HEAD")
    changes = _git(source, "status", "--porcelain=v1", "--untracked-files=all") or ""
    if not changes:
        return {"commit": commit or "none yet"}
    diff = _git(source, "diff", "HEAD") or ""
    untracked = (_git(source.parent, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    added = {name: _bytes_digest(source.parent / name) for name in untracked if (source.parent / name).is_file()}
    return {"commit": commit or "none yet", "dirty": digest_of([changes, diff, added])}


def _git(source: Path, *words: str, at: Path | None = None) -> str | None:
    """What git prints, stripped; None where there is no git, no checkout, or the file is not in it."""
    try:
        done = subprocess.run(["git", "-C", at or source, *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _own_version() -> str:
    try:
        return importlib.metadata.version("perception-r1")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@functools.cache
def environment() -> dict[str, Any]:
    """Python, the platform and every installed package with its version."""
    packages = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": packages}


def this_process() -> dict[str, Any]:
    """The host and process; the machine's own id tells two hosts of one name apart."""
    machine = Path("/etc/machine-id")
    identity = machine.read_text().strip() if machine.exists() else f"{os.uname().machine}-{socket.gethostname()}"
    return {
        "host": socket.gethostname(),
        "machine": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "pid": os.getpid(),
    }
