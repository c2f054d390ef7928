"""Whether what stands beside the plain statements of a text leaves them as they are.

    harmless("let me look at the chart.")    True
    harmless("7 > 5.")                       True
    harmless("or 5.")                        False: it takes back, or it offers something else
    harmless("das stimmt nicht.")            False: whatever is not understood may do so

Nobody can list how a statement may be taken back, hedged, quoted or supposed; so a sentence is harmless only where each
of its words is known to be.
"""

import functools
import re

from perception_r1.judges.grammar import HEDGES

ARITHMETIC = re.compile(
    r"(?:(?:so|then|thus|therefore|hence|since|and|because),? )?"
    r"[-(]*[0-9][0-9.,]*(?:\)* ?[-+*/=<>] ?[-(]*[0-9][0-9.,]*)+\)*(?: ?=)?[.!,;]?"
)
_SHOUTED = "I|IT|IS|AS|AT|BE|BY|DO|GO|HE|IF|IN|ME|MY|NO|OF|ON|OR|SO|TO|UP|US|WE|ARE|BUT|END|FOR|HAS|NOT|THE|WAS|YES"
NAMED = re.compile(rf"\b(?!(?:{_SHOUTED})\b)[A-Z]{{1,4}}\b|(?i:\b(?:bar|column) [a-z]\b)|\bangle [0-9]{{1,2}}\b")
OTHERWISE = re.compile(r"\b(?:answer|difference|sum|total|average|ratio|product|result|area|perimeter)\b")
_QUESTION = re.compile(r"(?:so |now |then )?(?:which|what|how much|how many|how long|how tall|is|are)\b[^.!:;]*\?")
_CONDITION = re.compile(r"if [^,.]+, [^,.]*[a-z]{3}[^,.]*\.")  # that has its consequence beside it
_PHRASES = re.compile(
    r"\blet (?:me|us)\b|\b(?:see|know|note|check|shows?) that\b|\bdouble-check\b"
    r"|\b(?:this|these) (?=chart|image|picture|figure|diagram|graph|plot|problem|question|bars|values|heights|lengths)"
    r"|\bdo(?:es)? not matter\b|\b(?:it is|it's) possible that (?=(?:bar|column) [A-Z]\b)"
)
_SIGNS = re.compile(r"[^A-Za-z0-9\s.,:;!?()+*/=<>%-]|\.\.|->")
_EVER = """
the a an of in on at to from for with by as and then so thus hence therefore because since is are has have i we me look
looking see compare comparing read find count determine calculate compute use using apply need know given now next okay
ok finally also here there chart image picture figure diagram graph plot bar bars column columns height heights value
values length lengths angle angles side sides segment segments triangle triangles circle circles square rectangle point
points line lines theorem pythagorean formula degrees degree units unit cm mm m area perimeter radius diameter tangent
chord isosceles equilateral hypotenuse difference sum total average ratio product result solution solve answer question
problem asks same floor stand stands colours colors their each carefully closely step get which what how much
many axis
"""
_OF_OTHERS = """
taller shorter longer higher lower larger smaller greater bigger more less than equal equals tallest shortest longest
highest lowest largest smallest greatest leftmost rightmost left right above below parallel perpendicular congruent
similar maybe perhaps possibly probably might may be either or about exactly comes goes up reaches measures reads
if rest follows shows tall high long its top subtracting red green blue yellow orange purple pink brown black white gray
grey labelled labeled
"""
_WORDS = frozenset(_EVER.split())
_WORDS_BESIDE_A_NAME = _WORDS | frozenset(_OF_OTHERS.split())  # said of that
_NOT_IN_A_HEADING = re.compile(r"\b(?:question|problem|answer|asks|solution)\b")


@functools.lru_cache(1 << 14)
def harmless(part: str) -> bool:
    """Whether a part of a text that states nothing plainly changes nothing of what is stated beside it."""
    part = part.strip()
    if not re.search(r"[A-Za-z0-9]", part):
        return not part.strip(".!-* ")
    if ARITHMETIC.fullmatch(part):
        return True
    if _SIGNS.search(rest := _PHRASES.sub(" ", part)) or part.count("(") != part.count(")"):
        return False
    if "?" in part and not _QUESTION.fullmatch(part):
        return False
    if HEDGES.search(rest) and not re.search(r"[.!?]$", part):  # it goes on: "if B is 3,"
        return False
    if re.search(r"\bif\b", part) and not _CONDITION.fullmatch(part):
        return False
    if part.endswith(":") and (_NOT_IN_A_HEADING.search(part) or NAMED.search(part)):
        return False
    words = re.findall(r"[a-z]+", NAMED.sub(" ", rest).lower())
    if not words and not re.search(r"[0-9<>=]", part):
        return False
    known = _WORDS_BESIDE_A_NAME if NAMED.search(part) else _WORDS
    return known.issuperset(words)


def tells_another(part: str) -> bool:
    """Whether the numbers of a part are plainly of something else: another thing that is named, or a result."""
    return bool(NAMED.search(part) or OTHERWISE.search(part) or ARITHMETIC.fullmatch(part.strip()))
