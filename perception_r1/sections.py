"""The sections of a configuration: one frozen model a stage, and which of their fields are part of a run's key.

The tables of recipes and benchmarks are not known here: a new benchmark must not make a training run anew.
"""

import dataclasses
from dataclasses import field
from typing import Annotated, Any, Literal, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from perception_r1.records import AnswerType

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def model(section: type[T]) -> type[T]:
    """A frozen section that refuses unknown keys and values that are not of its fields' types."""
    made: Any = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(section)
    return cast(type[T], made)


_UNSAID: Any = {"outside": True}  # a field that says how to work, not what comes out: it is no part of a run's key

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Inside = Annotated[float, Field(gt=0, lt=1)]


@model
class Endpoint:
    """A model that answers: an OpenAI-compatible address, or (without one) a model of the embedded world."""

    model: str  # the served model's name, or embedded/teacher, embedded/extractor, embedded/judge
    base_url: str = field(default="", metadata=_UNSAID)
    key_variable: str = field(default="", metadata=_UNSAID)  # the environment variable that holds the key
    concurrency: Count = field(default=16, metadata=_UNSAID)
    timeout_s: Positive = field(default=120.0, metadata=_UNSAID)  # for one attempt, to the last byte
    connect_timeout_s: Positive = field(default=5.0, metadata=_UNSAID)
    patience_s: Positive = field(default=300.0, metadata=_UNSAID)  # for retries, and a server that is away
    retries: Number = field(default=4, metadata=_UNSAID)
    max_tokens: Count = 1024
    usd_per_million_prompt_tokens: Amount = field(default=0.0, metadata=_UNSAID)
    usd_per_million_completion_tokens: Amount = field(default=0.0, metadata=_UNSAID)


@model
class Columns:
    """Which column of a data set holds what; images, question and answer must be there, and what is annotated from."""

    images: str = "images"  # one or a list
    question: str = "problem"
    answer: str = "answer"
    choices: str = "choices"
    answer_type: str = "answer_type"
    id: str = "id"
    source: str = "source"
    group: str = "group"  # problems of one group are one cluster in every test; without it those of one picture are
    split: str = "split"
    responses: str = "response"  # one chain of thought or a list of them
    annotations: str = "visual_key_info"  # a list, or one text with <info1>…</info1> as in the paper's data
    logic_forms: str = "diagram_logic_form"  # a list in the format of Inter-GPS


@model
class Problems:
    """Where problems come from: the embedded world, a dataset of the hub, or files of one's own."""

    source: Literal["world", "hub", "parquet", "jsonl", "folder", "inter_gps"] = "world"
    count: Number = 0  # 0: all that there are
    seed: int = 0
    questions: tuple[Literal["cmp", "max", "diff"], ...] = ("cmp", "max", "diff")  # world
    repo: str = ""  # hub
    revision: str = ""  # hub; a commit, so that the data cannot change under a name
    split: str = "train"  # of the hub, or of the rows that say theirs; "": all of these
    path: str = ""  # parquet, jsonl: a file or a folder of them; folder: pictures beside a metadata.jsonl or .csv;
    # inter_gps: train/NUMBER/data.json and what belongs to it, as Geometry3K was released
    columns: Columns = Columns()
    strict: bool = field(default=False, metadata=_UNSAID)  # a row that cannot be used ends the run


Origin = Literal["teacher", "responses", "annotations", "logic_forms"]


@model
class Annotate:
    """From problems to clean visual annotations."""

    problems: Problems = Problems()
    origin: Origin = "teacher"  # or what the data set itself has: chains of thought, annotations, logic forms
    teacher: Name = "teacher"
    extractor: Name = "extractor"
    trajectories: Count = 3  # per problem
    temperature: Amount = 1.0
    seed: int = 0
    attempts: Count = 2  # at a reply that is empty, cut off, refused, or not in the form that was asked for
    # of a model's requests may stay without a reply, and are recorded so; above it the stage fails, and can go on
    max_unanswered: Share = field(default=0.01, metadata=_UNSAID)
    budget_tokens: Number = field(default=0, metadata=_UNSAID)  # of teacher and extractor together; 0: no limit
    budget_usd: Amount = field(default=0.0, metadata=_UNSAID)
    min_support: Count = 1  # in how many kept trajectories a fact must be found
    min_share: Share = 0.0  # in what share of them
    drop_stated: bool = True  # facts that the question already states
    drop_deductions: bool = True  # what follows by theorem or arithmetic and cannot be seen
    drop_contradictions: bool = True  # annotations of one problem that cannot all be true


