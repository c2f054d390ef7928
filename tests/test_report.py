"""The page and its words, on invented studies that look like the measured one."""

import html.parser
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from perception_r1.compare import JudgeErrors, Plan, compare_models, spread
from perception_r1.compare.corrections import corrections
from perception_r1.compare.words import pvalue, signed
from perception_r1.records import Prediction
from perception_r1.report import Findings, page, summary, verdict
from perception_r1.report.findings import Alarm
from perception_r1.report.pictures import curves, scale, slopes, strip, terms

ITEMS = 513
Rates = Mapping[str, Sequence[tuple[float, float]]]  # of each arm: answer right and all facts right, seed by seed

# what was measured on the embedded world, in round numbers
CLAIM: Rates = {
    "base": [(0.61, 0.08), (0.59, 0.11), (0.67, 0.13)],
    "accuracy": [(0.62, 0.11), (0.58, 0.13), (0.67, 0.25)],
    "perception_r1": [(0.74, 0.55), (0.76, 0.62), (0.89, 0.82)],
}
CONTROL: Rates = {**CLAIM, "control": [(0.70, 0.54), (0.68, 0.50), (0.74, 0.61)]}
NULL: Rates = {
    "base": [(0.61, 0.08), (0.59, 0.11), (0.67, 0.13)],
    "accuracy": [(0.64, 0.14), (0.60, 0.11), (0.66, 0.15)],
    "perception_r1": [(0.63, 0.19), (0.61, 0.08), (0.67, 0.17)],
}
WORSE: Rates = {
    "base": [(0.61, 0.40), (0.59, 0.42), (0.67, 0.38)],
    "accuracy": [(0.64, 0.44), (0.60, 0.45), (0.66, 0.44)],
    "perception_r1": [(0.63, 0.19), (0.61, 0.18), (0.67, 0.17)],
}
PARTIAL: Rates = {
    "base": [(0.6, 0.1)] * 6,
    "accuracy": [(0.6, 0.3)] * 6,
    "perception_r1": [(0.7, x) for x in (0.6, 0.55, 0.6, 0.65, 0.25, 0.6)],
}


