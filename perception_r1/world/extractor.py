"""The embedded extractor: reads a chain of thought and lists what it says about the bars, in canonical words.

    Column A measures seven. So A is taller than C.
    {"annotations": [{"text": "Bar A is 7.", "type": "length"},
                     {"text": "Bar A is taller than bar C.", "type": "relation"}]}

Like a real one it also lists deductions; taking those out is the work of hygiene.
"""

import json
import re

from perception_r1.endpoints import Request
from perception_r1.errors import Refused
from perception_r1.world.embedded import text_of
from perception_r1.world.teacher import WORDS

NUMBER = rf"(?P<n>\d+|{'|'.join(WORDS)})\b"
BAR = r"(?:[Bb]ar |[Cc]olumn )?(?P<bar>[A-C])\b"
NO_COMPARISON = r"(?! (?:units? )?(?:taller|shorter|more|less))"
HEIGHTS = [
    re.compile(pattern)
    for pattern in (
        rf"{BAR}(?:\*\*)?(?: is|:| measures| reaches| stands| equals| has)(?: a height of)? {NUMBER}{NO_COMPARISON}",
        rf"[Hh]eight of {BAR} (?:is|equals|=) {NUMBER}",
        rf"{NUMBER} units for {BAR}",
        rf"{BAR}, its top is at {NUMBER}",
        rf"h_{{?(?P<bar>[A-C])}}? = {NUMBER}",
    )
]
TALLER = re.compile(r"\b(?:[Bb]ar )?([A-C]) is taller than (?:bar )?([A-C])\b")
TALLEST = re.compile(r"\b([A-C]) is the tallest\b|\btallest bar is (?:therefore )?([A-C])\b")
DIFFERENCE = re.compile(r"[Dd]ifference is (\d) - (\d) = (-?\d)")
RESPONSE = re.compile(r"<response>\n?(.*?)\n?</response>", re.DOTALL)


def reply(request: Request) -> str:
    """The JSON that the extraction schema asks for; raises Refused where there is no response to read."""
    responses = RESPONSE.findall(text_of(request, "user"))
    if not responses:
        raise Refused("the embedded extractor found no <response> in the prompt")
    thought = responses[-1].partition("<answer>")[0]
    found = [{"text": text, "type": kind} for text, kind in (*heights(thought), *_deductions(thought))]
    return json.dumps({"annotations": found})


def heights(thought: str) -> list[tuple[str, str]]:
    """The statements of a bar's height, in the order in which they stand."""
    matches = [match for pattern in HEIGHTS for match in pattern.finditer(thought)]
    said = [(match.start(), f"Bar {match['bar']} is {_digits(match['n'])}.") for match in matches]
    return [(text, "length") for text in dict.fromkeys(text for _, text in sorted(said))]


def _digits(number: str) -> str:
    return str(WORDS.index(number)) if number in WORDS else number


def _deductions(thought: str) -> list[tuple[str, str]]:
    """Some of what the response concludes."""
    taller = [(f"Bar {tall} is taller than bar {short}.", "relation") for tall, short in TALLER.findall(thought)]
    tallest = [(f"Bar {one or other} is the tallest.", "relation") for one, other in TALLEST.findall(thought)]
    differences = [(f"The difference is {a} - {b} = {d}.", "other") for a, b, d in DIFFERENCE.findall(thought)]
    return [*taller, *tallest, *differences]