@model
class Judging:
    """How a judge is asked, in validation as in training."""

    prompt: Name = "judge"  # a rubric of judges/prompts/
    matcher: bool = True  # what is certain is decided without a model
    max_characters: Count = 20_000  # of a response's perception part, about 5,000 tokens; the rest is not judged
    facts: Count = 16  # in one request


@model
class Candidate:
    """A judge, or another wording for one, that is compared with the configured one."""

    judge: Name = "judge"
    prompt: Name = "judge"


@model
class Validate:
    """Is the judge good enough to train with? The gates are upper and lower limits of 95 % intervals."""

    judge: Name = "judge"
    judging: Judging = Judging()
    candidates: tuple[Candidate, ...] = ()  # the best on the dev split is what is tried, and trained with
    problems: Count = 160  # that the gold set is made from: a tenth for examples, the rest in halves for dev and test
    labels: str = ""  # a CSV of people's labels: response, annotation, label, rater, and arm and problem if known
    seed: int = 0
    repeats: Number = 200  # responses that are judged again: as they were, reordered, reworded, one fact at a time
    min_kappa: Share = 0.75  # lower limit of Cohen's kappa
    min_sensitivity: Share = 0.85  # lower limit of the share of supported facts that are credited
    max_false_credit: Share = 0.05  # upper limit of the share of absent or contradicted facts that are credited
    max_worst_slice: Share = 0.05  # ... in the slice where it is largest, as it was measured
    max_probe: Share = 0.02  # upper limit in each family of probes: no credit in 149 verdicts shows 2 %
    max_unknown: Share = 0.005  # share of verdicts that the judge failed to give
    max_flips: Share = 0.01  # of verdicts when it is asked the same again
    max_rewording_flips: Share = 0.02  # ... in other words
    max_order_effect: Share = 0.01  # difference in credit when the facts come in the reverse order
    max_length_slope: Share = 0.01  # error in credit for each 100 tokens of a response
    max_arm_gap: Share = 0.03  # difference in sensitivity or specificity between arms, with its interval
    max_p95_s: Amount = 0.0  # latency; 0: no limit
    max_tokens: Number = 0  # for 1,000 verdicts; 0: no limit
    accept: str = field(default="", metadata=_UNSAID)  # the reason to train on a judge that failed (--accept-judge)


Weight = Literal["accuracy", "format", "repetition", "perception", "paper_repetition", "overlong"]
Part = Literal["vision", "patch_embedding", "projector", "language"]  # of a vision-language model


@model
class Kl:
    """The weight of the KL term over the steps: from low to high, or GRPO-D's way from the middle over low to high."""

    schedule: Literal["linear", "grpo_d"]
    low: Amount
    high: Positive


@model
class Arm:
    """One way to train, to be compared with the others."""

    name: Name
    recipe: Name
    answer_types: tuple[AnswerType, ...] = ()  # train on the problems of these types only; empty: on all
    weights: dict[Weight, float] = field(default_factory=dict)  # instead of the recipe's
    kl: Kl | None = None  # instead of the recipe's; neither: train.kl throughout
    gate: bool | None = None  # instead of the recipe's: a right answer pays as far as it was seen


@model
class Lora:
    """Low-rank adapters instead of the whole model; rank 0: the whole model."""

    rank: Number = 0
    alpha: Count = 64
    dropout: Share = 0.05
    quantize: Literal["none", "4bit"] = "none"  # of the weights under the adapters; 4bit is QLoRA


@model
class PolicyServer:
    """The vLLM server that generates for the trainer where generate_with is vllm_server."""

    base_url: str = field(default="", metadata=_UNSAID)  # of one that is there already; empty: the run starts its own
    port: Count = field(default=8000, metadata=_UNSAID)  # or the next one that is free
    weights_port: Count = field(default=51216, metadata=_UNSAID)  # at which weights are handed to it; or the next
    tensor_parallel: Count = 1
    data_parallel: Count = 1
    start_timeout_s: Positive = field(default=900.0, metadata=_UNSAID)


