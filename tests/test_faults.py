"""Full disks, read-only places, damaged files, wrong clocks: a typed error that names the thing and the remedy."""

import os
import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import thread
from pathlib import Path

import pytest

import storage
from storage import Store, errors
from storage import store as store_module

ROWS = [{"id": i, "text": f"fact {i}" * 20} for i in range(100)]
NOBODY = 65534


def mounted(path: Path, options: str) -> bool:
    """Whether a small file system could be mounted there; only root may."""
    path.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], capture_output=True)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    if not mounted(path, "size=1m"):
        pytest.skip("mounting a file system needs root")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_is_named_and_nothing_half_written_shows(small_disk: Path) -> None:
    store = storage.open_store(small_disk / "store")
    first = store.put("problems", "x", ROWS)
    with pytest.raises(errors.DiskFull, match=r"disk is full; free some space") as caught:
        store.put("problems", "x", [{"id": 1, "text": os.urandom(2_000_000).hex()}])
    assert str(small_disk) in str(caught.value)
    assert store.latest("problems", "x") == first
    (small_disk / "ballast").write_bytes(b"")
    assert storage.verify(store) == []
    assert store.put("problems", "x", [{"id": 1, "text": "fits"}]).seq == 2


def test_what_a_full_disk_left_to_the_garbage_collector_waits_for_nothing(small_disk: Path) -> None:
    """Arrow's writer tries once more when it is collected, which may be while any executor starts a thread."""
    store = storage.open_store(small_disk / "store")
    with pytest.raises(errors.DiskFull) as caught:
        store.put("problems", "x", [{"id": 1, "text": os.urandom(2_000_000).hex()}])
    left = [caught]
    del caught
    collector = threading.Thread(target=left.clear)
    with thread._global_shutdown_lock:
        collector.start()
        collector.join(5)
        assert not collector.is_alive()


def test_a_full_disk_stops_a_folder_and_a_log_too(small_disk: Path, tmp_path: Path) -> None:
    store = storage.open_store(small_disk / "store")
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/model").write_bytes(os.urandom(2_000_000))
    with pytest.raises(errors.DiskFull):
        store.put("checkpoint", "x", tmp_path / "ck")
    log = storage.Log(small_disk / "store/logs/rollouts/x/run", flush_s=60)
    log.append([{"text": os.urandom(2_000_000).hex()}])
    with pytest.raises(errors.DiskFull):
        log.flush()
    with pytest.raises(errors.DiskFull):
        log.close()
    assert not store.versions.kinds()


def test_a_read_only_store_can_be_read_and_asked(small_disk: Path) -> None:
    store = storage.open_store(small_disk / "store")
    store.put("problems", "x", ROWS)
    checkpoint = small_disk / "ck"
    checkpoint.mkdir()
    (checkpoint / "model").write_bytes(b"weights")
    store.put("checkpoint", "x", checkpoint)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    reader = storage.open_store(small_disk / "store")
    assert reader.get("problems/x").num_rows == 100
    assert (reader.get("checkpoint/x") / "model").read_bytes() == b"weights"
    assert storage.sql("SELECT count(*) FROM problems", reader).fetchall() == [(100,)]
    assert storage.verify(reader) == []
    with pytest.raises(errors.ReadOnly, match="read-only; use --store"):
        reader.put("problems", "x", ROWS, config={"k": 1})


AS_NOBODY = """
import os, sys, tempfile, storage
rows = [{"id": 1, "text": "y"}]
with tempfile.TemporaryDirectory() as folder:
    storage.open_store(folder).put("problems", "x", rows)  # imports all that a put needs, which nobody may not read
if os.geteuid() == 0:
    os.setuid(int(sys.argv[2]))
try:
    storage.open_store(sys.argv[1]).put("problems", "x", rows, config={"k": int(sys.argv[3])})
    print("no error")
except BaseException as error:
    print(f"{type(error).__name__}: {error}")
"""


def put_as_nobody(root: Path, config: int = 0) -> str:
    """What an unprivileged user is told who puts something into the store."""
    command = [sys.executable, "-c", AS_NOBODY, str(root), str(NOBODY), str(config)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_a_store_of_somebody_else_is_named(root: Path, store: Store) -> None:
    store.put("problems", "x", ROWS)
    for path in [root, *root.parents][:5]:
        path.chmod(0o755)
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o555)
    said = put_as_nobody(root)
    assert said.startswith("Forbidden: cannot write to the store at"), said
    for path in root.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_two_users_share_a_store(root: Path, store: Store) -> None:
    first = store.put("problems", "x", ROWS)
    for path in [*list(root.parents)[:4], root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o777)
    assert put_as_nobody(root, 1) == "no error"
    assert put_as_nobody(root, 1) == "no error"
    assert store.latest("problems", "x").seq == 2
    assert store.put("problems", "x", ROWS) == first
    assert storage.verify(store) == []


