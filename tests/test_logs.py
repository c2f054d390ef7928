"""Logs: durable when it says so, readable while it grows, one writer."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

import storage
from storage import Log, Store, errors, logs


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "logs/rollouts/seed0/run"


def test_rows_are_durable_and_readable_after_flush(folder: Path, store: Store) -> None:
    with Log(folder, flush_s=60) as log:
        log.append([{"step": 1}, {"step": 2}])
        with pytest.raises(errors.NotFound, match="durable rows"):
            storage.sql("FROM rollouts_open", store)
        assert log.flush() == 2
        assert storage.sql("SELECT step, _run, _name FROM rollouts_open", store).fetchall() == [
            (1, "run", "seed0"),
            (2, "run", "seed0"),
        ]


def test_rows_become_durable_by_themselves(folder: Path) -> None:
    with Log(folder, flush_s=0.05) as log:
        log.append([{"step": 1}])
        deadline = time.monotonic() + 30
        while not list(folder.glob("*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert log.rows == 1


def test_the_next_writer_goes_on(folder: Path, store: Store) -> None:
    for step in range(3):
        with Log(folder) as log:
            assert log.rows == step
            log.append([{"step": step, "text": None if step else "first"}])
    version = store.put("rollouts", "seed0", Log(folder))
    assert store.get(version).to_pylist() == [{"step": i, "text": None if i else "first"} for i in range(3)]


def test_a_killed_writer_loses_only_what_was_not_flushed(folder: Path) -> None:
    script = (
        "import sys, os, signal\nfrom pathlib import Path\nfrom storage import Log\n"
        "log = Log(Path(sys.argv[1]), flush_s=60)\nlog.append([{'step': 1}])\nlog.flush()\nlog.append([{'step': 2}])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, folder]).returncode == -9
    with Log(folder) as log:
        assert log.rows == 1


def test_there_is_one_writer(folder: Path) -> None:
    with Log(folder), pytest.raises(errors.Busy, match="already has a writer"):
        Log(folder)
    Log(folder).close()


def test_rows_that_do_not_fit_are_refused_and_all_others_stay(folder: Path) -> None:
    with Log(folder, flush_s=60) as log:
        log.append([{"step": 1}])
        with pytest.raises(errors.BadData, match="column 'step'"):
            log.append([{"step": 2}, {"step": "three"}])
        log.append([{"step": 4}])
    with Log(folder) as again:
        assert [row["step"] for batch in again.stream() for row in batch.to_pylist()] == [1, 4]


def test_rows_are_taken_as_they_are_when_they_are_appended(folder: Path) -> None:
    with Log(folder, flush_s=60) as log:
        row = {"step": 0}
        for step in range(3):
            row["step"] = step
            log.append([row])
    with Log(folder) as again:
        assert [row["step"] for batch in again.stream() for row in batch.to_pylist()] == [0, 1, 2]


def test_an_inner_field_that_comes_later_is_not_dropped_silently(folder: Path) -> None:
    with Log(folder, flush_s=60) as log:
        log.append([{"rewards": {"accuracy": 1.0}}])
        with pytest.raises(errors.SchemaMismatch, match=r"inner fields \['format'\]"):
            log.append([{"rewards": {"accuracy": 1.0, "format": 1.0}}])


def test_columns_that_are_empty_at_first_need_a_schema(folder: Path) -> None:
    with Log(folder) as log, pytest.raises(errors.BadData, match="leave why empty"):
        log.append([{"step": 1, "why": None}])


def test_a_closed_log_takes_nothing(folder: Path) -> None:
    log = Log(folder)
    log.close()
    with pytest.raises(errors.BadData, match="is closed"):
        log.append([{"step": 1}])


def test_a_full_disk_is_raised_to_the_writer_and_costs_no_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "no space")

    log = Log(folder, flush_s=0.02)
    with monkeypatch.context() as patch:
        patch.setattr(logs, "sync_file", full)
        log.append([{"step": 1}])
        deadline = time.monotonic() + 30
        while not log._failure and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(errors.DiskFull, match="disk is full"):
            log.append([{"step": 2}])
    log.append([{"step": 2}])
    log.close()
    with Log(folder) as again:
        assert again.rows == 2


def test_a_torn_segment_is_damaged(folder: Path) -> None:
    with Log(folder) as log:
        log.append([{"step": 1}])
    segment = next(folder.glob("*.parquet"))
    segment.write_bytes(segment.read_bytes()[:-5])
    with pytest.raises(errors.Damaged, match=segment.name):
        Log(folder)


def test_an_empty_log_has_the_columns_it_was_given(folder: Path, store: Store) -> None:
    with pytest.raises(errors.BadData, match="open it with schema="), Log(folder) as log:
        store.put("rollouts", "seed0", log)
    with Log(folder, pa.schema([("step", pa.int64())])) as log:
        assert store.put("rollouts", "seed0", log).rows == 0


def test_a_single_record_is_not_taken_for_rows(folder: Path) -> None:
    with Log(folder) as log, pytest.raises(errors.BadData, match="wrap a single one"):
        log.append({"step": 1})
