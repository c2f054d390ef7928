"""Verdicts that were given before: one SQLite file, which survives restarts and is shared by several processes.

Rows are only ever added, so two processes that judge the same response do not meet: both rows say the same. An unknown
verdict is never kept. The key holds the judge's digest (model, wording, rules), so that no judge answers for another.
"""

import hashlib
import json
import sqlite3
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perception_r1.errors import PerceptionError
from perception_r1.records import Asking, Judgement, Verdict

if TYPE_CHECKING:
    from perception_r1.judges.llm import Case

BUSY_S = 30.0  # for another process to finish its write
BUFFERED = 256  # rows; a run that is killed loses no more
RECENT = 1 << 16  # cases that are kept in memory, too
KNOWN: tuple[Verdict, ...] = ("supported", "contradicted", "absent")
_SQL = Path(__file__).parent / "sql"
_NOBODY = (None,) * 7


class Found(NamedTuple):
    """What is known about one annotation in one response, and who decided it."""

    verdict: Verdict
    decided_by: str
    evidence: str = ""
    asked: Asking | None = None
    ask_again: bool = False  # a shorter list may help; the endpoint itself has tried again after other failures


class VerdictCache:
    """The file; threads of a process may share one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        self._rows: list[tuple[object, ...]] = []
        self._recent: dict[tuple[str, Case], tuple[Judgement, ...]] = {}
        try:
            self._file = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.executescript((_SQL / "create.sql").read_text())
        except sqlite3.Error as error:
            raise PerceptionError(
                f"the verdict cache {path} cannot be opened: {error}; delete it, nothing but time is lost"
            ) from None
        self._find, self._keep = ((_SQL / f"{name}.sql").read_text() for name in ("find", "keep"))

    def recent(self, judge: str, cases: Iterable["Case"]) -> dict["Case", tuple[Judgement, ...]]:
        """The judgements on those of the cases that this process has seen."""
        found = ((case, self._recent.get((judge, case))) for case in cases)
        return {case: told for case, told in found if told is not None}

    def remember(self, judge: str, told: Mapping["Case", tuple[Judgement, ...]]) -> None:
        """Keeps judgements without an unknown one in memory."""
        if len(self._recent) + len(told) > RECENT:
            self._recent = {}
        known = {c: each for c, each in told.items() if all(said.verdict != "unknown" for said in each)}
        self._recent |= {(judge, case): each for case, each in known.items()}

    def find(self, judge: str, parts: Iterable[str]) -> dict[str, dict[str, Found]]:
        """By part and annotation, what the judge is known to say."""
        by_key = {_key(judge, part): part for part in parts}
        found: dict[str, dict[str, Found]] = {}
        for (key, *asked), facts in self._rows_of(list(by_key)):
            request = Asking(*asked) if asked[0] else None
            decided_by = "judge" if request else "matcher"
            plain: dict[str, Found] = {known: Found(known, decided_by, "", request) for known in KNOWN}
            try:
                told = {
                    text: plain[said] if type(said) is str else plain[said[0]]._replace(evidence=said[1])
                    for text, said in facts.items()
                }
            except (AttributeError, LookupError, TypeError):  # a damaged row: then the judge is asked
                print(f"{self.path} holds a row that is no verdicts; it is left out", file=sys.stderr)
                continue
            part = by_key[key]
            found[part] = found[part] | told if part in found else told
        return found

    def _rows_of(self, keys: list[str]) -> list[tuple[tuple[Any, ...], Any]]:
        """The rows of the keys, and the facts that each one holds."""
        with self._lock:
            self._flush()
            try:
                rows = self._file.execute(self._find, (json.dumps(keys),)).fetchall()
                facts = json.loads(
                    f"[{','.join(row[-1] for row in rows)}]"
                )  # at once: equal annotations are one string
                return [(row[:-1], each) for row, each in zip(rows, facts, strict=True)]
            except (sqlite3.Error, ValueError, TypeError) as error:  # then the judge is asked
                print(f"{self.path} cannot be read: {error}", file=sys.stderr)
                return []

    def keep(self, judge: str, part: str, facts: Mapping[str, Found]) -> None:
        """Adds what is known about a response; the facts of one request, or of none."""
        known = {
            text: [said.verdict, said.evidence] if said.evidence else said.verdict
            for text, said in facts.items()
            if said.verdict != "unknown"
        }
        if not known:
            return
        asked = next(iter(facts.values())).asked
        row = (_key(judge, part), json.dumps(known), *(astuple(asked) if asked else _NOBODY))
        with self._lock:
            self._rows.append(row)
            if len(self._rows) >= BUFFERED:
                self._flush()

    def flush(self) -> None:
        """Writes what was added."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Writes what was added, and ends."""
        with self._lock:
            self._flush()
            self._file.close()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany(self._keep, rows)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:  # a full disk must not end a run: the verdicts are given all the same
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            print(f"{len(rows)} verdicts could not be kept in {self.path}: {error}", file=sys.stderr)


def _key(judge: str, part: str) -> str:
    told = f"{judge}\0{part}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def digest(parts: Sequence[str]) -> str:
    """What identifies a judge, of all that decides its verdicts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
