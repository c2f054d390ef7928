"""Responses to items whose answers are secret, as the official evaluation takes them; no score is made up.

mathvista   {"<pid>": {"pid", "response", "extraction", "prediction"}}
mmmu        {"<id>": "<letter or answer>"}            a response without an answer is ""
others      {"<id>": {"response", "answer"}}
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]


def submission(benchmark: str, rows: Iterable[Row]) -> dict[str, Any]:
    """The responses to the untouched items, by the ids of the official data."""
    written: Callable[[Row], Any] = FORMATS.get(benchmark, _plain)
    kept = (row for row in rows if row["condition"] == "full" and not row["sample"])
    return {row["item"].removeprefix(f"{benchmark}-"): written(row) for row in kept}


def _mathvista(row: Row) -> dict[str, Any]:
    """What the official score script reads: an extraction, and the choice's text as the prediction."""
    answer = row["value"] or ""
    letters = dict(zip("ABCDEFGHIJ", row["choices"], strict=False))
    pid = row["item"].removeprefix("mathvista-")
    return {"pid": pid, "response": row["response"], "extraction": answer, "prediction": letters.get(answer, answer)}


def _mmmu(row: Row) -> str:
    return row["value"] or ""


def _plain(row: Row) -> dict[str, Any]:
    return {"response": row["response"], "answer": row["value"]}


FORMATS: Mapping[str, Callable[[Row], Any]] = {"mathvista": _mathvista, "mmmu": _mmmu}
