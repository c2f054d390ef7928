"""Versioned artifacts in plain Parquet files and folders: whole or invisible, traceable to their cause.

    import storage
    store = storage.open_store()                                  # .perception-r1/, $PERCEPTION_R1_STORE or a path

    a = store.put("problems", "geometry3k", rows)                 # rows: Arrow, DuckDB, pandas, polars, datasets, dicts
    b = store.put("annotations", "geometry3k", batches, parents=[a], config={"min_support": 2})
    c = store.put("checkpoint", "seed0", Path("out/final"))       # a folder

    store.get("annotations/geometry3k")                           # the latest; a pyarrow.Table, or a folder's path
    store.get("annotations/geometry3k@3")                         # a number;   store.stream(...) to read in batches
    store.tag(b, "published"); store.get("annotations/geometry3k:published")
    store.find(b.cause)                                           # what the same cause has made

    run = storage.stage(store, "annotate", [a], config, body)     # done once for each cause, resumed when killed
    run["annotations/geometry3k"]                                 # body(work) -> {"annotations/geometry3k": rows}

    storage.sql("SELECT type, count(*) FROM annotations GROUP BY ALL", store).df()
    storage.save("FROM annotations", Path("annotations.csv"), store)
    storage.lineage(store, b), storage.why(store, b), storage.diff(store, "annotations/x@1", "annotations/x@2")
    storage.verify(store), storage.gc(store), storage.du(store)
    storage.export(store, b, Path("b.tar")), storage.import_bundle(other_store, Path("b.tar"))

`docs/store.md` shows the layout on disk; `storage.errors` draws the tree of what can be refused.
"""

from storage.artifact import Artifact, Parent, Ref
from storage.bucket import Bucket
from storage.bundle import export, import_bundle
from storage.care import Collection, Finding, Usage, du, gc, verify
from storage.catalog import save, sql, write_database
from storage.diff import Diff, diff
from storage.errors import StoreError
from storage.joint import Combination, constants, joint
from storage.lineage import Change, Lineage, Why, lineage, why
from storage.logs import Log
from storage.provenance import Code, code_of
from storage.records import artifacts
from storage.runs import Run, Work, stage
from storage.store import Store, cause_of, open_store

__all__ = [
    "Artifact",
    "Bucket",
    "Change",
    "Code",
    "Collection",
    "Combination",
    "Diff",
    "Finding",
    "Lineage",
    "Log",
    "Parent",
    "Ref",
    "Run",
    "Store",
    "StoreError",
    "Usage",
    "Why",
    "Work",
    "artifacts",
    "cause_of",
    "code_of",
    "constants",
    "diff",
    "du",
    "export",
    "gc",
    "import_bundle",
    "joint",
    "lineage",
    "open_store",
    "save",
    "sql",
    "stage",
    "verify",
    "why",
    "write_database",
]
