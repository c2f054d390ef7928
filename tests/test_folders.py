"""Checkpoints and other folders: each file once, read-only, out again as the caller's own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import storage
from storage import Store, errors, folders


def checkpoint(path: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (path / name.replace("__", "/")).parent.mkdir(parents=True, exist_ok=True)
        (path / name.replace("__", "/")).write_bytes(data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def test_a_folder_comes_back_file_by_file(store: Store, tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "ck", model=b"w" * 1000, sub__config=b"{}", empty=b"")
    (source / "nothing here").mkdir()
    version = store.put("checkpoint", "seed0", source)
    view = store.get(version)
    assert contents(view) == contents(source)
    assert (view / "nothing here").is_dir()
    assert (version.files, version.bytes) == (3, 1002)


def test_a_second_checkpoint_stores_only_what_differs(store: Store, root: Path, tmp_path: Path) -> None:
    files = {f"shard{i}": os.urandom(1000) for i in range(4)}
    store.put("checkpoint", "seed0", checkpoint(tmp_path / "a", **files))
    before = set(root.glob("objects/*/*"))
    store.put("checkpoint", "seed0", checkpoint(tmp_path / "b", **{**files, "shard2": b"trained on"}))
    new = {path for path in root.glob("objects/*/*") if path not in before}
    assert sorted(path.stat().st_size for path in new if not path.name.endswith(".json")) == [len(b"trained on")]
    assert len(new) == 2  # the file and the manifest


def test_the_same_folder_is_the_same_version_wherever_it_lies(store: Store, tmp_path: Path) -> None:
    one = store.put("checkpoint", "x", checkpoint(tmp_path / "a", m=b"1", z__k=b"2"))
    assert store.put("checkpoint", "x", checkpoint(tmp_path / "elsewhere/b", z__k=b"2", m=b"1")) == one


def test_the_callers_files_stay_his(store: Store, tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "ck", model=b"before")
    version = store.put("checkpoint", "x", source)
    (source / "model").write_bytes(b"after!")
    assert (store.get(version) / "model").read_bytes() == b"before"
    assert storage.verify(store) == []


@pytest.mark.parametrize("how", ["auto", "copy"])
def test_writing_to_a_checkout_never_reaches_the_store(store: Store, tmp_path: Path, how: folders.Checkout) -> None:
    version = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"before"))
    out = store.checkout(version, tmp_path / "out", how)
    try:
        (out / "model").write_bytes(b"after!")
    except PermissionError:  # a hard link to the read-only object: an ordinary user is kept from writing
        assert os.geteuid() != 0
    assert storage.verify(store) == []
    assert (store.get(version) / "model").read_bytes() == b"before"


def test_a_link_is_made_where_it_is_asked_for(store: Store, tmp_path: Path) -> None:
    version = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"before"))
    out = store.checkout(version, tmp_path / "out", "link")
    assert (out / "model").stat().st_nlink == 2


def test_a_checkout_does_not_mix_with_what_is_there(store: Store, tmp_path: Path) -> None:
    version = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"m"))
    with pytest.raises(errors.BadData, match="is not empty"):
        store.checkout(version, tmp_path / "ck")


def test_links_to_files_are_stored_as_files(store: Store, tmp_path: Path) -> None:
    # the layout of the hub's cache: names that link to blobs
    blobs = checkpoint(tmp_path / "blobs", abc=b"weights")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").symlink_to(blobs / "abc")
    assert contents(store.get(store.put("checkpoint", "x", snapshot))) == {"model.safetensors": b"weights"}


def test_what_is_no_file_is_refused_by_name(store: Store, tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "ck", model=b"m")
    (source / "loop").symlink_to(source)
    with pytest.raises(errors.BadData, match="loop is a link to a folder"):
        store.put("checkpoint", "x", source)
    (source / "loop").unlink()
    (source / "dangling").symlink_to("nowhere")
    with pytest.raises(errors.BadData, match="dangling"):
        store.put("checkpoint", "x", source)
    with pytest.raises(errors.BadData, match="is not a folder"):
        store.put("checkpoint", "x", source / "model")


def test_tables_and_folders_do_not_share_a_name(store: Store, tmp_path: Path) -> None:
    store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"m"))
    with pytest.raises(errors.SchemaMismatch, match="is a folder, this is a table"):
        store.put("checkpoint", "x", [{"a": 1}])


def test_asking_the_wrong_thing_of_a_format_is_an_error(store: Store, tmp_path: Path) -> None:
    folder = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"m"))
    table = store.put("problems", "x", [{"a": 1}])
    with pytest.raises(errors.BadData, match="is a folder"):
        next(store.stream(folder))
    with pytest.raises(errors.BadData, match="is a table"):
        store.checkout(table, tmp_path / "out")


def test_a_truncated_object_gives_way_to_a_good_one(store: Store, root: Path, tmp_path: Path) -> None:
    version = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"weights"))
    (broken,) = [p for p in root.glob("objects/*/*") if p.stat().st_size == 7]
    broken.chmod(0o644)
    broken.write_bytes(b"wei")
    assert [finding.level for finding in storage.verify(store)] == ["damaged"]
    store.put("checkpoint", "x", tmp_path / "ck")
    assert storage.verify(store) == []
    assert (store.get(version) / "model").read_bytes() == b"weights"


def test_a_manifest_cannot_lead_out_of_its_folder(store: Store, tmp_path: Path) -> None:
    from storage.artifact import canonical, object_key
    from storage.digest import file_hash
    from storage.place import publish_bytes

    version = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"m"))
    evil = canonical({"files": [{"path": "../../evil", "sha256": "0" * 64, "bytes": 1}]})
    (tmp_path / "evil.json").write_bytes(evil)
    digest = file_hash(tmp_path / "evil.json")
    publish_bytes(store.place, object_key(digest, ".dir.json"), evil)
    with pytest.raises(errors.Damaged, match="leaves its folder"):
        folders.checkout(store.place, digest, tmp_path / "out")
    assert version.files == 1


def test_a_folder_of_more_files_than_may_be_open(root: Path, tmp_path: Path) -> None:
    checkpoint(tmp_path / "ck", **{f"f{i}": b"%d" % i for i in range(400)})
    script = """
        import resource, sys, storage
        from pathlib import Path
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        here, there = map(storage.open_store, sys.argv[1:3])
        folder, bundle = map(Path, sys.argv[3:])
        storage.export(here, here.put("checkpoint", "x", folder), bundle)
        print(storage.import_bundle(there, bundle).files)
    """
    paths = [root, tmp_path / "other", tmp_path / "ck", tmp_path / "v.tar"]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), *paths], capture_output=True, text=True)
    assert done.stdout == "400\n", done.stderr


def test_a_run_takes_only_files_that_are_nobody_elses(store: Store, tmp_path: Path) -> None:
    cache = checkpoint(tmp_path / "cache", model=b"cached")

    def body(work: storage.Work) -> dict[str, Path]:
        (work.path / "final").mkdir()
        os.link(cache / "model", work.path / "final/model")
        (work.path / "linked").symlink_to(cache)
        return {"checkpoint/x": work.path / "final", "checkpoint/y": work.path / "linked"}

    storage.stage(store, "train", [], {}, body)
    (cache / "model").write_bytes(b"the owner goes on")
    assert storage.verify(store) == []
    assert (store.get("checkpoint/x") / "model").read_bytes() == b"cached"
    assert (store.get("checkpoint/y") / "model").read_bytes() == b"cached"


def test_an_unknown_way_to_check_out_is_refused(store: Store, tmp_path: Path) -> None:
    version = store.put("checkpoint", "x", checkpoint(tmp_path / "ck", model=b"m"))
    with pytest.raises(errors.BadData, match="known: reflink, link, copy, auto"):
        store.checkout(version, tmp_path / "out", "hardlink")  # type: ignore[arg-type]
