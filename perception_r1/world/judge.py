"""The judge of the embedded world: it reads the prompt that a judge model gets, and replies as one does.

It reads loosely, sentence by sentence: a name, and the number nearest to it. It shares no code with the matcher, so
that `validate` measures two readers and not one twice, and it is no better than that: what it gets wrong is counted.
"""

import functools
import json
import re

from perception_r1.endpoints import Request
from perception_r1.records import Verdict

_FACT = re.compile(r'^\{"id": .*\}$', re.MULTILINE)
_PAIR_FACT = re.compile(r'^\{"fact": .*\}$', re.MULTILINE)
_MARK = re.compile(r"bear the mark (\w+),")
_PAIR = re.compile(
    r"^(?P<mark>\w+)a BEGIN\n(?P<first>.*)\n(?P=mark)a END\n(?P=mark)b BEGIN\n(?P<second>.*)\n(?P=mark)b END$",
    re.DOTALL | re.MULTILINE,
)
_NAME = re.compile(r"(?i:\b(?:bar|column|angle|side|segment|triangle)s? )([A-Za-z0-9]{1,3})\b|\b([A-Z]{1,3})\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_SENTENCE = re.compile(
    r"(?<=[.;!?])\s+|\n+|,\s+(?=(?:and\s+)?(?:bar|column|the|angle|[A-Z]))|\s+(?:and|while)\s+(?=bar|the)"
)
_DOUBT = re.compile(
    r"(?i:\b(?:if|maybe|perhaps|might|could|may|either|or|probably|possibl[ey]|about|around|roughly|guess|suppose"
    r"|between|unsure)\b)|\?|[\"<>{}+]|\d\s*-\s*\d|\b(?:taller|shorter|more|less|sum|difference)\b"
)
_DENIAL = re.compile(r"(?i:\b(?:not|never|no)\b|n't\b)|≠|\\ne")
_RETRACTION = re.compile(r"(?i:\b(?:wait|actually|correction|sorry|scratch|mistake)\b)")
_SIGNS = str.maketrans({"*": "", "$": "", "`": "", "∠": " angle ", "°": " degrees"})


def reply(request: Request) -> str:
    """The verdicts on the facts of a judge's prompt, or which of two responses is better, in the wire format."""
    prompt = str(request.messages[-1]["content"])
    if pair := _PAIR.search(prompt):
        return json.dumps({"better": _better(prompt, pair["first"], pair["second"])})
    facts, response = _case(prompt)
    verdicts = []
    for fact in facts:
        verdict, evidence = _verdict(fact["fact"], response)
        verdicts.append({"id": fact["id"], "verdict": verdict, "evidence": evidence})
    return json.dumps({"verdicts": verdicts}, ensure_ascii=False)


def weak_reply(request: Request) -> str:
    """What a weak judge replies, for trying the gates: a fact is supported where its words stand in the response."""
    facts, response = _case(str(request.messages[-1]["content"]))
    stands = {fact["id"]: fact["fact"].rstrip(". ").lower() in response.lower() for fact in facts}
    entries = [{"id": id, "verdict": "supported" if found else "absent"} for id, found in stands.items()]
    return json.dumps({"verdicts": entries})


def _case(prompt: str) -> tuple[list[dict[str, str]], str]:
    """The facts and the response that a prompt shows."""
    mark = _MARK.search(prompt)
    if not mark:
        return [], ""
    before, _, after = prompt.partition(f"\n{mark[1]} BEGIN\n")
    return [json.loads(line) for line in _FACT.findall(before)], after.rpartition(f"\n{mark[1]} END")[0]


def _better(prompt: str, first: str, second: str) -> str:
    """Which of two responses states more of the facts, less what it contradicts."""
    facts = [json.loads(line)["fact"] for line in _PAIR_FACT.findall(prompt.partition(" BEGIN\n")[0])]
    one, two = (sum(_POINTS.get(_verdict(fact, text)[0], 0) for fact in facts) for text in (first, second))
    return "first" if one > two else "second" if two > one else "same"


_POINTS = {"supported": 1, "contradicted": -1}


def _verdict(fact: str, response: str) -> tuple[Verdict, str]:
    wanted = _readings(_cleaned(fact))
    if not wanted:
        return _repeated(fact, response)
    ((names, number, _),) = wanted
    values: dict[float, str] = {}
    denied: dict[float, str] = {}
    for sentence in _SENTENCE.split(_cleaned(response)):
        if _RETRACTION.search(sentence):
            values.clear()
        for name, value, is_denied in _readings(sentence):
            if name == names:
                (denied if is_denied else values)[value] = sentence
    return _weighed(number, values, denied)


def _weighed(number: float, values: dict[float, str], denied: dict[float, str]) -> tuple[Verdict, str]:
    """The verdict from all values that were stated and denied of one thing."""
    if list(values) == [number] and number not in denied:
        return "supported", values[number]
    if values:
        return "contradicted", next(iter(values.values()))
    return ("contradicted", denied[number]) if number in denied else ("absent", "")


@functools.lru_cache(1 << 12)
def _readings(sentence: str) -> tuple[tuple[str, float, bool], ...]:
    """The one (name, number, denied) that a sentence states, if it is plain enough."""
    names = [name[1] or name[2] for name in _NAME.finditer(sentence)]
    rest = _NAME.sub(" ", sentence)
    numbers = _NUMBER.findall(rest)
    if len({_same(name) for name in names}) == 1 and len(set(numbers)) == 1 and not _DOUBT.search(sentence):
        return ((_same(names[0]), float(numbers[0]), bool(_DENIAL.search(sentence))),)
    return ()


def _same(name: str) -> str:
    """AB is BA."""
    return min(name.upper(), name.upper()[::-1])


def _cleaned(text: str) -> str:
    return _WORD.sub(lambda word: str(_WORDS.index(word[0].lower())), text.translate(_SIGNS))


def _repeated(fact: str, response: str) -> tuple[Verdict, str]:
    """For a fact without a number: whether a sentence says it in its own words."""
    wanted = _letters(fact)
    for sentence in _SENTENCE.split(response):
        if wanted and wanted in _letters(sentence) and not _DOUBT.search(sentence):
            return "supported", sentence
        if _DENIAL.search(sentence) and wanted == _letters(_DENIAL.sub("", sentence)):
            return "contradicted", sentence
    return "absent", ""


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
