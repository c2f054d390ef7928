"""Configuration: sparse TOML in, one frozen model a stage out; a typo fails before anything heavy is imported.

    config = load(Path("configs/embedded.toml"), profile="quick", overrides=["train.steps=60"])

A file says only what differs from the defaults in `sections.py`. `[profiles.NAME.…]` holds what another size of the
same run changes. An unknown key is refused with the nearest known one.
"""

import dataclasses
import difflib
import functools
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from perception_r1.benchmarks.dataset import MOVING, check_data
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.errors import ConfigError
from perception_r1.evaluate.perceived import stored
from perception_r1.judges.prompt import RUBRICS
from perception_r1.recipes import RECIPES
from perception_r1.sections import PINNED, Arm, Config, Endpoint, Train
from perception_r1.world.embedded import EMBEDDED


def load(path: Path, profile: str = "", overrides: Iterable[str] = ()) -> Config:
    """The configuration of a file, with a profile of it and `stage.field=value` overrides; raises ConfigError."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; go to the folder of the project, or name a file with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    profiles = said.pop("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise ConfigError(f"{path}: profiles are tables: [profiles.quick]")
    chosen = _one_of(profile, profiles, f"profile of {path}") if profile else {}
    last = functools.reduce(_merged, map(_parsed, overrides), dict[str, Any]())
    config = _validated(_merged(_merged(said, chosen), last), path)
    for name, table in profiles.items():  # also what is not asked for today
        _validated(_merged(_merged(said, table), last), path, f"profiles.{name}")
    _check(config, path)
    arms = tuple(_with_recipe(arm) for arm in config.train.arms)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, arms=arms))


def _validated(said: Mapping[str, Any], path: Path, inside: str = "") -> Config:
    """The configuration that was said; raises ConfigError with every problem, `inside` the table that brought it."""
    try:
        return TypeAdapter(Config).validate_python(said)
    except ValidationError as error:
        where = f"{path}, [{inside}]" if inside else str(path)
        raise ConfigError("\n".join(_told(where, problem) for problem in error.errors())) from None


def _with_recipe(arm: Arm) -> Arm:
    """The arm with everything that its recipe says and it does not."""
    recipe = RECIPES[arm.recipe]
    gate = recipe.gate if arm.gate is None else arm.gate
    return dataclasses.replace(arm, weights={**recipe.weights, **arm.weights}, kl=arm.kl or recipe.kl, gate=gate)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; everything else is replaced."""
    both = {key: under[key] for key in under.keys() & over.keys()}
    deeper = {k: _merged(v, over[k]) for k, v in both.items() if isinstance(v, dict) and isinstance(over[k], dict)}
    return {**under, **over, **deeper}


def _parsed(override: str) -> dict[str, Any]:
    """`train.steps=60` as {"train": {"steps": 60}}; what is no TOML value is taken as text."""
    path, equals, value = override.partition("=")
    if not equals or not all(part.strip() for part in path.split(".")):
        raise ConfigError(f"--set expects stage.field=value, got {override!r}")
    try:
        said = tomllib.loads(f"x = {value}")
    except tomllib.TOMLDecodeError:
        said = {}
    nested: Any = said["x"] if len(said) == 1 else value  # a second line would be dropped without a word
    for part in reversed(path.split(".")):
        nested = {part.strip(): nested}
    return dict(nested)


def _told(source: str, problem: Any) -> str:
    """One problem of a configuration in words."""
    where = [str(part) for part in problem["loc"]]
    place = ".".join(where)
    if problem["type"] == "unexpected_keyword_argument":
        return f"{source}: {place} is unknown; {_nearest(where[-1], _fields_at(where[:-1]))}"
    if problem["type"] in {"missing", "missing_argument"}:
        return f"{source}: {place} is missing"
    return f"{source}: {place} = {problem['input']!r}: {_lower(problem['msg'])}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _fields_at(where: list[str]) -> list[str]:
    """The names that a table of the configuration may have."""
    current: Any = Config
    for part in where:
        if not dataclasses.is_dataclass(current):
            inner = [kind for kind in get_args(current) if dataclasses.is_dataclass(kind)]
            current = inner[0] if inner else current
            continue
        kinds = {f.name: f.type for f in dataclasses.fields(current)}
        current = kinds.get(part, current)
    if not dataclasses.is_dataclass(current):
        current = next((kind for kind in get_args(current) if dataclasses.is_dataclass(kind)), Config)
    return [f.name for f in dataclasses.fields(current)]


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or all there are."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"


def _one_of(name: str, known: Mapping[str, Any], what: str) -> Any:
    if name not in known:
        raise ConfigError(f"{name!r} is no {what}; {_nearest(name, known)}")
    return known[name]


