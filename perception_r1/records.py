"""The values that cross the border of a stage, and the closed sets that they are made of."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Split = Literal["train", "validation", "heldout"]
AnswerType = Literal["integer", "float", "list", "yes_no", "letter", "text", "math"]
FactType = Literal[
    "existence", "attribute", "count", "length", "angle", "label", "relation", "position", "text", "other"
]
Verdict = Literal["supported", "contradicted", "absent", "unknown"]
Status = Literal["answered", "abstained", "truncated", "judge_failed"]


@dataclass(frozen=True, slots=True)
class Problem:
    """An image problem. `images` are encoded pictures, in the order of the <image> marks in `question`."""

    id: str
    images: tuple[bytes, ...]
    question: str
    answer: str
    answer_type: AnswerType
    source: str
    group: str  # problems of one group share an image: they are one cluster in every test
    split: Split
    choices: tuple[str, ...] = ()  # the texts of choice A, B, C, ...


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One response of the teacher to a problem; `dropped` says why it is of no use, and is empty if it is kept."""

    id: str
    problem: str
    sample: int
    text: str
    answer: str | None
    correct: bool
    dropped: str
    tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """One atomic visual fact of a problem; `dropped` says which step of hygiene took it out, empty if it stays."""

    id: str
    problem: str
    text: str
    type: FactType
    support: int  # in how many of the problem's kept trajectories it was found
    trajectories: int  # how many those are
    dropped: str
    origin: str  # the extractor's model


@dataclass(frozen=True, slots=True)
class Asking:
    """The request to a judge that a verdict came from."""

    judge: str  # the digest of all that decides what it says: model, wording, rules
    model: str
    prompt: str  # the digest of the wording
    latency_s: float = field(compare=False)
    prompt_tokens: int
    completion_tokens: int
    facts: int  # that it listed


class Judgement(NamedTuple):  # a dataclass takes three times as long to make, and a step has thousands
    """What is known about one annotation in one response, and who decided it."""

    annotation: str
    verdict: Verdict
    decided_by: str  # "matcher", "judge", "rule", or why it is unknown
    evidence: str = ""  # the words that the verdict rests on
    asked: Asking | None = None  # None where no model was asked


@dataclass(frozen=True, slots=True)
class Completion:
    """One response to a problem with all that a reward may look at."""

    text: str
    answer: str  # the right one
    answer_type: AnswerType
    choices: tuple[str, ...] = ()
    precision: float | None = None  # decimal places of the answer, or below 1 a tolerance; as the item says
    truncated: bool = False  # cut off at the token limit
    judgements: tuple[Judgement, ...] = ()  # one for each annotation of the problem
    tokens: int = 0
    longest: int = 0  # the token limit


@dataclass(frozen=True, slots=True)
class FactVerdict:
    """What one response says of one visual fact; a claim of its own that is no fact is a contradicted one."""

    fact: str
    type: FactType
    verdict: Verdict
    known: bool = True  # one of the item's facts; False: what the response claims beside them


@dataclass(frozen=True, slots=True)
class Prediction:
    """One response of one model to one item of a benchmark under one condition, graded."""

    model: str  # the arm, or "base" for the model before training
    seed: int
    benchmark: str
    item: str
    group: str  # items of one group are one cluster in every test
    stratum: str  # the sort of question
    condition: str  # "full", or what was done to the picture
    response: str
    status: Status
    value: str | None  # the extracted answer
    rule: str  # that extracted it
    gold: str  # empty where the right answer is secret
    correct: bool | None  # None: not known, as its grading failed or the answer is secret; never counted as wrong
    facts: int  # how many visual facts are known of the item
    facts_right: int
    facts_wrong: int  # contradicted by the response; the rest was not said
    perceived: bool | None  # all facts right and none wrong; None where no facts are known
    tokens: int
    labels: tuple[str, ...] = ()  # what else metrics sort by: "subject=Math"
    sample: int = 0  # 0 is the greedy one, unless responses were sampled
    answer_type: AnswerType = "text"
    choices: tuple[str, ...] = ()
    precision: float | None = None  # with gold, type and choices the response can be graded again without the benchmark
    also: tuple[str, ...] = ()  # other right answers
    verdicts: tuple[FactVerdict, ...] = ()  # one for each known fact, and for each wrong claim beside them
