"""A judge's trial: chosen on dev, tried once on test, asked again in other ways, held to the gates."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from perception_r1 import sections
from perception_r1.endpoints import Speaking
from perception_r1.judges import Counts, Judge
from perception_r1.judges.llm import Watch
from perception_r1.records import Judgement
from perception_r1.validate.choose import RULE, Contender, contenders
from perception_r1.validate.gates import gates
from perception_r1.validate.gold import GoldVerdict, JudgedVerdict, judged, with_verdicts
from perception_r1.validate.human import HumanLabel, agreement, majority
from perception_r1.validate.metrics import judge_metrics
from perception_r1.validate.repeats import repeats


@dataclass(frozen=True, slots=True)
class Entrant:
    """A judge on trial, under the names that a configuration gives it."""

    name: str
    judge: Judge


def trial(
    gold: Sequence[GoldVerdict],
    entrants: Sequence[Entrant],
    settings: sections.Validate,
    labels: Sequence[HumanLabel] = (),
    policy: str = "",
    watch: Watch | None = None,
) -> tuple[list[JudgedVerdict], dict[str, Any]]:
    """The gold set with the verdicts of the chosen judge, and its report: one value or table a name.

    A judge that never says a word raises its endpoint's failure: that is no result.
    """
    speaking = [replace(each.judge, endpoint=Speaking(each.judge.endpoint)) for each in entrants]
    known: dict[str, Judgement] = {}
    rivals = _rivals(gold, entrants, speaking, known)
    chosen = next((number for number, rival in enumerate(rivals) if rival.chosen), 0)
    people, left_out = majority(labels)
    test, judge = [*(row for row in gold if row.split == "test"), *people], speaking[chosen]
    told = judged(test, judge, watch)
    known |= {row.id: said for row, said in zip(test, told, strict=True)}
    counts = judge.tally.counts()
    again = repeats(test, told, judge, settings.repeats)
    metrics = judge_metrics(test, told)
    tables: dict[str, Sequence[Any]] = {"contenders": rivals, "repeats": again, "people": agreement(labels)}
    report: dict[str, Any] = {"judge": entrants[chosen].name, "prompt": judge.prompt, "judge_digest": judge.digest}
    report |= {"family": family} if (family := same_family(judge.endpoint.model, policy)) else {}
    report |= {**asdict(metrics), **took(counts), **({"rule": RULE} if rivals else {})}
    report |= {name: [asdict(row) for row in rows] for name, rows in tables.items() if rows}
    report |= {"labels_without_majority": left_out} if labels else {}
    report |= {"gates": [asdict(gate) for gate in gates(metrics, settings, again, counts)]}
    empty = ("types", "arms")
    return with_verdicts([*gold, *people], known), {k: v for k, v in report.items() if v or k not in empty}


def same_family(judge: str, policy: str) -> str:
    """The family that a judge and the policy are both of, by their names; empty where they are not of one.

    Judges favour what is like themselves: partial correlations of 0.4 to 0.6 between verdict and likeness were found.
    """
    one, two = (_family(name) for name in (judge, policy))
    return one if one == two else ""


def _family(model: str) -> str:
    """ "qwen" of "Qwen/Qwen2.5-VL-7B-Instruct"."""
    found = re.match(r"[a-z]+", model.rpartition("/")[2].lower())
    return found[0] if found else ""


def _rivals(
    gold: Sequence[GoldVerdict], entrants: Sequence[Entrant], judges: Sequence[Judge], known: dict[str, Judgement]
) -> list[Contender]:
    """Every judge on the dev split, if there are several; what the chosen one said there is noted."""
    dev = [row for row in gold if row.split == "dev"]
    if len(judges) < 2 or not dev:
        return []
    told = [judged(dev, judge) for judge in judges]
    names = [(each.name, judge.prompt) for each, judge in zip(entrants, judges, strict=True)]
    found = contenders(names, dev, told)
    best = next(number for number, rival in enumerate(found) if rival.chosen)
    known.update({row.id: said for row, said in zip(dev, told[best], strict=True)})
    return found


def took(counts: Counts) -> Mapping[str, Any]:
    """What judging came to, as it is kept: seconds to a tenth, for an in-process judge takes none, run after run."""
    requests, verdicts = counts.requests, max(1, counts.wanted)
    tokens = requests.prompt_tokens + requests.completion_tokens
    return {
        "requests": requests.requests,
        "requests_failed": sum(requests.failures.values()),
        "replies_unhealthy": counts.unhealthy,
        "requests_asked_again": counts.asked_again,
        "prompt_tokens": requests.prompt_tokens,
        "completion_tokens": requests.completion_tokens,
        "tokens_per_1000_verdicts": round(1000 * tokens / verdicts, 1),
        "cost_usd": round(requests.cost_usd, 6),
        "p50_s": round(requests.p50_s, 1),
        "p95_s": round(requests.p95_s, 1),
    }
