"""A judge: the matcher decides what is certain, a model behind an endpoint the rest, and no failure is ever a score."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from perception_r1.endpoints import Endpoint, Reply
from perception_r1.errors import EndpointError, Malformed, Truncated
from perception_r1.judges.claims import Reading, claim_of, read
from perception_r1.judges.matcher import decide
from perception_r1.judges.parse import read_reply
from perception_r1.judges.part import perception_part
from perception_r1.judges.prompt import rendered
from perception_r1.records import Judgement, Verdict

FACTS = 16  # in one request: a longer list would be cut off at the token limit

Watch = Callable[[int, int], None]
Pair = tuple[str, str]  # a response's perception part, an annotation's text


@dataclass(frozen=True, slots=True)
class Case:
    """A response, and the (id, text) of the annotations that it is judged on."""

    response: str
    annotations: tuple[tuple[str, str], ...]
    truncated: bool = False  # known to have been cut off at the token limit


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: Verdict
    decided_by: str
    evidence: str = ""
    ask_again: bool = False  # a shorter list may help; the endpoint itself has tried again after other failures


_UNREAD = _Found("unknown", "the judge's reply gives no verdict for it", ask_again=True)
_NO_REPLY = _Found("unknown", "the endpoint gave no reply")


@dataclass(frozen=True, slots=True)
class Judge:
    """Who gives verdicts: the matcher first, unless it is switched off, and a model for what that leaves open."""

    endpoint: Endpoint
    matcher: bool = True
    max_tokens: int = 1024

    def judge(self, cases: Sequence[Case], watch: Watch | None = None) -> list[tuple[Judgement, ...]]:
        """For each case a judgement on each of its annotations, in their order; equal pairs are asked once."""
        parts = [None if case.truncated else perception_part(case.response) for case in cases]
        found = self._settled(cases, parts)
        wanted = [
            [(part, text) for _, text in case.annotations] for case, part in zip(cases, parts, strict=True) if part
        ]
        open_lists = _open_lists(wanted, found)
        found |= {pair: _NO_REPLY for pairs in open_lists for pair in pairs}
        found |= dict(self._asked(open_lists, 0, watch))
        again = [[pair for pair in pairs if found[pair].ask_again] for pairs in open_lists]
        found |= dict(self._asked([pairs for pairs in again if pairs], 1, None))
        return [_judgements(case, part, found) for case, part in zip(cases, parts, strict=True)]

    def _settled(self, cases: Sequence[Case], parts: Sequence[str | None]) -> dict[Pair, _Found]:
        """What the matcher is certain of."""
        if not self.matcher:
            return {}
        found: dict[Pair, _Found] = {}
        readings: dict[str, Reading] = {}
        claims = {text: claim_of(text) for case in cases for _, text in case.annotations}
        for case, part in zip(cases, parts, strict=True):
            if not part:
                continue
            reading = readings.get(part) or readings.setdefault(part, read(part))
            for _, text in case.annotations:
                claim = claims[text]
                decision = decide(claim, reading) if claim else None
                if decision:
                    found[part, text] = _Found(decision.verdict, "matcher", decision.evidence)
        return found

    def _asked(
        self, lists: Sequence[Sequence[Pair]], attempt: int, watch: Watch | None
    ) -> Iterator[tuple[Pair, _Found]]:
        """What the model says about each pair, or why that is not known."""
        asked = [rendered([text for _, text in pairs], pairs[0][0], attempt, self.max_tokens) for pairs in lists]
        for done, (number, reply) in enumerate(self.endpoint.ask(request for request, _ in asked), 1):
            by_id, part = asked[number][1], lists[number][0][0]
            yield from (((part, text), found) for text, found in _answers(reply, by_id))
            if watch:
                watch(done, len(asked))


def _open_lists(wanted: Sequence[Sequence[Pair]], found: dict[Pair, _Found]) -> list[list[Pair]]:
    """What is asked in each request: one request a response, each pair in the first list that wants it."""
    seen = set(found)
    lists: list[list[Pair]] = []
    for pairs in wanted:
        fresh = [pair for pair in dict.fromkeys(pairs) if pair not in seen]
        seen.update(fresh)
        lists += [fresh[start : start + FACTS] for start in range(0, len(fresh), FACTS)]
    return lists


def _answers(reply: Reply | EndpointError, by_id: dict[str, str]) -> Iterator[tuple[str, _Found]]:
    if isinstance(reply, EndpointError):
        unreadable = isinstance(reply, Malformed | Truncated)
        failed = _Found("unknown", f"{type(reply).__name__}: {reply}", ask_again=unreadable)
        yield from ((text, failed) for text in by_id.values())
        return
    for id, (verdict, evidence) in read_reply(reply.text, list(by_id)).items():
        yield by_id[id], _UNREAD if verdict == "unknown" else _Found(verdict, "judge", evidence)


def _judgements(case: Case, part: str | None, found: dict[Pair, _Found]) -> tuple[Judgement, ...]:
    if not part:
        return tuple(Judgement(id, "absent", "rule") for id, _ in case.annotations)
    verdicts = [(id, found[part, text]) for id, text in case.annotations]
    return tuple(Judgement(id, said.verdict, said.decided_by, said.evidence) for id, said in verdicts)


def score(judgements: Sequence[Judgement], rule: Literal["signed", "recall"] = "signed") -> float | None:
    """The perception reward: the share that is supported, less (signed) the share that is contradicted.

    None where a verdict is unknown or there is none at all: what that is worth is the caller's to say.
    """
    verdicts = [judgement.verdict for judgement in judgements]
    if not verdicts or "unknown" in verdicts:
        return None
    wrong = verdicts.count("contradicted") if rule == "signed" else 0
    return (verdicts.count("supported") - wrong) / len(verdicts)