def predictions(rates: Rates, items: int = ITEMS, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows with these rates, to the nearest item; which items are right is drawn anew for every run."""
    rng = random.Random(seed)
    for arm, of_seeds in rates.items():
        for run, (right, sees) in enumerate(of_seeds):
            answers, facts = (set(rng.sample(range(items), round(rate * items))) for rate in (right, sees))
            for i in range(items):
                yield asdict(
                    Prediction(
                        model=arm,
                        seed=run,
                        benchmark="world",
                        item=str(i),
                        group=str(i),
                        stratum=("cmp", "diff", "max")[i % 3],
                        condition="full",
                        response="",
                        status="answered",
                        value=None,
                        rule="",
                        gold="",
                        correct=i in answers,
                        facts=3,
                        facts_right=0,
                        facts_wrong=0,
                        perceived=i in facts,
                        tokens=36,
                    )
                )


def learning(arm: str, steps: int = 120) -> list[dict[str, float]]:
    """An invented learning curve."""
    rng = random.Random(arm)
    found = []
    for step in range(1, steps + 1):
        done = step / steps
        row = {
            "step": step,
            "accuracy": 0.7 + 0.15 * done,
            "format": 0.97 + 0.03 * done,
            "repetition": -0.1 + 0.1 * done,
        }
        if arm == "perception_r1":
            row["perception"] = 0.35 + 0.5 * done
        found.append({k: v if k == "step" else min(1.0, v + rng.gauss(0, 0.03)) for k, v in row.items()})
    return found


def plan_of(arms: Sequence[str]) -> Plan:
    """The arms against the model before training, and the two that the answer is about."""
    met = [("accuracy", "perception_r1")]
    return Plan(contrasts=(*(("base", arm) for arm in arms), *met), comparable=met)


def findings(rates: Rates, **other: Any) -> Findings:
    """An invented study with these rates."""
    rows = list(predictions(rates, other.pop("items", ITEMS)))
    arms = [arm for arm in rates if arm != "base"]
    made = Findings(
        title="Did it see better, or only answer better?",
        meaningless=False,
        contrasts=compare_models(rows, plan_of(arms)),
        spread=spread(rows),
        judge={
            "kappa": 0.973,
            "kappa_low": 0.951,
            "sensitivity": 0.991,
            "specificity": 0.982,
            "judged": 1284,
            "matcher_precision": None,
            "confusion": ((410, 2, 3, 0), (1, 430, 6, 0)),
            "slices": [
                {"slice": "paraphrase", "n": 420, "right": 413, "falsely_credited": 1, "unknown": 0},
                {"slice": "wrong number", "n": 431, "right": 424, "falsely_credited": 5, "unknown": 2},
            ],
            "gates": [
                {"name": "kappa", "says": "kappa 0.951, at least 0.6 (lower limit)", "passed": True},
                {"name": "false_credit", "measured": 0.071, "limit": 0.05, "passed": False},
            ],
        },
        funnel=[
            ("problems", 960),
            ("trajectories", 2880),
            ("with the right answer", 2531),
            ("facts extracted", 7412),
            ("after hygiene", 2702),
        ],
        quality={"precision": 0.994, "recall": 0.938},
        config={"name": "embedded", "train": {"model": "world", "steps": 120, "seeds": [0, 1, 2]}},
        versions=[("annotations", "annotations/embedded@3"), ("predictions", "predictions/embedded@7")],
        made="2026-11-21 14:02 UTC",
        control="control" if "control" in rates else "",
        rollouts={arm: learning(arm) for arm in arms},
    )
    return replace(made, **other)


def first_seed(rates: Rates) -> Rates:
    return {arm: of_seeds[:1] for arm, of_seeds in rates.items()}


STUDIES: dict[str, Callable[[], Findings]] = {
    "claim": lambda: findings(CLAIM),
    "control": lambda: findings(CONTROL),
    "one-seed": lambda: findings(first_seed(CLAIM)),
    "null": lambda: findings(NULL),
    "worse": lambda: findings(WORSE),
    "meaningless": lambda: findings(first_seed(NULL), meaningless=True, items=24),
}


@cache
def study(name: str) -> Findings:
    return STUDIES[name]()


# The sentence


@pytest.mark.parametrize(
    ("name", "begins", "holds"),
    [
        pytest.param("claim", "It sees better: all facts right on 66.3 %", "ahead in 3 of 3 seeds.", id="claim"),
        pytest.param(
            "null", "No difference is shown in what it sees:", "which includes 0), ahead in 2 of 3", id="null"
        ),
        pytest.param("worse", "It sees worse:", "ahead in 0 of 3 seeds.", id="worse"),
        pytest.param("one-seed", "One seed cannot settle it:", "one training run cannot tell", id="one-seed"),
        pytest.param("meaningless", "Too small to tell:", "support no conclusion.", id="meaningless"),
    ],
)
def test_the_verdict_says_what_was_found(name: str, begins: str, holds: str) -> None:
    said = verdict(study(name))
    assert said.startswith(begins)
    assert holds in said


def test_better_on_average_but_not_in_every_seed_is_said() -> None:
    said = verdict(findings(PARTIAL))
    assert said.startswith("It sees better on average, but not in every seed:")
    assert "ahead in 5 of 6 seeds" in said


def test_ahead_on_average_with_an_interval_around_0_is_no_difference_shown() -> None:
    rates = {
        "base": [(0.5, 0.1)] * 3,
        "accuracy": [(0.5, 0.1)] * 3,
        "perception_r1": [(0.5, x) for x in (0.6, 0.05, 0.2)],
    }
    said = verdict(findings(rates))
    assert said.startswith("No difference is shown") and "which includes 0" in said and "ahead in 2 of 3" in said


def test_a_difference_that_does_not_survive_holm_is_said_not_to_hold() -> None:
    made = study("claim")
    weak = [replace(row, p_adjusted=0.079) for row in made.contrasts]
    assert verdict(replace(made, contrasts=weak)).endswith(
        "; as one of several tests it does not hold (after Holm p = .079)."
    )


def test_seeds_that_all_differ_alike_leave_the_chance_of_the_items() -> None:
    rates = {"base": [(0.5, 0.1)] * 2, "accuracy": [(0.5, 0.2)] * 2, "perception_r1": [(0.5, 0.4)] * 2}
    said = verdict(findings(rates, items=100))
    # (MS_items + 0 - MS_rest) over items x seeds: about that of 200 independent differences, not a width of 0
    assert (
        said.startswith("It sees better: all facts right on 40.0 %") and "interval over items and seeds +10.7" in said
    )


def test_where_everything_is_alike_no_interval_is_claimed() -> None:
    rates = {"base": [(0.0, 0.0)] * 2, "accuracy": [(0.0, 0.0)] * 2, "perception_r1": [(1.0, 1.0)] * 2}
    said = verdict(findings(rates, items=20))
    assert said.startswith("No difference is shown") and "no interval can be given" in said


def test_what_was_not_declared_is_called_exploratory() -> None:
    made = study("claim")
    undeclared = compare_models(predictions(CLAIM, 60), Plan(comparable=[("accuracy", "perception_r1")]))
    assert verdict(replace(made, contrasts=undeclared)).startswith("Exploratory, as this contrast was not declared")
    text = page(replace(made, contrasts=undeclared))
    assert "No contrast was declared beforehand, so nothing here is a claim" in " ".join(text.split())


def test_without_known_facts_or_without_two_arms_nothing_is_claimed() -> None:
    made = study("claim")
    answers = [row for row in made.contrasts if row.outcome == "answer right"]
    assert verdict(replace(made, contrasts=answers)).startswith("Nothing is known of what the models see")
    assert verdict(replace(made, contrasts=[])).startswith("Nothing is known of what the models see")


def test_each_benchmark_has_its_sentence_and_changed_pictures_have_none() -> None:
    made = study("claim")
    charts = [replace(row, benchmark="charts") for row in study("worse").contrasts]
    noise = [replace(row, condition="noise") for row in made.contrasts]
    said = verdict(replace(made, contrasts=[*charts, *made.contrasts, *noise]))
    assert re.findall(r"On (\w+): (It sees \w+)", said) == [("charts", "It sees worse"), ("world", "It sees better")]
    assert "noise" not in said


# The page


class Reader(html.parser.HTMLParser):
    """Collects tags, headings, cells and texts, and checks that what is opened is closed in turn."""

    EMPTY = frozenset({"meta", "br", "hr", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()
        elif "h2" in self.open:
            self.headings.append(data)
        self.texts.append(data)


HEADINGS = [
    "Before and after training",
    "Arm against arm",
    "Every test that was declared",
    "What such a study can find",
    "Spread over seeds",
    "The control",
    "How it was tested",
    "What this can show, and what it cannot",
    "The judge",
    "The annotations",
    "Learning curves",
    "Where the numbers come from",
]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_the_whole_page(name: str) -> None:
    made = study(name)
    read = Reader(page(made))
    assert read.headings == HEADINGS
    text = " ".join(read.texts).replace("\u00a0", " ")
    assert verdict(made) in text
    assert "built to be lazy" in " ".join(text.split())
    assert ("These numbers are too small for any conclusion." in text) == made.meaningless


def test_changed_pictures_have_no_tables_of_their_own_beside_the_exploratory_ones() -> None:
    rows = [row | {"condition": name} for name in ("full", "none") for row in predictions(CLAIM, 60)]
    made = replace(study("claim"), contrasts=compare_models(rows, plan_of(["accuracy", "perception_r1"])))
    assert "world (none)" not in summary(made)
    text = page(made)
    assert "world: accuracy, none → full" in text and "also asked with the picture changed (none)" in text
    before, _, explored = text.partition("<summary>Exploratory:")
    assert "world (none): base → accuracy" in explored and "world (none)" not in before


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = page(study("control"))
    read = Reader(text)
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in read.tags}
    loading = {"src", "href", "xlink:href", "srcset", "action", "data", "onload", "onclick"}
    assert [attributes for _, attributes in read.tags if loading & attributes.keys()] == []
    assert not re.search(r"https?:|//|@import|url\(", text)


def test_the_same_findings_give_the_same_page() -> None:
    assert page(study("control")) == page(STUDIES["control"]())
    assert summary(study("control")) == summary(STUDIES["control"]())


HOSTILE = "</td><script>alert('1')</script>\"&amp;{{ 7 * 7 }}"


def test_names_are_text_wherever_they_come_from() -> None:
    rates = {"base": CLAIM["base"], "accuracy": CLAIM["accuracy"], HOSTILE: CLAIM["perception_r1"]}
    rows = [row | {"benchmark": HOSTILE, "stratum": HOSTILE} for row in predictions(rates, 40)]
    made = replace(
        study("claim"),
        title=HOSTILE,
        contrasts=compare_models(rows),
        spread=spread(rows),
        judge={HOSTILE: HOSTILE, "gates": [{"says": HOSTILE, "passed": False}], "slices": [{HOSTILE: HOSTILE}]},
        funnel=[(HOSTILE, 3)],
        quality={HOSTILE: HOSTILE},
        config={"name": HOSTILE, HOSTILE: HOSTILE},
        versions=[(HOSTILE, HOSTILE)],
        made=HOSTILE,
        control=HOSTILE,
        rollouts={HOSTILE: [{HOSTILE: 0.5}]},
        looks={HOSTILE: [{HOSTILE: 0.5}]},
        alarms=[Alarm(HOSTILE, 0, 1, HOSTILE)],
    )
    text = page(made)
    assert "<script" not in text.lower()
    assert not re.search(r"\b49\b", text.split("</style>")[1]), "a template in a name was run"
    read = Reader(text)
    assert sum(HOSTILE in said for said in [*read.texts, *(cell for row in read.rows for cell in row)]) > 20
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)


def test_the_table_of_seeds_holds_rates_and_exact_p_values() -> None:
    made = study("claim")
    read = Reader(page(made))
    seeds = [row for row in read.rows if len(row) == 7 and row[0] in {"0", "1", "2", "mean"}]
    # seed 0 of both arms: 513 items, so .61 is 313 of them (61.0 %), .11 is 56 (10.9 %)
    assert [row[:3] for row in seeds if row[0] == "0"] == [["0", "61.0", "62.0"], ["0", "61.0", "74.1"]]
    (row,) = [
        r
        for r in made.contrasts
        if (r.second, r.seed, r.outcome, r.first) == ("accuracy", 0, "all facts right", "base")
    ]
    exact = stats.binomtest(row.b or 0, (row.b or 0) + (row.c or 0)).pvalue
    assert seeds[0][4:] == ["8.0", "10.9", f"{exact:.3f}"[1:]]


def test_arms_meet_with_interval_p_and_holm() -> None:
    read = Reader(page(study("claim")))
    means = [row for row in read.rows if len(row) == 9 and row[0] == "mean"]
    expected = stats.ttest_1samp([(282 - 56) / 513, (318 - 67) / 513, (421 - 128) / 513], 0)
    low, high = (100 * x for x in expected.confidence_interval(0.95))
    reach = f"+{low:.1f} to +{high:.1f}"
    p = f"{expected.pvalue:.3f}"[1:]
    family = [r for r in study("claim").contrasts if r.outcome == "all facts right" and r.seed is None]
    place = next(i for i, r in enumerate(family) if (r.first, r.second) == ("accuracy", "perception_r1"))
    adjusted = f"{multipletests([r.p for r in family], method='holm')[1][place]:.3f}"[1:]
    assert means[1] == ["mean", "16.3", "66.3", "0 / 3", "+50.0", reach, "", p, f"{adjusted}*"]


def test_a_missing_control_says_how_to_run_it_and_one_that_ran_what_it_changed() -> None:
    assert "Not run: use <code>--profile full</code>" in page(study("claim"))
    text = page(study("control"))
    assert "Not run" not in text
    assert "all facts right 10.7\u00a0% before and 55.0\u00a0% after training control" in text


def test_a_real_model_is_not_called_a_controlled_experiment() -> None:
    text = page(replace(study("claim"), config={"name": "paper", "train": {"model": "big"}}))
    assert "lazy" not in text and "verdicts from a judge; both err" in " ".join(text.split())


def test_judge_gates_slices_and_unknown_metrics_are_shown() -> None:
    read = Reader(page(study("claim")))
    assert ["kappa 0.951, at least 0.6 (lower limit)", "passed"] in read.rows
    assert ["false credit 0.071, limit 0.050", "failed"] in read.rows
    assert ["wrong number", "431", "424", "5", "2"] in read.rows
    assert "matcher precision" in read.texts and "confusion" not in read.texts


def test_a_report_of_nothing_is_still_a_page() -> None:
    empty = replace(
        study("claim"), contrasts=[], spread=[], judge={}, funnel=[], quality=None, versions=[], rollouts={}
    )
    read = Reader(page(empty))
    assert read.headings == [name for name in HEADINGS if name not in ("Learning curves", "What such a study can find")]
    assert "Not validated in this run." in read.texts
    assert summary(empty).startswith("Did it see better")


# The drawings


def coordinates(drawn: str, class_: str) -> list[tuple[float, ...]]:
    """x1, x2, y1, y2 of the lines of a class."""
    found = re.findall(rf'<line x1="([^"]+)" x2="([^"]+)" y1="([^"]+)" y2="([^"]+)" class="{class_}"', drawn)
    return [tuple(map(float, line)) for line in found]


def test_slopes_stand_on_a_scale_from_0_to_100_percent() -> None:
    contrasts = findings(CLAIM, items=100).contrasts
    rows = [r for r in contrasts if r.kind == "before and after" and r.outcome == "all facts right"]
    drawn = str(slopes(rows, ["accuracy", "perception_r1"]))
    grid = [y for _, _, y, _ in coordinates(drawn, "grid")]
    assert grid == [250, 191.5, 133, 74.5, 16]
    seeds = [(y1, y2) for _, _, y1, y2 in coordinates(drawn, "seed")]
    expected = [(0.08, 0.11), (0.11, 0.13), (0.13, 0.25), (0.08, 0.55), (0.11, 0.62), (0.13, 0.82)]
    assert seeds == [tuple(pytest.approx(250 - 234 * rate, abs=0.051) for rate in pair) for pair in expected]
    assert len(coordinates(drawn, "mean")) == 2


def test_names_beside_the_lines_never_meet() -> None:
    arms = [f"arm{i}" for i in range(8)]
    rates = {"base": [(0.5, 0.1)], **{arm: [(0.5, 0.01 * i)] for i, arm in enumerate(arms)}}
    contrasts = compare_models(predictions(rates, 100), Plan(comparable=[]))
    drawn = str(slopes([r for r in contrasts if r.outcome == "all facts right"], arms))
    heights = [float(y) for y in re.findall(r'<text x="288" y="([^"]+)"', drawn)]
    assert len(heights) == 8
    assert all(later - earlier >= 16.9 for earlier, later in pairwise(heights))
    assert max(heights) <= 254.1


def test_intervals_share_a_scale_on_which_0_stands_still() -> None:
    rows = [r for r in study("null").contrasts if r.kind == "arm against arm" and r.outcome == "all facts right"]
    zeros = {line[0] for row in rows for line in coordinates(str(strip(row, scale(rows))), "zero")}
    assert len(zeros) == 1 and 0 < zeros.pop() < 180


def test_curves_leave_out_what_is_not_known() -> None:
    rollouts = {"a": [{"accuracy": 0.5, "perception": None}, {"accuracy": math.nan}, {"accuracy": 1.0}]}
    assert terms(rollouts) == ["accuracy"]
    drawn = str(curves(rollouts, {}, "accuracy", ["a"]))
    assert "nan" not in drawn
    # steps 1 and 3 of 3 at .5 and 1 on a scale of 0 to 1 between y = 156 and y = 12
    assert 'd="M158.7 84.0L392.0 12.0" class="mean"' in drawn


def test_what_was_held_out_is_drawn_beside_the_reward_and_alarms_are_told() -> None:
    looks = {"accuracy": [{"step": 0, "accuracy": 0.0, "all_seen": 0.5}, {"step": 120, "accuracy": 1.0}]}
    made = replace(study("claim"), looks=looks, alarms=[Alarm("accuracy", 2, 80, "responses are 2.0 times as long")])
    text = page(made)
    read = Reader(text)
    assert 'd="M42.0 156.0L392.0 12.0" class="heldout"' in text
    assert text.count('class="heldout"') == 2, "a panel of its own for what no reward is given for"
    assert ["accuracy", "2", "80", "responses are 2.0 times as long"] in read.rows
    assert "No look rang an alarm" not in text
    assert "No look rang an alarm" in page(replace(made, alarms=()))
    assert 'class="heldout"' not in (plain := page(study("claim")))
    assert "Alarms" not in plain


# The terminal


@pytest.mark.parametrize("name", STUDIES)
def test_the_summary_fits_a_hundred_columns_and_says_the_verdict(name: str) -> None:
    made = study(name)
    said = summary(made)
    assert max(map(len, said.splitlines())) <= 100
    assert verdict(made) in " ".join(said.split())
    assert ("MEANINGLESS" in said) == made.meaningless
    assert ("Control: not run; use --profile full." in said) == (not made.control)


def test_the_terminal_shows_beside_a_judged_test_what_is_left_without_the_judges_errors() -> None:
    study = findings(CLAIM)
    errors = {arm: JudgeErrors(0.9, 0.95, 300, 300) for arm in CLAIM}
    made = corrections(list(predictions(CLAIM)), study.contrasts, ["world"], errors)
    said = summary(replace(study, corrections=made))
    (first,) = (m for m in made if (m.first, m.second, m.seed) == ("accuracy", "perception_r1", 0))
    raw, right = said.split("with the judge's errors taken out\n")
    assert "all facts right, perception_r1 against accuracy" in raw
    lines = right.splitlines()[:3]
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert signed(first.difference) in lines[0] and lines[0].endswith("by error rates")
    assert "taken out" not in summary(study)


def test_long_names_do_not_widen_the_summary() -> None:
    name = "n" * 64
    rows = [row | {"benchmark": name, "model": row["model"][:4] * 16} for row in predictions(CLAIM, 40)]
    rows = [row | {"model": "base"} if row["model"].startswith("base") else row for row in rows]
    said = summary(replace(study("claim"), contrasts=compare_models(rows), spread=spread(rows), title="t" * 90))
    assert max(map(len, said.splitlines())) <= 100


def test_the_summary_has_the_numbers_of_the_page() -> None:
    lines = [" ".join(line.split()) for line in summary(study("claim")).splitlines()]
    assert "accuracy mean 62.4 62.4 1 10.7 16.3 .212" in lines
    assert "mean 16.3 66.3 +50.0 +33.6 to +66.4 .006 .017 *" in lines


# Numbers in words


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.0004, "<.001"), (0.001, ".001"), (0.0412, ".041"), (0.5, ".500"), (0.9996, "1"), (1.0, "1")],
)
def test_p_values_are_printed_as_journals_do(p: float, said: str) -> None:
    assert pvalue(p) == said


def test_differences_have_signs_and_0_has_none() -> None:
    assert [signed(x) for x in (0.029, -0.029, 0.0, -0.0001)] == ["+2.9", "−2.9", "0.0", "0.0"]
