"""A version with its ancestry as one file, and back, believing nothing that is in it."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

import storage
from storage import Store, errors
from storage.artifact import canonical, seal, unseal


@pytest.fixture
def version(store: Store, tmp_path: Path) -> storage.Artifact:
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck/model").write_bytes(b"weights")
    problems = store.put("problems", "geo", [{"id": "p1"}])
    store.put("annotations", "geo", [{"id": "a0"}])
    annotations = store.put("annotations", "geo", [{"id": "a1"}], parents=[problems], config={"k": 1})
    return store.put("checkpoint", "seed0", tmp_path / "ck", parents=[annotations, problems])


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return storage.open_store(tmp_path / "other")


def test_a_bundle_brings_the_version_and_all_it_was_made_from(
    store: Store, other: Store, version: storage.Artifact, tmp_path: Path
) -> None:
    bundle = storage.export(store, version, tmp_path / "v.tar")
    got = storage.import_bundle(other, bundle)
    assert (got.version, got.digest, got.cause, got.created) == (
        version.version,
        version.digest,
        version.cause,
        version.created,
    )
    assert (other.get(got) / "model").read_bytes() == b"weights"
    # annotations/geo@2 is the first of its name here, and the child says so
    assert list(storage.lineage(other, got)) == ["checkpoint/seed0@1", "annotations/geo@1", "problems/geo@1"]
    assert other.get("annotations/geo").to_pylist() == [{"id": "a1"}]
    assert storage.verify(other) == []
    assert storage.import_bundle(other, bundle) == got
    assert len(storage.artifacts(other)) == 3


def test_a_bundle_finds_what_is_here_already(store: Store, version: storage.Artifact, tmp_path: Path) -> None:
    assert storage.import_bundle(store, storage.export(store, version, tmp_path / "v.tar")) == version
    assert len(storage.artifacts(store)) == 4


def test_collected_ancestors_come_as_records(store: Store, other: Store, tmp_path: Path) -> None:
    old = store.put("problems", "geo", [{"id": "p1"}])
    child = store.put("annotations", "geo", [{"id": "a1"}], parents=[old])
    store.versions.expire([old.version], "2026-11-21T00:00:00.000+00:00")
    bundle = storage.export(store, child, tmp_path / "v.tar")
    for _ in range(2):
        storage.import_bundle(other, bundle)
        assert storage.sql("SELECT version, status FROM versions ORDER BY 1", other).fetchall() == [
            ("annotations/geo@1", "whole"),
            ("problems/geo@1", "expired"),
        ]


def rewritten(
    bundle: Path, target: Path, change: dict[str, bytes | None], rename: dict[str, str] | None = None
) -> Path:
    """The bundle with the members' bytes changed (None: left out) or their names."""
    with tarfile.open(bundle) as old, tarfile.open(target, "w") as new:
        for member in old:
            data = old.extractfile(member).read()  # type: ignore[union-attr]
            suffix = next((s for s in change if member.name.endswith(s)), None)
            data = data if suffix is None else change[suffix]
            if data is None:
                continue
            member.name, member.size = (rename or {}).get(member.name, member.name), len(data)
            new.addfile(member, io.BytesIO(data))
    return target


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({".parquet": b"PAR1 something else PAR1"}, "damaged", id="another-table"),
        pytest.param({".parquet": None}, "lacks objects/", id="an-object-left-out"),
        pytest.param({".dir.json": b'{"files":[]}'}, "is not what its name says", id="another-manifest"),
        pytest.param({"bundle.json": b"{}"}, "bundle.json of .* is damaged", id="no-index"),
    ],
)
def test_a_bundle_that_was_changed_is_refused_whole(
    store: Store, other: Store, version: storage.Artifact, tmp_path: Path, change: dict[str, bytes | None], says: str
) -> None:
    bundle = rewritten(storage.export(store, version, tmp_path / "v.tar"), tmp_path / "bad.tar", change)
    with pytest.raises(errors.Damaged, match=says):
        storage.import_bundle(other, bundle)
    assert other.versions.kinds() == []


