"""A judge: the matcher decides what is certain, a model behind an endpoint the rest, and no failure is ever a score."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from perception_r1 import sections
from perception_r1.endpoints import Endpoint, Reply, Request, open_endpoint
from perception_r1.errors import EndpointError, Malformed, Truncated
from perception_r1.judges.cache import Found, VerdictCache, digest
from perception_r1.judges.claims import claim_of, read
from perception_r1.judges.matcher import decide
from perception_r1.judges.parse import read_reply
from perception_r1.judges.part import perception_part
from perception_r1.judges.prompt import prompt_digest, rendered
from perception_r1.judges.tally import Tally
from perception_r1.records import Asking, Judgement, Verdict

FACTS = 16  # in one request: a longer list would be cut off at the token limit
MAX_CHARACTERS = 20_000  # of a response's perception part, about 5,000 tokens; the rest is not judged

Watch = Callable[[int, int], None]
Kept = dict[str, dict[str, Found]]  # by a response's perception part and an annotation's text


class Listed(NamedTuple):
    """The annotations that one request asks about; `place` is that of the part among all."""

    place: int
    part: str
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Case:
    """A response, and the (id, text) of the annotations that it is judged on."""

    response: str
    annotations: tuple[tuple[str, str], ...]
    truncated: bool = False  # known to have been cut off at the token limit

    def __hash__(self) -> int:
        return hash(self.response)  # which is made once; that of the annotations would be made at every look-up


_UNREAD = Found("unknown", "the judge's reply gives no verdict for it", ask_again=True)
_NO_REPLY = Found("unknown", "the endpoint gave no reply")


@dataclass(frozen=True, slots=True)
class Judge:
    """Who gives verdicts: the matcher first, unless it is switched off, and a model for what that leaves open."""

    endpoint: Endpoint
    matcher: bool = True
    max_tokens: int = 1024
    prompt: str = "judge"  # one of the rubrics in prompts/
    max_characters: int = MAX_CHARACTERS
    facts: int = FACTS
    order: Literal["mixed", "reversed"] = "mixed"  # of the facts in a request
    cache: VerdictCache | None = None
    tally: Tally = field(default_factory=Tally, compare=False)

    @property
    def digest(self) -> str:
        """What identifies this judge: all that decides what it says, but for the order of the facts."""
        return _digest(self.endpoint.model, self.prompt, self.matcher, self.max_tokens, self.max_characters, self.facts)

    def fresh(self) -> "Judge":
        """The same judge without what it said before, and with a tally of its own."""
        return replace(self, cache=None, tally=Tally())

    def verdicts(
        self, response: str, annotations: Sequence[tuple[str, str]], truncated: bool = False
    ) -> dict[str, Verdict]:
        """A verdict for exactly the ids of the annotations."""
        (told,) = self.judge([Case(response, tuple(annotations), truncated)])
        return {judgement.annotation: judgement.verdict for judgement in told}

    def judge(self, cases: Sequence[Case], watch: Watch | None = None) -> list[tuple[Judgement, ...]]:
        """For each case a judgement on each of its annotations, in their order; equal pairs are asked once."""
        known, kept = self._remembered(cases) if self.cache else ({}, {})
        fresh = [case for case in cases if case not in known]
        self.tally.remembered(sum(len(case.annotations) for case in cases if case in known))
        told = dict(zip(fresh, self._judged(fresh, kept, watch), strict=True)) if fresh else {}
        if self.cache:
            self.cache.remember(self.digest, told)
        return [known[case] if case in known else told[case] for case in cases]

    def _remembered(self, cases: Sequence[Case]) -> tuple[dict[Case, tuple[Judgement, ...]], Kept]:
        """The cases on which everything was judged before, and what was judged of the others."""
        assert self.cache
        known = self.cache.recent(self.digest, cases)
        parts = {case: self.part(case) for case in cases if case not in known}
        kept = self.cache.find(self.digest, {part for part in parts.values() if part})
        whole: dict[Case, tuple[Judgement, ...]] = {}
        for case, part in parts.items():
            told = kept.get(part or "")
            if told and all(text in told for _, text in case.annotations):
                whole[case] = tuple([Judgement(id, *told[text][:4]) for id, text in case.annotations])
        self.cache.remember(self.digest, whole)
        return known | whole, kept

    def _judged(self, cases: Sequence[Case], kept: Kept, watch: Watch | None) -> list[tuple[Judgement, ...]]:
        """Judgements on cases of which something is not known yet."""
        parts = [self.part(case) for case in cases]
        wanted: dict[str, dict[str, None]] = {}  # of each part all that is to be known, once
        for case, part in zip(cases, parts, strict=True):
            if part:
                wanted.setdefault(part, {}).update(dict.fromkeys([text for _, text in case.annotations]))
        found: Kept = {part: dict(kept.get(part, {})) for part in wanted}
        self.tally.began(
            sum(len(case.annotations) for case in cases),
            settled=sum(len(case.annotations) for case, part in zip(cases, parts, strict=True) if not part),
            cached=sum(len(told.keys() & wanted[part].keys()) for part, told in found.items() if told),
            different=sum(map(len, wanted.values())),
        )
        asked = self._ask(self._open(wanted, found), found, 0, watch, len(wanted))
        self._ask(_again(asked, found), found, 1)
        if watch:
            watch(len(wanted), len(wanted))
        if self.cache:
            self.cache.flush()
        return [_judgements(case, part, found) for case, part in zip(cases, parts, strict=True)]

    def close(self) -> None:
        """Ends the endpoint's connections, and the cache."""
        self.endpoint.close()
        if self.cache:
            self.cache.close()

    def part(self, case: Case) -> str | None:
        """What of a response is judged; None or empty where there is nothing."""
        part = None if case.truncated else perception_part(case.response)
        return part[: self.max_characters] if part else part

    def _open(self, wanted: Mapping[str, Iterable[str]], found: Kept) -> Iterator[Listed]:
        """What is asked in each request: what is left open of one part, whichever responses it stands in.

        A part is matched when its turn has come, while the model reads those before it.
        """
        for place, (part, texts) in enumerate(wanted.items()):
            fresh = [text for text in texts if text not in found[part]]
            if self.matcher and fresh:
                told = _matched(part, fresh)
                found[part].update(told)
                self.tally.matched(len(told))
                self._keep(part, told)
                fresh = [text for text in fresh if text not in told]
            for start in range(0, len(fresh), self.facts):
                yield Listed(place, part, fresh[start : start + self.facts])

    def _keep(self, part: str, told: dict[str, Found]) -> None:
        if self.cache and told:
            self.cache.keep(self.digest, part, told)

    def _ask(
        self, lists: Iterable[Listed], found: Kept, attempt: int, watch: Watch | None = None, total: int = 0
    ) -> list[Listed]:
        """Asks the model about the lists as they are made, and adds what it says; the lists that were asked about."""
        asked: list[Listed] = []
        by_ids: list[dict[str, str]] = []
        backwards = self.order == "reversed"

        def requests() -> Iterator[Request]:
            for listed in lists:
                request, by_id = rendered(listed.texts, listed.part, attempt, self.max_tokens, self.prompt, backwards)
                asked.append(listed)
                by_ids.append(by_id)
                yield request

        waiting = requests()
        for done, (number, reply) in enumerate(self.endpoint.ask(waiting), 1):
            part, told = asked[number].part, dict(self._answers(reply, by_ids[number]))
            self.tally.answered(reply, [said.verdict for said in told.values()], attempt)
            self._keep(part, told)
            found[part].update(told)
            if watch:
                watch(max(0, asked[-1].place + 1 - (len(asked) - done)), total)  # less those under way
        deque(waiting, maxlen=0)  # what an endpoint that fell silent did not take is matched all the same
        for listed in asked:
            for text in listed.texts:
                found[listed.part].setdefault(text, _NO_REPLY)
        return asked

    def _answers(self, reply: Reply | EndpointError, by_id: dict[str, str]) -> Iterator[tuple[str, Found]]:
        if isinstance(reply, EndpointError):
            unreadable = isinstance(reply, Malformed | Truncated)
            failed = Found("unknown", f"{type(reply).__name__}: {reply}", ask_again=unreadable)
            yield from ((text, failed) for text in by_id.values())
            return
        took = (reply.latency_s, reply.prompt_tokens, reply.completion_tokens, len(by_id))
        asked = Asking(self.digest, self.endpoint.model, prompt_digest(self.prompt), *took)
        for id, (verdict, evidence) in read_reply(reply.text, list(by_id)).items():
            yield by_id[id], _UNREAD if verdict == "unknown" else Found(verdict, "judge", evidence, asked)


