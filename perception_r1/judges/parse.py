"""What the judge's reply says about each id that it was asked for; whatever it does not plainly say is unknown.

The wire format is one JSON object, and nothing around it:

    {"verdicts": [{"id": "k1", "verdict": "supported", "evidence": "Bar A is 7"},
                  {"id": "k2", "verdict": "absent", "evidence": ""}]}

`verdict` is supported, contradicted or absent; `evidence` is a quotation from the response and may be left out. An id
that has two entries has no verdict, even where they say the same.
"""

import json
from collections.abc import Sequence
from typing import Any, get_args

from perception_r1.records import Verdict

_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_UNKNOWN: tuple[Verdict, str] = ("unknown", "")


def parse_reply(reply: str, ids: Sequence[str]) -> dict[str, Verdict]:
    """A verdict for exactly the ids: the one that the reply states, else "unknown"."""
    return {id: verdict for id, (verdict, _) in read_reply(reply, ids).items()}


def read_reply(reply: str, ids: Sequence[str]) -> dict[str, tuple[Verdict, str]]:
    """A verdict and its evidence for exactly the ids; ("unknown", "") where the reply does not state one."""
    said: dict[str, tuple[Verdict, str]] = {}
    for entry in _entries(reply):
        id = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(id, str):
            continue
        said[id] = _UNKNOWN if id in said else _stated(entry)
    return {id: said.get(id, _UNKNOWN) for id in ids}


def _stated(entry: dict[str, Any]) -> tuple[Verdict, str]:
    verdict, evidence = entry.get("verdict"), entry.get("evidence", "")
    if verdict not in _VERDICTS or not isinstance(evidence, str):
        return _UNKNOWN
    # a lone surrogate is legal JSON and cannot be stored
    return verdict, evidence.encode("utf-8", "replace").decode("utf-8")


def _entries(reply: str) -> list[Any]:
    """The entries of a reply in the format, else none."""
    verdicts = object_of(reply).get("verdicts")
    return verdicts if isinstance(verdicts, list) else []


def object_of(reply: str) -> dict[str, Any]:
    """What a reply says that is one JSON object and nothing else; empty where it is not."""
    try:
        said = _READER.decode(reply)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that says each thing once; json alone would let the last of two win."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is there twice")
    return made


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_READER = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_constant=_no_number)
