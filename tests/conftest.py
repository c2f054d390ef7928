"""What the tests share: an empty store in a folder whose name has spaces and letters that are not ASCII."""

from pathlib import Path

import pytest

import storage
from storage import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store with späces"


@pytest.fixture
def store(root: Path) -> Store:
    return storage.open_store(root)
