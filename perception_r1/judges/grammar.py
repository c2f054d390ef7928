"""The sentences that the matcher understands, and the words that make it leave a sentence, or a whole text, alone.

All of it is for text in plain notation (`notation.plain`): small letters but for names.
"""

import re

from perception_r1.judges.notation import VALUE

# Who is spoken of.
_KIND = "line segment|segment|side|chord|line|ray|leg|edge|base|hypotenuse|diameter|radius|median|altitude"
_FIGURE = "triangle|square|rectangle|circle|rhombus|quadrilateral|parallelogram|trapezoid|polygon"
_BAR = r"(?:(?:the )?(?:bar|column) (?:labell?ed )?(?P<bar>[A-Za-z])\b|(?P<bare>[A-Z])\b)(?:'s (?:height|value))?"
_SEGMENT = rf"(?:(?:the )?(?:{_KIND}) )?(?P<segment>[A-Z]{{2}})\b(?:'s length)?"
_ANGLE = r"(?:the )?(?:m ?)?angle (?P<angle>[A-Z]{3}|[A-Z]|[0-9]{1,2})\b(?:'s (?:measure|size))?"
_MEASURE = r"(?P<measure>area|perimeter|circumference)"
_AREA = rf"(?:the )?{_MEASURE} of (?:the )?(?:{_FIGURE}) (?P<figure>[A-Z]{{1,6}})\b"
_SUBJECT = (
    rf"(?:{_AREA}"
    rf"|(?:(?:the )?(?:measure|size|value|measurement) of )?{_ANGLE}"
    rf"|(?:(?:the )?(?:length|measure|measurement) of )?{_SEGMENT}"
    rf"|(?:(?:the )?(?:height|value|size) of )?{_BAR})"
)

# What is said of it.
_HAS = r"has (?:a |an )?(?:height|value|length|measure)(?: (?:of|equal to))?"
_VERB = rf"(?:is equal to|is at|is of (?:height|length)|is|equals|measures|reaches|stands at|{_HAS})"
_COLON = r"(?(bare)(?!)|: )"  # "A: 7" may be a choice of the question
_IS = rf"(?: {_VERB} | ?= ?|{_COLON})"
_IS_NOT = r" (?:is not equal to|is not|isn't|does not equal|doesn't equal|does not measure|doesn't measure) "
_UNIT = r"(?: ?(?P<unit>degrees?|deg|cm|mm|km|m|feet|ft|inch(?:es)?|units?|percent|pixels?|px)\b| ?(?P<percent>%))?"
_TAIL = r"(?: (?:tall|high|long|in (?:the|this) (?:image|picture|chart|figure|diagram|graph)))?"
_ENDS = r"(?=\s*[.!;]?$|, |,$| (?:and|but|while|whereas|so|because|since)\b)"
STATES = re.compile(f"{_SUBJECT}{_IS}{VALUE}{_UNIT}{_TAIL}{_ENDS}")
DENIES = re.compile(f"{_SUBJECT}{_IS_NOT}{VALUE}{_UNIT}{_TAIL}{_ENDS}")

_NAME = rf"(?:(?:the )?(?:(?:{_KIND}) )?[A-Z]{{2}}\b|(?:the )?angle [A-Z]{{3}}\b)"
_HOW = r"(?P<how>parallel to|perpendicular to|congruent to|equal to|equals|=)"
_HOWS = r"(?P<hows>parallel|perpendicular|congruent|equal)"
RELATES = re.compile(
    rf"(?:{_NAME}(?: is(?P<not> not)?)? ?{_HOW} ?{_NAME}|{_NAME} and {_NAME} are(?P<nots> not)? {_HOWS}){_ENDS}"
)

# What may stand before, between and after statements.
LEADS = re.compile(
    r"(?:(?:so|thus|therefore|hence|first|second|third|next|then|also|finally|clearly|here|and|now|given|okay|ok),? "
    r"|(?:in|from|on|looking at|according to) (?:the|this) (?:image|picture|chart|figure|diagram|graph|plot),? "
    r"|(?:I|i|we|1) (?:can )?(?:clearly )?(?:see|observe|read|know|note) (?:that )?"
    r"|(?:it is clear|it can be seen|the (?:image|picture|chart|figure|diagram|graph) shows) (?:that )?)*"
)
SEPARATES = re.compile(
    r"\s*(?:,(?: (?:and|but|while|whereas))?|(?:and|but|while|whereas)\b)\s*|\s*(?=(?:so|because|since)\b)"
)
GOES_ON = re.compile(r"(?:so|thus|therefore|hence|then|since|because|which means|meaning|making|giving)\b")
ENDS_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+|(?<=[0-9])\.(?=[A-Za-z])")


def _any(words: str, more: str = "") -> re.Pattern[str]:
    """Any of these words, in capitals too, or one of the further patterns."""
    return re.compile(rf"(?i:\b(?:{'|'.join(words.split(', '))})\b){more}", re.MULTILINE)


# A sentence with one of these states nothing for certain.
HEDGES = _any(
    "if, suppose, supposing, assume, assuming, let, would, could, should, might, may, must, maybe, perhaps, possible, "
    "possibly, probable, probably, presumably, likely, unless, either, neither, nor, or, whether, seems?, seemed, "
    "appears?, looks like, guess, think, believe, unsure, sure, unclear, about, approximately, approx, around, "
    "roughly, nearly, almost, at least, at most, between, doubt, denies, deny, impossible, cannot, can't, "
    r"claims?, claimed, says?, said, states?, stated, example, was, were, will, respectively",
    r"|\?|[\"<>{}\\|^_~]|\.\.",
)
NEGATIONS = _any("not, no, none, never, without", r"|(?i:n't\b)")

# A sentence with one of these may speak of any quantity without its name.
EVERYTHING = _any(
    "all, every, each, both, bars, columns, angles, sides, segments, others?, remaining, leftmost, rightmost, middle, "
    "left, right, centre, center, tallest, shortest, longest",
    r"|\b(?:bar|column)\b(?! [A-Za-z]\b)",
)

# What is drawn from a quantity says nothing more of it.
CONCLUDES = _any("answer, tallest, shortest, highest, lowest, longest, largest, smallest, greatest")