@model
class Watch:
    """Is the reward being gamed? What is looked at during training every so many steps; 0: never."""

    every: Number = 0
    problems: Count = 64  # held out of training for it, those of the validation split first
    temperature: Amount = 0.0  # of the responses to them; 0: the likeliest token
    anchors: Number = 64  # responses of the first step whose judgements are asked for again; 0: none
    max_flips: Share = 0.02  # of the anchors' verdicts
    stop: bool = False  # an alarm ends the run; otherwise it is only told


@model
class Train:
    """GRPO, one arm and one seed at a time."""

    model: str = "world"  # the tiny model, warm-started here, or a repository of the hub
    revision: str = ""  # hub
    warm_start_steps: Count = 250  # world
    arms: tuple[Arm, ...] = (
        Arm(name="accuracy", recipe="accuracy"),
        Arm(name="perception_r1", recipe="perception_r1"),
    )
    seeds: tuple[Number, ...] = (0, 1, 2)
    at_once: Count = field(default=2, metadata=_UNSAID)  # runs side by side
    processes: Count = 1  # of one run, under `accelerate launch` when more than one
    launch: Literal["ddp", "fsdp2", "zero3"] = "ddp"  # how several share the model: copies, or a part of it each
    machines: Count = 1  # with `processes` on all of them together
    steps: Count = 120
    prompts_per_step: Count = 8
    generations: Annotated[int, Field(ge=2)] = 8  # of one prompt: a group
    micro_batch: Number = 0  # completions in one forward of one process; 0: all of a step's
    learning_rate: Positive = 1e-6
    warmup_steps: Number = 0
    weight_decay: Amount = 0.0
    adam_beta2: Share = 0.999
    max_grad_norm: Positive = 1.0
    temperature: Positive = 1.0
    kl: Amount = 0.0  # TRL's beta
    clip_low: Positive = 0.2
    clip_high: Positive = 0.2
    loss: Literal["grpo", "dapo", "dr_grpo", "bnpo", "gspo", "cispo", "sapo"] = "dapo"
    iterations: Count = 1  # optimiser steps on each batch of completions
    redraws: Number = 0  # how often a group without variance is replaced by one of another problem (DAPO)
    mask_truncated: bool = False  # a completion that was cut off teaches nothing
    freeze: tuple[Part, ...] = ()  # these parts of the model keep their weights
    instruction: Literal["none", "layout"] = "layout"  # what the prompt says beside the question
    max_completion_tokens: Count = 1024
    max_prompt_tokens: Number = 0  # longer prompts, images included, are left out and counted; 0: no limit
    unannotated: Literal["skip", "neutral"] = "skip"  # problems without annotations: left out, or seen by no reward
    max_pixels: Number = 0  # of an image; 0: as the model's own folder says
    min_pixels: Number = 0
    bf16: bool = False
    gradient_checkpointing: bool = False
    save_every: Count = field(
        default=20, metadata=_UNSAID
    )  # steps between the checkpoints that a killed run goes on from
    generate_with: Literal["transformers", "vllm_colocate", "vllm_server"] = "transformers"
    perception_rule: Literal["signed", "recall", "gate"] = "signed"  # what a contradicted fact costs; recall: nothing
    unknown: Literal["group_mean", "drop_row"] = "group_mean"  # what a failed judgement counts in its group
    max_unknown: Share = 0.1  # of a step's judgements; above it the run stops
    judge_patience_s: Amount = field(default=900.0, metadata=_UNSAID)  # a judge that is down is waited for so long
    max_skipped: Number = 3  # steps in a row whose gradient is no number: left out; one more stops the run
    tied_advantage: Amount = 0.0  # greatest advantage in a group that the judge alone decides; 0: no limit
    tied_share: Share = 1.0  # of a step's groups may be decided by the judge alone; those beyond it teach nothing
    # checkpoints that are kept, beside the best; with one, the old is removed before the new is whole
    keep: Annotated[int, Field(ge=2)] = field(default=2, metadata=_UNSAID)
    lora: Lora = Lora()
    policy_server: PolicyServer = PolicyServer()
    gpu_memory: Share = field(default=0.4, metadata=_UNSAID)  # of a GPU for a vLLM beside the trainer on it
    watch: Watch = Watch()