def test_names_in_a_bundle_cannot_lead_out_of_the_store(store: Store, other: Store, tmp_path: Path) -> None:
    version = store.put("problems", "geo", [{"id": "p1"}])
    bundle = storage.export(store, version, tmp_path / "v.tar")
    with tarfile.open(bundle) as tar:
        index = unseal(tar.extractfile("bundle.json").read(), "x")  # type: ignore[union-attr]
    index["versions"][0]["record"]["digest"] = "../../../../evil" + "0" * 48
    evil = rewritten(bundle, tmp_path / "evil.tar", {"bundle.json": seal(index)})
    with pytest.raises(errors.Damaged, match=r"has a record that is none .*digest"):
        storage.import_bundle(other, evil)
    index["versions"][0]["record"] = version.record() | {"kind": "../evil"}
    with pytest.raises(errors.BadName):
        storage.import_bundle(other, rewritten(bundle, tmp_path / "e2.tar", {"bundle.json": seal(index)}))
    assert not list(tmp_path.rglob("evil*/*"))


@pytest.mark.parametrize("data", [b"", b"not a tar", b"\0" * 10240])
def test_what_is_no_bundle_is_named(other: Store, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(errors.Damaged, match=r"x\.tar is no bundle"):
        storage.import_bundle(other, tmp_path / "x.tar")


def test_rows_are_exported_to_plain_files(store: Store, version: storage.Artifact, tmp_path: Path) -> None:
    assert storage.export(store, "annotations/geo@1", tmp_path / "a.csv").read_text() == "id\na0\n"
    assert storage.export(store, "annotations/geo", tmp_path / "a.jsonl").read_text() == '{"id":"a1"}\n'
    with pytest.raises(errors.BadData, match="is a folder"):
        storage.export(store, version, tmp_path / "a.csv")
    with pytest.raises(errors.BadData, match="cannot write"):
        storage.export(store, version, tmp_path / "no/v.tar")
    assert not list(tmp_path.glob(".*partial"))


def test_a_manifests_digests_cannot_lead_out_of_the_store(
    store: Store, other: Store, version: storage.Artifact, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    manifest = canonical({"files": [{"path": "model", "sha256": "../../../secret", "bytes": 10}]}) + b"\n"
    digest = hashlib.sha256(manifest).hexdigest()
    bundle = storage.export(store, version, tmp_path / "v.tar")
    with tarfile.open(bundle) as tar:
        index = unseal(tar.extractfile("bundle.json").read(), "x")  # type: ignore[union-attr]
    index["versions"][-1]["record"]["digest"] = digest
    evil = rewritten(bundle, tmp_path / "evil.tar", {"bundle.json": seal(index), ".dir.json": manifest})
    renamed = rewritten(evil, tmp_path / "evil2.tar", {}, {version.key: f"objects/{digest[:2]}/{digest}.dir.json"})
    with pytest.raises(errors.Damaged, match="is no manifest"):
        storage.import_bundle(other, renamed)
    assert other.versions.kinds() == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"bytes": "many"}, id="bytes"),
        pytest.param({"created": "yesterday"}, id="created"),
        pytest.param({"code": None}, id="code"),
        pytest.param({"parents": [{"version": "x"}]}, id="parents"),
        pytest.param({"format": "pickle"}, id="format"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused(
    store: Store, other: Store, tmp_path: Path, change: dict[str, object]
) -> None:
    bundle = storage.export(store, store.put("problems", "geo", [{"id": "p1"}]), tmp_path / "v.tar")
    with tarfile.open(bundle) as tar:
        index = unseal(tar.extractfile("bundle.json").read(), "x")  # type: ignore[union-attr]
    index["versions"][0]["record"] |= change
    with pytest.raises(errors.Damaged, match="has a record that is none"):
        storage.import_bundle(other, rewritten(bundle, tmp_path / "bad.tar", {"bundle.json": seal(index)}))
    empty = rewritten(bundle, tmp_path / "empty.tar", {"bundle.json": seal({"versions": [], "expired": []})})
    with pytest.raises(errors.Damaged, match="has a record that is none"):
        storage.import_bundle(other, empty)


def test_an_import_keeps_to_the_columns_that_are_here(store: Store, other: Store, tmp_path: Path) -> None:
    bundle = storage.export(store, store.put("problems", "geo", [{"id": 1}]), tmp_path / "v.tar")
    other.put("problems", "geo", [{"id": "p1"}])
    with pytest.raises(errors.SchemaMismatch, match="id was string, is int64"):
        storage.import_bundle(other, bundle)
