"""What the tests share: an empty store in a folder whose name has spaces and letters that are not ASCII."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import storage
from perception_r1 import nursery
from storage import Store
from tests.training import SHARED

# no test asserts a time: on a busy machine a property that holds is late, not wrong
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


TORCH = ("train", "nursery", "world_model", "evaluate_data")  # one process imports what they need, and it begins first
LONG = ("run", "annotate_stage", "services", "validate", "wire")  # begun next, so that none is last


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first."""
    items.sort(
        key=lambda item: (not _subject(item.nodeid).startswith(TORCH), not _subject(item.nodeid).startswith(LONG))
    )


class ByFile(LoadScopeScheduling):
    """The tests of a file go to one process of the test run, and all that need torch to one and the same."""

    def _split_scope(self, nodeid: str) -> str:
        subject = _subject(nodeid)
        return "torch" if subject.startswith(TORCH) else subject


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def _subject(nodeid: str) -> str:
    return Path(nodeid.split("::")[0]).stem.removeprefix("test_")


@pytest.fixture(scope="session", autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Names a folder that all processes of this test run share; ends what its children were forked from."""
    own = tmp_path_factory.getbasetemp()
    os.environ[SHARED] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
    yield
    for process, control in nursery._open.values():
        control.close()
        process.wait()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store with späces"


@pytest.fixture
def store(root: Path) -> Store:
    return storage.open_store(root)