def _check(config: Config, path: Path) -> None:
    """The rules that hold between fields; each names its remedy."""
    for place, remedy in itertools.chain(_lists(config), _names(config), _sizes(config)):  # a later rule may need one
        raise ConfigError(f"{path}: {place}: {remedy}")


Refusals = Iterator[tuple[str, str]]


SEEDS = 2**32  # numpy takes no more, and so does transformers


def _lists(config: Config) -> Refusals:
    """What has to be there, and only once."""
    lists: dict[str, list[Any]] = {
        "train.arms": [arm.name for arm in config.train.arms],
        "train.seeds": list(config.train.seeds),
        "annotate.problems.questions": list(config.annotate.problems.questions),
        "evaluate.benchmarks": list(config.evaluate.benchmarks),
        "evaluate.conditions": list(config.evaluate.conditions),
    }
    for place, values in lists.items():
        if not values or len(set(values)) < len(values):
            yield place, f"at least one, each once; got {values}"
    if (largest := max(config.train.seeds)) >= SEEDS:
        yield "train.seeds", f"{largest} is too large; a seed is below 2**32 = {SEEDS}"
    if config.evaluate.conditions[:1] != ("full",):
        yield "evaluate.conditions", "the first is 'full': the others are compared with it"


def _names(config: Config) -> Refusals:
    """Names that must be those of something."""
    validate = config.validate
    for prompt in (validate.judging.prompt, *(each.prompt for each in validate.candidates)):
        if prompt not in RUBRICS:
            yield "validate.judging.prompt", f"{prompt!r} is no wording; {_nearest(prompt, RUBRICS)}"
    for place, name in asked(config):
        if name not in config.endpoints:
            yield place, f"there is no [endpoints.{name}]; {_nearest(name, config.endpoints)}"
    for name, endpoint in config.endpoints.items():
        if not endpoint.base_url and not endpoint.model.startswith("embedded/"):
            yield f"endpoints.{name}", f"{endpoint.model} needs a base_url (only embedded/… models do without)"
        elif not endpoint.base_url and endpoint.model not in EMBEDDED:
            yield f"endpoints.{name}", f"there is no {endpoint.model!r}; {_nearest(endpoint.model, EMBEDDED)}"
    for arm in config.train.arms:
        if arm.recipe not in RECIPES:
            yield f"train.arms {arm.name}", f"recipe {arm.recipe!r} is unknown; {_nearest(arm.recipe, RECIPES)}"
        elif not any(_with_recipe(arm).weights.values()):
            yield f"train.arms {arm.name}", "every weight is 0, so that nothing would be learnt; give a reward a weight"
        if arm.kl and arm.kl.high < arm.kl.low:
            yield f"train.arms {arm.name}", f"kl.high = {arm.kl.high} is below kl.low = {arm.kl.low}; swap them"
        if arm.name == "base":
            yield "train.arms", "'base' is the name of the model before training; choose another"
    yield from _files(config)
    yield from _benchmarks(config)


def asked(config: Config, stage: str = "run") -> list[tuple[str, str]]:
    """The endpoints that a stage asks, or that the whole run does: the field that names each, and its name."""
    annotate, validate, evaluate = config.annotate, config.validate, config.evaluate
    judges = [("validate.judge", validate.judge)]
    judges += [("validate.candidates", candidate.judge) for candidate in validate.candidates]
    asks = {
        "annotate": [(f"annotate.{role}", getattr(annotate, role)) for role in ASKED.get(annotate.origin, ())],
        "validate": judges,
        "train": judges,
        "evaluate": [
            *((f"evaluate.{role}", name) for role in ("extractor", "judge") if (name := getattr(evaluate, role))),
            *(("evaluate.endpoints", name) for name in evaluate.endpoints),
        ],
    }
    return [user for name, users in asks.items() if stage in ("run", name) for user in users]


def _files(config: Config) -> Refusals:
    """Files of one's own that later stages read."""
    shown = config.evaluate.demonstrations
    files = {
        "validate.labels": config.validate.labels,
        "compare.labels": config.compare.labels,
        "evaluate.demonstrations.bank": shown.bank,
    }
    for benchmark, data in config.evaluate.data.items():
        section = f"evaluate.data.{benchmark}"
        files |= {f"{section}.facts": "" if stored(data.facts) else data.facts, f"{section}.captions": data.captions}
    for place, path in files.items():
        if path and not Path(path).is_file():
            yield place, f"{path} is no file; correct the path, or leave it out"
    for benchmark, data in config.evaluate.data.items():
        if data.facts and not config.evaluate.judge:
            yield (
                f"evaluate.data.{benchmark}.facts",
                "nobody reads responses for them; name an endpoint as evaluate.judge",
            )
    if shown.shots and not shown.bank:
        yield "evaluate.demonstrations.bank", f"{shown.shots} shots need a file of examples"


