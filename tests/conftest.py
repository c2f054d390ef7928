"""What the tests share: an empty store in a folder whose name has spaces and letters that are not ASCII."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

import storage
from storage import Store
from tests.training import SHARED

# no test asserts a time: on a busy machine a property that holds is late, not wrong
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


LONG = (
    "run",
    "services",
    "train",
    "annotate_stage",
    "validate",
    "evaluate",
    "wire",
)  # begun first, so that none is last


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests start processes come first; the processes of a test run share what is left evenly."""
    first = tuple(f"test_{name}" for name in LONG)
    items.sort(key=lambda item: not item.path.name.startswith(first))


@pytest.fixture(scope="session", autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Names a folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    os.environ[SHARED] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store with späces"


@pytest.fixture
def store(root: Path) -> Store:
    return storage.open_store(root)
