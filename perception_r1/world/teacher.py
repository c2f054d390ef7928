r"""The embedded teacher: reads the picture's pixels, reasons in words of its own, and is sometimes wrong.

    <think>Let me look at the chart. I count 7 units for bar A. Column C measures four. So A is taller than C.</think>
    <answer>\boxed{yes}</answer>

It knows nothing but the messages. At temperature 1 about one height in eight is misread by one or two, and more the
hotter it is (1.25: 15 %), so that some answers are wrong, and some right answers rest on a wrong reading: what the
steps after it have to cope with.
"""

import base64
import binascii
import hashlib
import io
import random
import re
from dataclasses import dataclass

from perception_r1.endpoints import Request
from perception_r1.errors import Refused
from perception_r1.world.charts import BARS, COLUMN, FLOOR, SIDE, TALLEST, UNIT
from perception_r1.world.demonstrator import layout
from perception_r1.world.embedded import pictures_of, text_of

MISREAD_SHARE = 0.12
OFF_BY = (-2, -1, 1, 2)
WHITE = (255, 255, 255)

ASKED = {
    "cmp": re.compile(r"Is bar ([A-C]) taller than bar ([A-C])\?"),
    "max": re.compile(r"Which bar is the tallest\?"),
    "diff": re.compile(r"How much taller is bar ([A-C]) than bar ([A-C])\?"),
}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OPENINGS = (
    "",
    "Let me look at the chart.",
    "There are three bars in this picture.",
    "I first read the heights off the picture.",
    "The colours do not matter here.",
)
FILLERS = ("", "", "", "Let me double-check that.", "The bars stand on the same floor.", "Next.", "Okay.")
HEIGHTS = (  # {bar}, {n} as a digit, {word} as a word
    "Bar {bar} is {n}.",
    "The height of bar {bar} is {n}.",
    "Bar {bar} reaches a height of {n} units.",
    "I can see that {bar} stands {n} units tall.",
    "Column {bar} measures {word}.",
    "I count {n} units for bar {bar}.",
    "**Bar {bar}**: {n}",
    "Looking at column {bar}, its top is at {n}.",
    "For {bar}, I get $h_{bar} = {n}$.",
    "{bar} has a height of {word} units.",
)
TALLER = (
    "So {tall} is taller than {short}.",
    "Therefore bar {tall} is taller than bar {short}.",
    "{a} {sign} {b}.",
    "Since {a} {sign} {b}, {tall} is the taller one.",
)
TALLEST_IS = (
    "So {tall} is the tallest.",
    "The tallest bar is therefore {tall}.",
    "{tall} has the greatest height.",
    "Hence bar {tall} is the tallest of the three.",
)
DIFFERENCE = (
    "The difference is {a} - {b} = {d}.",
    "So {first} is {d} units taller than {second}.",
    "{a} - {b} = {d}.",
    "Subtracting, ${a} - {b} = {d}$.",
)
EQUAL = ("Both are equally tall.", "{a} = {b}.")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the teacher took from a request: the sort of question, its bars in the order asked, the heights as read."""

    question: str
    bars: tuple[str, ...]
    heights: tuple[int, ...]


def reply(request: Request) -> str:
    """A chain of thought and an answer in the prompt's layout; raises Refused where there is no chart to see."""
    chance = _chance(request)
    reading = read(request, chance)
    of = dict(zip(reading.bars, reading.heights, strict=True))
    conclusion, answer = _concluded(reading, chance)
    said = [_height(bar, of[bar], chance) for bar in chance.sample(reading.bars, len(reading.bars))]
    spaced = [part for sentence in said for part in (sentence, chance.choice(FILLERS))]
    return layout(" ".join(part for part in (chance.choice(OPENINGS), *spaced, conclusion) if part), answer)


def read(request: Request, chance: random.Random) -> Reading:
    """The question and the heights that the teacher believes to see."""
    question, bars = _asked(text_of(request))
    seen = dict(zip(BARS, _heights(_picture(request)), strict=True))
    blur = min(1.0, MISREAD_SHARE * request.temperature)
    return Reading(question, bars, tuple(_blurred(seen[bar], blur, chance) for bar in bars))


def _chance(request: Request) -> random.Random:
    """Chance that follows from the request: from its seed only where a temperature makes it count."""
    seed = request.seed if request.temperature > 0 else None
    seen = "".join([text_of(request), *pictures_of(request)])
    return random.Random(f"{seed} {hashlib.sha256(seen.encode()).hexdigest()}")


def _asked(text: str) -> tuple[str, tuple[str, ...]]:
    """The sort and the bars of the last question in a text: a prompt may show examples before it."""
    found = [(match.start(), sort, match) for sort, asked in ASKED.items() for match in asked.finditer(text)]
    if not found:
        raise Refused("the embedded teacher knows the questions of the embedded world only; name an endpoint of yours")
    _, sort, match = max(found, key=lambda one: one[0])
    return sort, match.groups() or BARS


def _picture(request: Request) -> bytes:
    """The bytes of the last picture."""
    pictures = pictures_of(request)
    if not pictures:
        raise Refused("the embedded teacher was sent no picture")
    try:
        return base64.b64decode(pictures[-1].partition(";base64,")[2], validate=True)
    except binascii.Error:
        raise Refused("the picture is no base64 data URI") from None


def _heights(picture: bytes) -> list[int]:
    """The heights of the columns in units, counted in the pixels of their middles."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(picture)).convert("RGB")
    except OSError:
        raise Refused("the picture cannot be opened") from None
    if image.size != (SIDE, SIDE):
        raise Refused(f"the picture is no chart of the embedded world: {image.size} pixels, not {(SIDE, SIDE)}")
    middles = [place * COLUMN + COLUMN // 2 for place in range(len(BARS))]
    heights = [sum(image.getpixel((x, y)) != WHITE for y in range(FLOOR)) // UNIT for x in middles]
    if max(heights) > TALLEST:
        raise Refused(f"the picture is no chart of the embedded world: a bar of {max(heights)} units")
    return heights


def _blurred(height: int, share: float, chance: random.Random) -> int:
    """A height as it is read: now and then another one, no more than two away."""
    others = [height + off for off in OFF_BY if 1 <= height + off <= TALLEST]
    return chance.choice(others) if chance.random() < share else height


def _height(bar: str, height: int, chance: random.Random) -> str:
    return chance.choice(HEIGHTS).format(bar=bar, n=height, word=WORDS[height])


def _concluded(reading: Reading, chance: random.Random) -> tuple[str, str]:
    """What follows from the heights, in words, and the answer."""
    (first, a), (second, b) = list(zip(reading.bars, reading.heights, strict=True))[:2]
    if reading.question == "max":
        tall = max(zip(reading.heights, reading.bars, strict=True), key=lambda pair: pair[0])[1]
        return chance.choice(TALLEST_IS).format(tall=tall), tall
    if reading.question == "diff":
        told = {"a": a, "b": b, "d": a - b, "first": first, "second": second}
        return chance.choice(DIFFERENCE).format(**told), str(a - b)
    tall, short = (first, second) if a > b else (second, first)
    told = {"a": a, "b": b, "tall": tall, "short": short, "sign": ">" if a > b else "<"}
    return chance.choice(EQUAL if a == b else TALLER).format(**told), "yes" if a > b else "no"