@model
class Data:
    """Where a benchmark's rows come from, if not from its pinned commit of the hub."""

    revision: str = ""  # a commit of the hub's dataset, where we do not know one or you want another
    repo: str = ""  # a mirror with the same columns
    path: str = ""  # a local copy, laid out like the hub's: then nothing is downloaded
    split: str = ""  # a split whose answers are secret: responses are exported, no score is invented
    rows: Number = 0  # how many rows there are, where it is not the pinned number
    # annotations, on which evaluate.judge gives verdicts: a file of {"item", "facts"} lines, or annotations/NAME@3
    facts: str = ""
    captions: str = ""  # a file of {"item", "caption"} lines, for the condition of that name


PINNED = Data()  # the pinned commit of the hub


Condition = Literal["full", "none", "blank", "shuffled", "caption"]
Generator = Literal["transformers", "vllm"]


@model
class Demonstrations:
    """Worked examples before each question; none by default."""

    shots: Number = 0
    bank: str = ""  # a JSONL file of examples
    retriever: Literal["random", "alike"] = "random"
    content: Literal["answer", "rationale"] = "rationale"  # what an example shows: its answer, or all that was said
    only_right: bool = True  # examples whose response is wrong are not shown
    seed: int = 0


@model
class Evaluate:
    """The models' responses to the benchmarks, graded."""

    benchmarks: tuple[Name, ...] = ("world",)
    data: dict[Name, Data] = field(default_factory=dict)  # by benchmark
    conditions: tuple[Condition, ...] = ("full",)  # what is done to the picture; the first is always full
    items: Number = 0  # of each benchmark, about: groups are drawn whole; 0: all
    seed: int = 0
    batch: Count = 64
    max_tokens: Count = 1024
    samples: Number = 0  # further responses to each item beside the greedy one: pass@k and majority vote
    temperature: Positive = 1.0  # of those
    generate_with: Generator = "transformers"
    endpoints: tuple[Name, ...] = ()  # models behind an address that are evaluated, too
    extractor: str = ""  # the endpoint that is asked for answers where no rule finds one
    judge: str = ""  # the endpoint that reads responses for annotated facts; not the one that trained
    demonstrations: Demonstrations = Demonstrations()
    cached: bool = field(default=True, metadata=_UNSAID)  # responses are kept in the store's cache, and found there


@model
class Compare:
    """Paired tests between the models. What is declared here is decided before anything is looked at."""

    alpha: Inside = 0.05
    contrasts: tuple[
        tuple[str, str], ...
    ] = ()  # that claims are made of: base, arms, or arm@condition; all else explores
    primary: Literal["perception", "accuracy"] = "perception"  # the endpoint that the answer is about
    benchmarks: tuple[Name, ...] = ()  # that claims are made of; empty: all
    effect: Inside = 0.05  # the true difference of rates that power and numbers of items are stated for
    power: Inside = 0.8  # that numbers of items are stated for
    judged: tuple[Name, ...] = ()  # benchmarks whose visual facts a judge reads, and not the truth
    labels: str = ""  # a CSV of what people say of a part of them: benchmark, model, seed, item, perceived


@model
class Report:
    """The page."""

    title: str = "Did it see better, or only answer better?"
    meaningless: bool = False  # too small for any conclusion; the page says so at the top
    control: str = ""  # the arm that was trained where guessing does not pay; empty: none was


@model
class Config:
    """Everything that a run depends on, but for code and data."""

    name: Name
    annotate: Annotate = Annotate()
    validate: Validate = Validate()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    compare: Compare = Compare()
    report: Report = Report()
    endpoints: dict[Name, Endpoint] = field(default_factory=dict)


def plain(section: Any) -> dict[str, Any]:
    """A section as JSON values."""
    return {name: _plain(value) for name, value in dataclasses.asdict(section).items()}


def identity(section: Any) -> dict[str, Any]:
    """What of a section decides the outcome: the fields that are part of a run's key."""
    kept = [f for f in dataclasses.fields(section) if not f.metadata.get("outside")]
    return {f.name: _identity(getattr(section, f.name)) for f in kept}


def _identity(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return identity(value)
    if isinstance(value, dict):
        return {key: _identity(item) for key, item in value.items()}
    return [_identity(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