OF_ROWS = ("revision", "repo", "path", "split", "rows")  # where a benchmark's rows come from


def _benchmarks(config: Config) -> Refusals:
    """Benchmarks that there are, whose data are known before anything is trained."""
    for benchmark in (*config.evaluate.benchmarks, *config.evaluate.data):
        if benchmark not in BENCHMARKS:
            yield "evaluate.benchmarks", f"{benchmark!r} is unknown; {_nearest(benchmark, BENCHMARKS)}"
            continue
        dataset = BENCHMARKS[benchmark].DATA
        data = config.evaluate.data.get(benchmark, PINNED)
        try:
            if dataset:
                check_data(dataset, data)
        except ConfigError as error:
            yield f"evaluate.benchmarks {benchmark}", str(error)
        if not dataset and (said := [name for name in OF_ROWS if getattr(data, name)]):
            yield f"evaluate.data.{benchmark}.{said[0]}", "its items are drawn here, from no data; leave it out"
    for place in ("benchmarks", "judged"):
        for benchmark in getattr(config.compare, place):
            if benchmark not in config.evaluate.benchmarks:
                known = _nearest(benchmark, config.evaluate.benchmarks)
                yield f"compare.{place}", f"{benchmark!r} is not evaluated; {known}"
    yield from _contrasts(config)


def _contrasts(config: Config) -> Refusals:
    """The declared contrasts must be of models that there will be, and that may be compared."""
    compare, trained_on = config.compare, {arm.name: arm.answer_types for arm in config.train.arms}
    conditions, pairs = config.evaluate.conditions, [_sides(pair) for pair in compare.contrasts]
    yield from (("compare.contrasts", said) for pair in pairs if (said := _unfit(pair, trained_on, conditions)))
    if twice := [pair for place, pair in enumerate(pairs) if {*pair} in ({*other} for other in pairs[:place])]:
        yield "compare.contrasts", f"{_named(twice[0])} is declared twice; once is enough"
    if compare.labels and not compare.judged:
        yield "compare.labels", "labels put a judged benchmark right; name it in compare.judged"
    tried = (config.validate.judge, *(candidate.judge for candidate in config.validate.candidates), "")
    if compare.judged and not compare.labels and config.evaluate.judge not in tried:
        yield (
            "compare.judged",
            f"the errors of evaluate.judge ({config.evaluate.judge}) are not known: validate tries {tried[0]}; make it "
            "a candidate of validate, or give compare.labels",
        )
    if (control := config.report.control) and control not in trained_on:
        yield "report.control", f"there is no arm {control!r}; {_nearest(control, trained_on)}"