def test_a_file_size_limit_reads_as_a_full_disk(root: Path) -> None:
    script = """
        import resource, signal, sys, storage
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            storage.open_store(sys.argv[1]).put("problems", "x", [{"image": bytes(200_000)}])
        except storage.errors.DiskFull as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), root], capture_output=True, text=True)
    assert "ulimit -f" in done.stdout, done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def flip(path: Path, position: int) -> None:
    """Flips one bit of a file."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("where", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99])
def test_a_flipped_bit_anywhere_in_an_object_is_found(store: Store, where: float) -> None:
    path = store.path(store.put("problems", "x", ROWS))
    flip(path, int(where * path.stat().st_size))
    (finding,) = storage.verify(store)
    assert finding.level == "damaged"
    assert path.name in finding.what


def test_rows_with_a_flipped_bit_are_never_returned(store: Store) -> None:
    version = store.put("problems", "x", [{"text": os.urandom(3000).hex()} for _ in range(50)])
    path = store.path(version)
    flip(path, path.stat().st_size // 2)
    with pytest.raises(errors.Damaged, match=r"is damaged .*: run `perception-r1 verify`"):
        store.get(version)


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_object_is_damaged(store: Store, keep: float) -> None:
    version = store.put("problems", "x", ROWS)
    path = store.path(version)
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(errors.Damaged, match=path.name):
        store.get(version)


@pytest.mark.parametrize("keep", [0, 1, 0.5, -2])
def test_a_truncated_record_is_damaged_and_hides_nothing_else(store: Store, root: Path, keep: float) -> None:
    for count in range(3):
        store.put("problems", "x", [{"count": count}])
    record = root / "versions/problems/x/00000002.json"
    record.chmod(0o644)
    data = record.read_bytes()
    record.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    store = storage.open_store(root)
    with pytest.raises(errors.Damaged, match=r"versions/problems/x/00000002.json is damaged"):
        store.at("problems/x@2")
    assert store.latest("problems", "x").seq == 3
    assert store.put("problems", "x", [{"count": 4}]).seq == 4
    status = storage.sql("SELECT seq, status FROM versions ORDER BY seq", store).fetchall()
    assert status == [(1, "whole"), (2, "damaged"), (3, "whole"), (4, "whole")]
    assert [f.what for f in storage.verify(store) if f.level == "damaged"] == ["versions/problems/x/00000002.json"]


def test_every_flipped_bit_of_a_record_is_noticed(store: Store, root: Path) -> None:
    store.put("problems", "x", ROWS, config={"lr": 1e-6})
    record = root / "versions/problems/x/00000001.json"
    for position in range(0, record.stat().st_size - 1, 7):
        flip(record, position)
        with pytest.raises(errors.Damaged):
            storage.open_store(root).at("problems/x@1")
        flip(record, position)
    assert storage.open_store(root).at("problems/x@1").config == {"lr": 1e-6}


def test_a_missing_object_is_named_with_its_version(store: Store) -> None:
    version = store.put("problems", "x", ROWS)
    store.path(version).unlink()
    with pytest.raises(errors.Damaged, match=r"of problems/x@1 is missing"):
        store.get(version)
    assert ["missing" in finding.problem for finding in storage.verify(store)] == [True]


def test_a_clock_that_goes_backwards_changes_no_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["2026-11-21T10:00:00.000+00:00", "1999-01-01T00:00:00.000+00:00", "2026-11-20T10:00:00.000+00:00"])
    monkeypatch.setattr(store_module, "now", lambda: next(times))
    versions = [store.put("problems", "x", [{"i": i}]) for i in range(3)]
    assert [v.seq for v in versions] == [1, 2, 3]
    assert store.latest("problems", "x") == versions[2]
    assert storage.gc(store, keep=1, grace_s=3600).versions == ()  # young by the files' own age


def test_two_machines_of_one_name_are_told_apart_and_do_not_collide(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage import provenance

    machines = []
    for identity in ("one", "two"):
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "this_process", lambda i=identity: {"host": "gpu", "machine": i, "pid": 1})
            machines.append(storage.open_store(root))
    versions = [machines[i % 2].put("problems", "x", [{"i": i}]) for i in range(6)]
    assert [v.seq for v in versions] == [1, 2, 3, 4, 5, 6]
    assert {v.producer["machine"] for v in versions} == {"one", "two"}


def test_nothing_in_a_store_is_unpickled(store: Store, tmp_path: Path) -> None:
    sources = [path.read_text() for path in Path(storage.__file__).parent.glob("*.py")]
    assert not [
        word
        for word in ("pickle", "eval(", "exec(", "joblib", "torch.load", "extractall")
        for s in sources
        if word in s
    ]
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/trainer.pt").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    assert (store.get(store.put("checkpoint", "x", tmp_path / "ck")) / "trainer.pt").read_bytes().startswith(b"cos")
