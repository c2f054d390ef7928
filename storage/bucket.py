"""The same keys in an object store (S3, GCS, Azure, MinIO; memory in tests) through obstore, with a local cache.

    import obstore
    place = Bucket(obstore.store.S3Store("my-bucket", prefix="perception-r1"), cache=Path("/scratch/p-r1"))
    store = storage.open_store(place)

Publishing is a put-if-absent (`If-None-Match: *`). What is immutable (objects, records) is read through the cache, so
DuckDB and every other reader still see plain files; what moves (tags) is read from the bucket each time.
Locks are of this machine only: two machines that run one unit of work at once both run it, and the first record wins.
"""

import uuid
from pathlib import Path
from typing import Any

from storage.errors import writing

IMMUTABLE = ("objects/", "versions/", "runs/", "expired/")


class Bucket:
    """A Place in an object store; `cache` is a folder of this machine and may be lost at any time."""

    def __init__(self, bucket: Any, cache: Path) -> None:
        self.bucket = bucket
        self.scratch = cache

    def __repr__(self) -> str:
        return f"{self.bucket!r} (cache {self.scratch})"

    def publish(self, key: str, source: Path, *, keep_source: bool = False) -> bool:
        import obstore

        try:
            obstore.put(self.bucket, key, source, mode="create")
            fresh = True
        except obstore.exceptions.AlreadyExistsError:
            fresh = False
        if not keep_source:
            source.unlink()
        return fresh

    def replace(self, key: str, source: Path) -> None:
        import obstore

        obstore.put(self.bucket, key, source)
        source.unlink()
        (self.scratch / key).unlink(missing_ok=True)

    def local(self, key: str, *, fresh: bool = False) -> Path:
        import obstore

        path = self.scratch / key
        if path.exists() and key.startswith(IMMUTABLE) and not fresh:
            return path
        with writing(self.scratch):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
            with partial.open("wb") as file:
                for chunk in obstore.get(self.bucket, key).stream():
                    file.write(chunk)
            partial.replace(path)
        return path

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def names(self, prefix: str) -> list[str]:
        import obstore

        found = obstore.list_with_delimiter(self.bucket, f"{prefix}/" if prefix else None)
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def size(self, key: str) -> int:
        import obstore

        return int(obstore.head(self.bucket, key)["size"])

    def age_s(self, key: str, now: float) -> float:
        import obstore

        return now - float(obstore.head(self.bucket, key)["last_modified"].timestamp())

    def touch(self, key: str) -> None:
        import obstore

        obstore.put(self.bucket, key, self.local(key))

    def remove(self, key: str) -> None:
        import obstore

        obstore.delete(self.bucket, key)
        (self.scratch / key).unlink(missing_ok=True)
