"""Where versions come from, what came of them, and why two of them differ."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from storage.artifact import Artifact, object_key
from storage.errors import BadData, NotFound
from storage.records import records
from storage.store import AnyRef, Store

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Lineage:
    """A graph around one version: for each version in it, the ones that an arrow leads to."""

    root: str
    direction: Direction
    arrows: dict[str, tuple[str, ...]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrows)

    def dot(self) -> str:
        """The graph for Graphviz, arrows from cause to result."""
        lines = [f'  "{version}";' for version in self.arrows]
        for version, others in self.arrows.items():
            pairs = [(other, version) if self.direction == "up" else (version, other) for other in others]
            lines += [f'  "{cause}" -> "{result}";' for cause, result in pairs]
        return "\n".join(["digraph lineage {", "  rankdir=LR; node [shape=box];", *lines, "}"])


def lineage(store: Store, ref: AnyRef, direction: Direction = "up", depth: int | None = None) -> Lineage:
    """The ancestors ("up") or descendants ("down") of a version, to any depth, nearest first."""
    root = store.at(ref).version
    neighbours = _parents(store) if direction == "up" else _children(store)
    arrows: dict[str, tuple[str, ...]] = {}
    waiting = deque([(root, 0)])
    while waiting:
        version, distance = waiting.popleft()
        if version in arrows:
            continue
        arrows[version] = () if depth is not None and distance >= depth else neighbours(version)
        waiting.extend((other, distance + 1) for other in arrows[version])
    return Lineage(root, direction, arrows)


def _parents(store: Store) -> Any:
    def parents(version: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parent.version for parent in store.at(version).parents))

    return parents


def _children(store: Store) -> Any:
    children: dict[str, dict[str, None]] = {}
    for row in records(store, ["version", "parents"]).sort_by("version").to_pylist():
        for parent in row["parents"] or ():
            children.setdefault(parent, {})[row["version"]] = None
    return lambda version: tuple(children.get(version, ()))


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: its name, and what it was and is (None: absent)."""

    what: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Why:
    """What differs in the causes of two versions. `parents` holds, for each changed parent, why that one differs."""

    before: str
    after: str
    same_content: bool
    parents: tuple[Change, ...]
    config: tuple[Change, ...]
    code: tuple[Change, ...]
    packages: tuple[Change, ...]
    deeper: tuple["Why", ...]

    @property
    def explained(self) -> bool:
        """Whether anything recorded differs; if nothing does and the content differs, the work is not deterministic."""
        return bool(self.parents or self.config or self.code or self.packages)


def why(store: Store, ref: AnyRef, other: AnyRef | None = None, depth: int = 8) -> Why:
    """Which parents, config keys, code and packages differ between `other` (default: the version before) and `ref`.

    Parents that differ are explained in turn, `depth` generations back, each pair once.
    """
    after = store.at(ref)
    if other is None and after.seq == 1:
        raise NotFound(f"{after.version} is the first version; name the one to compare it with")
    before = store.at(other) if other is not None else store.versions.read(after.kind, after.name, after.seq - 1)
    return _why(store, before, after, depth, set())


def _why(store: Store, before: Artifact, after: Artifact, depth: int, explained: set[tuple[str, str]]) -> Why:
    parents = _parent_changes(before, after)
    pairs = [(change.before, change.after) for change in parents if change.before and change.after and depth]
    new = [pair for pair in pairs if pair not in explained]
    explained.update(new)
    return Why(
        before=before.version,
        after=after.version,
        same_content=before.digest == after.digest,
        parents=tuple(parents),
        config=tuple(_changes(_flat(before.config), _flat(after.config))),
        code=tuple(_code_changes(store, before, after)),
        packages=tuple(_changes(_packages(store, before), _packages(store, after))),
        deeper=tuple(_why(store, store.at(was), store.at(now), depth - 1, explained) for was, now in new),
    )


def _parent_changes(before: Artifact, after: Artifact) -> list[Change]:
    """Parents whose content differs, paired by kind and place among the parents of that kind."""
    had, got = _by_place(before), _by_place(after)
    return [
        Change(place, was and was.version, now and now.version)
        for place in dict.fromkeys([*had, *got])
        for was, now in [(had.get(place), got.get(place))]
        if was is None or now is None or was.digest != now.digest
    ]


def _by_place(version: Artifact) -> dict[str, Any]:
    places: dict[str, Any] = {}
    for parent in version.parents:
        kind = parent.version.partition("/")[0]
        count = sum(place.split(" ")[0] == kind for place in places)
        places[kind if not count else f"{kind} {count + 1}"] = parent
    return places


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        flat |= _flat(item, f"{name}.") if isinstance(item, Mapping) and item else {name: item}
    return flat


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if (name in before) != (name in after) or before[name] != after[name]
    ]


def _code_changes(store: Store, before: Artifact, after: Artifact) -> list[Change]:
    """The modules that changed; where they are not known, the commits."""
    if before.code.get("digest") != after.code.get("digest"):
        modules = [_json(store, version.code.get("digest")) for version in (before, after)]
        if all(modules):
            return _changes(*modules)
        return [Change("code digest", before.code.get("digest"), after.code.get("digest"))]
    if before.code.get("digest"):
        return []
    commits = [{key: value for key, value in v.code.items() if key != "digest"} for v in (before, after)]
    return _changes(*commits)


def _packages(store: Store, version: Artifact) -> dict[str, Any]:
    found = _json(store, version.environment)
    return {"python": found.get("python"), **found.get("packages", {})} if found else {}


def _json(store: Store, digest: str | None) -> dict[str, Any]:
    """A JSON object of the store; empty if it was collected."""
    if not digest:
        return {}
    try:
        found: dict[str, Any] = json.loads(store.place.local(object_key(digest)).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadData(f"object {object_key(digest)} is not JSON: run `perception-r1 verify`") from error
    return found
