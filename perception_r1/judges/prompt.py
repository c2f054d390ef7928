"""The request that is put to a judge model: the rubric, the open facts, and the response behind a fence."""

import functools
import hashlib
import json
import re
import string
from collections.abc import Sequence
from pathlib import Path

from perception_r1.endpoints import Json, Request

_PROMPTS = Path(__file__).parent / "prompts"
RUBRICS = tuple(sorted(path.stem for path in _PROMPTS.glob("judge*.txt")))

# Marks by which chat templates tell who speaks: inside a response they would be read as such by the server's tokenizer.
# "｜" is how DeepSeek's and Hunyuan's write theirs.
_ROLES = re.compile(
    r"<(?=[|｜]|/?(?i:s|start_of_turn|end_of_turn|bos|eos|seed:[a-z_]+)>)"
    r"|\[(?=/?(?i:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|gMASK)\])"
)

SCHEMA: Json = {
    "type": "object",
    "properties": {
        "verdicts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "verdict": {"type": "string", "enum": ["supported", "contradicted", "absent"]},
                    "evidence": {"type": "string"},
                },
                "required": ["id", "verdict", "evidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["verdicts"],
    "additionalProperties": False,
}


@functools.cache
def _template(name: str) -> str:
    return (_PROMPTS / name).read_text(encoding="utf-8").strip()


@functools.cache
def prompt_digest(prompt: str = "judge") -> str:
    """What identifies the wording that a judge is asked with, for the record of what judged."""
    return hashlib.sha256(f"{_template(f'{prompt}.txt')}\0{_template('case.txt')}".encode()).hexdigest()


def rendered(
    facts: Sequence[str], part: str, attempt: int, max_tokens: int, prompt: str = "judge", backwards: bool = False
) -> tuple[Request, dict[str, str]]:
    """The request for a verdict on each fact, and the fact behind each id that it lists.

    The fence and the ids follow from all that is asked, the response too: who writes the response cannot know them.
    The facts come in an order of the request's own, so that no fact always comes first.
    """
    shown = _harmless(part)
    nonce = _nonce(shown, facts, attempt)
    mark = int(nonce, 16)
    order = sorted(facts, key=lambda fact: _number(fact) ^ mark, reverse=backwards)
    by_id = {f"k{nonce[:3]}{number}": fact for number, fact in enumerate(order, 1)}
    lines = [f'{{"id": "{id}", "fact": {_quoted(fact)}}}' for id, fact in by_id.items()]
    text = _case().substitute(facts="\n".join(lines), nonce=nonce, response=shown, ids=", ".join(by_id))
    messages = ({"role": "system", "content": _template(f"{prompt}.txt")}, {"role": "user", "content": text})
    return Request(messages, max_tokens=max_tokens, schema=SCHEMA), by_id


PAIR_SCHEMA: Json = {
    "type": "object",
    "properties": {"better": {"type": "string", "enum": ["first", "second", "same"]}},
    "required": ["better"],
    "additionalProperties": False,
}


def rendered_pair(facts: Sequence[str], first: str, second: str, max_tokens: int) -> Request:
    """The request for which of two responses agrees better with the facts, each behind a fence of its own."""
    one, two = _harmless(first), _harmless(second)
    nonce = _nonce(f"{one}\0{two}", facts, 0)
    listed = "\n".join(f'{{"fact": {_quoted(fact)}}}' for fact in facts)
    template = string.Template(_template("pair-case.txt"))
    text = template.substitute(facts=listed, nonce=nonce, first=one, second=two)
    messages = ({"role": "system", "content": _template("pair.txt")}, {"role": "user", "content": text})
    return Request(messages, max_tokens=max_tokens, schema=PAIR_SCHEMA)


@functools.cache
def _case() -> string.Template:
    return string.Template(_template("case.txt"))


@functools.lru_cache(1 << 16)
def _quoted(fact: str) -> str:
    """A fact as JSON; the responses to a problem are judged on the same facts."""
    return json.dumps(_harmless(fact), ensure_ascii=False)


@functools.lru_cache(1 << 16)
def _number(fact: str) -> int:
    """A number that a fact has in every request: the request's own mark puts the facts in its own order."""
    return int(_digest(fact), 16)


def _harmless(text: str) -> str:
    """The text with the marks of chat templates broken and without what cannot be sent."""
    sendable = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    if "<" not in sendable and "[" not in sendable:
        return sendable
    return _ROLES.sub(lambda mark: f"{mark[0]} ", sendable)


def _nonce(part: str, facts: Sequence[str], attempt: int) -> str:
    """A mark that the response does not bear."""
    nonce = _digest(prompt_digest(), str(attempt), *facts, part)
    while nonce in part:
        nonce = _digest(nonce)
    return nonce


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