def open_judge(endpoint: sections.Endpoint, judging: sections.Judging, cache: Path | None = None) -> Judge:
    """The judge that a configuration names; with a cache it remembers."""
    return Judge(
        open_endpoint(endpoint),
        matcher=judging.matcher,
        max_tokens=endpoint.max_tokens,
        prompt=judging.prompt,
        max_characters=judging.max_characters,
        facts=judging.facts,
        cache=VerdictCache(cache) if cache else None,
    )


def _matched(part: str, texts: Sequence[str]) -> dict[str, Found]:
    """What the matcher is certain of."""
    claims = [(text, claim) for text in texts if (claim := claim_of(text))]
    if not claims:
        return {}
    reading = read(part)
    decided = [(text, decide(claim, reading)) for text, claim in claims]
    return {text: Found(said.verdict, "matcher", said.evidence) for text, said in decided if said}


def _again(asked: Iterable[Listed], found: Kept) -> Iterator[Listed]:
    """What of the lists is worth another request."""
    for listed in asked:
        texts = [text for text in listed.texts if found[listed.part][text].ask_again]
        if texts:
            yield Listed(listed.place, listed.part, texts)


def _judgements(case: Case, part: str | None, found: Kept) -> tuple[Judgement, ...]:
    if not part:
        return tuple(Judgement(id, "absent", "rule") for id, _ in case.annotations)
    told = [(id, found[part][text]) for id, text in case.annotations]
    return tuple(Judgement(id, said.verdict, said.decided_by, said.evidence, said.asked) for id, said in told)


@functools.lru_cache
def _digest(model: str, prompt: str, *rules: int) -> str:
    return digest((model, prompt_digest(prompt), *map(str, rules), _rules()))


@functools.cache
def _rules() -> str:
    """What identifies the code that decides: reading, matching, parsing."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return digest([file.read_text(encoding="utf-8") for file in files])
