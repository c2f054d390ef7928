"""What a configuration names beside a benchmark, for the keys of runs: a file is known by its content, not its name."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from perception_r1.benchmarks.dataset import files
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.errors import ConfigError
from perception_r1.evaluate.perceived import stored
from perception_r1.sections import PINNED, Evaluate, identity
from storage.digest import file_hash

BESIDE = ("captions", "facts")  # what is not needed to draw the items


def rows_identity(settings: Evaluate, benchmark: str) -> dict[str, Any]:
    """What decides a benchmark's items: a commit of the hub, or the content of a local copy, wherever that is."""
    data, dataset = settings.data.get(benchmark, PINNED), BENCHMARKS[benchmark].DATA
    said = {key: value for key, value in identity(data).items() if key not in BESIDE}
    if not (dataset and data.path):
        return said
    return said | {"repo": "", "revision": "", "path": [content(file) for file in files(dataset, data)]}


def files_identity(settings: Evaluate, benchmark: str) -> dict[str, Any]:
    """What else decides a benchmark's predictions: captions, facts of a file, and the examples that are shown."""
    data, shown = settings.data.get(benchmark, PINNED), settings.demonstrations
    said: dict[str, Any] = {
        key: content(Path(name)) for key in BESIDE if (name := getattr(data, key)) and not stored(name)
    }
    examples = identity(shown) | {"bank": content(Path(shown.bank))} if shown.shots else {"shots": 0}
    return said | {"demonstrations": examples}


def content(path: Path) -> str:
    """What a file holds, as a digest."""
    try:
        state = path.stat()
        return _hashed(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=4096)
def _hashed(path: Path, size: int, mtime_ns: int) -> str:
    """Read once for all models; a file that is written meanwhile is read again."""
    return file_hash(path)