def _sides(pair: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Each side's arm and condition, which is full where none is named."""
    return tuple((side.partition("@")[0], side.partition("@")[2] or "full") for side in pair)


def _named(pair: Iterable[tuple[str, str]]) -> list[str]:
    """The sides as they are written."""
    return [arm if condition == "full" else f"{arm}@{condition}" for arm, condition in pair]


def _unfit(pair: tuple[tuple[str, str], ...], trained_on: Mapping[str, Any], conditions: Sequence[str]) -> str:
    """Why two sides are no contrast; empty if they are one."""
    first, second = (arm for arm, _ in pair)
    if missing := [arm for arm in (first, second) if arm not in (*trained_on, "base")]:
        return f"there is no arm {missing[0]!r}; {_nearest(missing[0], ['base', *trained_on])}"
    if unasked := [condition for _, condition in pair if condition not in conditions]:
        return f"{unasked[0]!r} is none of evaluate.conditions; {_nearest(unasked[0], conditions)}"
    if pair[0] == pair[1]:
        return f"{_named(pair)[0]!r} against itself is no contrast"
    if second == "base" and first != "base":
        return f"the model before training comes first: {_named(pair)[::-1]}"
    if "base" not in (first, second) and trained_on[first] != trained_on[second]:
        return f"{first!r} and {second!r} train on different problems; choose other arms"
    return ""


NEEDS = {
    "hub": ("repo", "revision"),
    **dict.fromkeys(("parquet", "jsonl", "folder", "inter_gps"), ("path",)),
    "world": ("count",),
}
COMMIT = re.compile(r"[0-9a-f]{40}")
ASKED = {"teacher": ("teacher", "extractor"), "responses": ("extractor",)}  # the other origins need no model


def _sizes(config: Config) -> Refusals:
    """Numbers and choices that must fit each other."""
    annotate, train, problems = config.annotate, config.train, config.annotate.problems
    for name in NEEDS[problems.source]:
        if not getattr(problems, name):
            yield f"annotate.problems.{name}", f"source = {problems.source!r} needs it"
    if problems.source == "hub" and problems.revision and not COMMIT.fullmatch(problems.revision):
        yield (
            "annotate.problems.revision",
            f"{problems.repo} may change under {problems.revision!r}; name the commit (40 hex digits) that "
            f"`git ls-remote https://huggingface.co/datasets/{problems.repo} HEAD` prints",
        )
    if annotate.origin != "teacher" and problems.source == "world":
        yield (
            "annotate.origin",
            f"the embedded world has no column of {annotate.origin}; choose another source of problems",
        )
    if annotate.origin == "teacher" and annotate.min_support > annotate.trajectories:
        yield (
            "annotate.min_support",
            f"no fact can be in {annotate.min_support} of {annotate.trajectories} trajectories; raise "
            "annotate.trajectories or lower annotate.min_support",
        )
    models = [config.endpoints.get(getattr(annotate, role)) for role in ASKED.get(annotate.origin, ())]
    if annotate.budget_usd and not any(one and _has_price(one) for one in models):
        yield (
            "annotate.budget_usd",
            "no model that is asked has a price, so that no money is ever counted; set the endpoint's "
            "usd_per_million_prompt_tokens and usd_per_million_completion_tokens, or use annotate.budget_tokens",
        )
    yield from _batches(train)
    yield from _choices(train)


def _has_price(endpoint: Endpoint) -> bool:
    return endpoint.usd_per_million_prompt_tokens > 0 or endpoint.usd_per_million_completion_tokens > 0


def _batches(train: Train) -> Refusals:
    """A step must be a whole number of forwards of every process."""
    rollouts = train.prompts_per_step * train.generations
    micro = train.micro_batch or rollouts // train.processes
    if not micro or rollouts % (micro * train.processes):
        yield (
            "train.micro_batch",
            f"a step has {train.prompts_per_step} prompts x {train.generations} generations = {rollouts} completions, "
            f"which {train.processes} processes x {micro} do not divide; use a divisor",
        )
    if train.redraws and train.prompts_per_step % train.processes:
        yield "train.redraws", "a group must not lie on two processes: prompts_per_step must be a multiple of processes"
    if train.save_every % train.iterations:
        yield "train.save_every", f"between generations nothing can be resumed: a multiple of {train.iterations}"
    if train.processes % train.machines:
        yield "train.machines", f"{train.processes} processes cannot be spread evenly over {train.machines} machines"


GSPO_CLIP = 0.05  # GSPO (arXiv 2507.18071) clips the ratio of whole sequences, at 3e-4 and 4e-4


def _choices(train: Train) -> Refusals:
    """Options that exclude each other, or that would do something else than they say."""
    if train.model == "world" and train.generate_with != "transformers":
        yield "train.generate_with", "the tiny model of the world is generated from with transformers"
    if train.generate_with == "vllm_server" and train.policy_server.base_url and train.at_once > 1:
        yield "train.at_once", "one server has the weights of one run; use 1, or no train.policy_server.base_url"
    if train.clip_high < train.clip_low:
        yield "train.clip_high", f"clip-higher is {train.clip_low} (clip_low) or more, got {train.clip_high}"
    if train.loss == "gspo" and train.clip_low > GSPO_CLIP:
        yield "train.clip_low", f"{train.clip_low} never clips a whole sequence's ratio; GSPO's are 3e-4 and 4e-4"
    if train.launch != "ddp" and train.processes == 1:
        yield "train.launch", f"{train.launch} shares the model between processes, of which there is one; use ddp"
    if train.lora.quantize != "none" and not train.lora.rank:
        yield "train.lora.quantize", "quantized weights cannot be trained; set train.lora.rank for adapters on them"
    if train.lora.rank and train.freeze:
        yield "train.freeze", "adapters leave the whole model as it is; drop it, or set train.lora.rank=0"
    if {"vision", "language"} <= set(train.freeze):
        yield "train.freeze", "hardly anything would be left to train; freeze vision or language"
    if train.model != "world" and not train.model.startswith(FOLDERS) and train.revision in ("", *MOVING):
        yield (
            "train.revision",
            f"{train.model} may change under {train.revision or 'no revision'!r}; name the commit (40 hex digits) that "
            f"`git ls-remote https://huggingface.co/{train.model} HEAD` prints, or a folder as train.model",
        )


FOLDERS = ("/", "./", "../")  # how a model on this machine is named
