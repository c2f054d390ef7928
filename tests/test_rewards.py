r"""The rewards: each says what it says it says, and a failed judge neither costs nor pays."""

import random
import statistics
from collections.abc import Sequence

import pytest

from perception_r1.recipes import RECIPES
from perception_r1.records import AnswerType, Completion, Judgement, Verdict
from perception_r1.rewards import REWARDS
from perception_r1.rewards.combined import combined, impute
from perception_r1.rewards.perception import perception_reward
from perception_r1.rewards.repetition import paper_penalty
from perception_r1.rewards.tied import capped, decided_by_judge
from perception_r1.sections import Weight


def completion(text: str, answer: str = "24", answer_type: AnswerType = "integer", **rest: object) -> Completion:
    return Completion(text, answer, answer_type, **rest)  # type: ignore[arg-type]


def test_every_recipe_weighs_rewards_that_there_are() -> None:
    assert all(recipe.weights.keys() <= REWARDS.keys() for recipe in RECIPES.values())
    assert {"accuracy", "perception_r1", "perception_r1_gate", "grpo_d"} <= RECIPES.keys()


GOOD = "<think>AB is 24.</think><answer>\\boxed{24}</answer>"


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        pytest.param(GOOD, 1.0, id="right"),
        pytest.param(GOOD.replace("{24}", "{7}"), 0.0, id="wrong"),
        pytest.param("I guess 24", 0.0, id="A4-no-answer-given"),
        pytest.param("Step 22. Step 23. Step 24", 0.0, id="A4-cut-off"),
        pytest.param(r"<think>\boxed{24}", 0.0, id="thought-not-closed"),
    ],
)
def test_accuracy_is_the_evaluations_grade(text: str, reward: float) -> None:
    assert REWARDS["accuracy"](completion(text)) == reward


def test_a_response_that_was_cut_off_answers_nothing() -> None:
    assert REWARDS["accuracy"](completion(GOOD, truncated=True)) == 0.0


def test_accuracy_knows_the_items_own_choices() -> None:
    assert REWARDS["accuracy"](completion(r"\boxed{B}", "B", "letter", choices=("24", "30"))) == 1.0
    assert REWARDS["accuracy"](completion(r"\boxed{30}", "B", "letter", choices=("24", "30"))) == 1.0
    assert REWARDS["accuracy"](completion(r"\boxed{C}", "B", "letter", choices=("24", "30"))) == 0.0


FORMATS = {
    "A5-as-the-prompt-shows-it": (GOOD, 1.0),
    "A5-new-lines-inside": ("<think>\nAB\n</think>\n<answer>\n\\boxed{24}\n</answer>", 1.0),
    "A5-blank-line-between": ("<think>AB</think>\n\n<answer>\\boxed{24}</answer>", 1.0),
    "A5-trailing-new-line": (GOOD + "\n", 1.0),
    "words-beside-the-box": ("<think>AB</think><answer>So \\boxed{\\frac{1}{2}} it is.</answer>", 1.0),
    "A6-two-of-everything": (GOOD + GOOD, 0.0),
    "A6-two-answers": (GOOD + "<answer>\\boxed{7}</answer>", 0.0),
    "A6-second-end-of-thought": ("<think>a</think></think><answer>\\boxed{24}</answer>", 0.0),
    "A6-empty-box": ("<think>AB</think><answer>\\boxed{ }</answer>", 0.0),
    "A6-empty-thought": ("<think> \n</think><answer>\\boxed{24}</answer>", 0.0),
    "two-boxes": ("<think>AB</think><answer>\\boxed{24} \\boxed{24}</answer>", 0.0),
    "no-box": ("<think>AB</think><answer>24</answer>", 0.0),
    "unclosed-box": ("<think>AB</think><answer>\\boxed{24</answer>", 0.0),
    "text-before": ("Well. " + GOOD, 0.0),
    "text-between": ("<think>AB</think> so <answer>\\boxed{24}</answer>", 0.0),
    "text-behind": (GOOD + " Done.", 0.0),
    "answer-first": ("<answer>\\boxed{24}</answer><think>AB</think>", 0.0),
    "answer-inside-thought": ("<think><answer>\\boxed{24}</answer></think>", 0.0),
    "cut-off": ("<think>AB</think><answer>\\boxed{24}", 0.0),
    "empty": ("", 0.0),
    "many-tags": ("<think>" + "</think><answer>" * 6000, 0.0),
}


@pytest.mark.parametrize(("text", "reward"), FORMATS.values(), ids=FORMATS)
def test_format_is_the_layout_that_the_prompt_shows(text: str, reward: float) -> None:
    assert REWARDS["format"](completion(text)) == reward


SENTENCE = "In this figure the segment AB is five units long and the segment BC is seven units long so AC is twelve."
PROOF = (
    "From the figure, triangle ABC has a right angle at C. The length of side AC is 3 and the length of side BC is 4. "
    "By the Pythagorean theorem, the length of side AB is the square root of 3 squared plus 4 squared, that is 5. "
    "The altitude from C to AB has length AC times BC divided by AB, which is 12 over 5. Therefore the area of "
    "triangle ABC is one half times 5 times 12 over 5, which is 6. To check, the area of triangle ABC is also one "
    "half times AC times BC, which is 6. The perimeter is 3 plus 4 plus 5, which is 12, so the inradius is 1."
)
ANGLES = ("ABC", "BCD", "CDE", "DEF")
COSTLESS = {
    "short-chain": "Bar A is 7. Bar B is 5. Bar C is 2. The tallest is A.",
    "equal-heights": "<think>Bar A is 7. Bar B is 7. Bar C is 7. 7 = 7.</think>\n<answer>\\boxed{A}</answer>",
    "eight-facts-of-one-form": " ".join(f"Bar {number} is {number * 7 % 10}." for number in range(8)),
    "four-angles": " ".join(f"The measure of angle {angle} is 4{n} degrees." for n, angle in enumerate(ANGLES)),
    "proof": PROOF,
    "sentence": SENTENCE,
    "one-letter": "a",
    "empty": "",
}
REPEATED = {  # the share that is said again, by hand, and what the paper's own rule takes (its measured values)
    "G1-twice": (" ".join([SENTENCE] * 2), 0.5, None),
    "G1-five-times": (" ".join([SENTENCE] * 5), 0.8, None),
    "G1-twenty-times": (" ".join([SENTENCE] * 20), 0.95, None),
    "G2-with-a-counter": (" ".join(f"{number}. {SENTENCE}" for number in range(20)), 0.94, None),
    "G3-short-fact-with-a-counter": (" ".join(f"{n} AB = 5 and BC = 7 ." for n in range(200)), 0.96, 0.0),
    "G4-no-spaces": ("AB=5," * 4000, 1.0, 0.0),
    "G4-formula": (r"\frac{1}{2}+" * 300, 0.997, 0.0),
    "G4-chinese": ("角ABC是四十五度，所以AB等于BC。" * 50, 0.98, 0.0),
    "G4-chinese-with-a-counter": ("".join(f"第{number}步，AB等于五。" for number in range(100)), 0.92, 0.0),
    "loop-of-a-short-fact": ("Bar A is 7. " * 20, 0.95, None),
    "one-letter": ("x" * 5000, 1.0, 0.0),
    "G5-one-block-of-many": (f"{PROOF} {PROOF[:150]}", 0.2, None),
}


@pytest.mark.parametrize("text", COSTLESS.values(), ids=COSTLESS)
def test_a_normal_response_costs_nothing(text: str) -> None:
    assert REWARDS["repetition"](completion(text)) == 0.0


@pytest.mark.parametrize(("text", "share", "papers"), REPEATED.values(), ids=REPEATED)
def test_repetition_costs_the_share_that_is_said_again(text: str, share: float, papers: float | None) -> None:
    assert REWARDS["repetition"](completion(text)) == pytest.approx(-share, abs=0.03)
    assert papers is None or paper_penalty(text) == pytest.approx(papers)


@pytest.mark.parametrize(("times", "penalty"), [(1, 0.0), (2, -0.24), (3, -1.0638), (5, -1.5165), (20, -1.8955)])
def test_the_papers_penalty_is_the_papers(times: int, penalty: float) -> None:
    sentence = " ".join(f"w{number}" for number in range(22))
    assert paper_penalty(" ".join([sentence] * times)) == pytest.approx(penalty, abs=5e-5)


def judged(*verdicts: Verdict) -> Completion:
    return completion(GOOD, judgements=tuple(Judgement(str(n), v, "judge") for n, v in enumerate(verdicts)))


@pytest.mark.parametrize(
    ("verdicts", "reward"),
    [
        pytest.param(("supported",), 1.0, id="all-seen"),
        pytest.param(("supported", "absent", "absent", "absent"), 0.25, id="a-quarter-seen"),
        pytest.param(("supported", "contradicted"), 0.0, id="one-seen-one-contradicted"),
        pytest.param(("contradicted", "contradicted"), -1.0, id="all-contradicted"),
        pytest.param(("absent",), 0.0, id="nothing-said"),
        pytest.param(("supported", "unknown"), None, id="unknown-is-no-score"),
        pytest.param((), None, id="nothing-known"),
    ],
)
def test_perception_is_what_was_seen_less_what_was_contradicted(
    verdicts: tuple[Verdict, ...], reward: float | None
) -> None:
    assert REWARDS["perception"](judged(*verdicts)) == reward


def test_the_papers_rule_pays_for_what_was_seen_whatever_else_was_said() -> None:
    hedging = judged("supported", "contradicted", "absent", "absent")
    assert [perception_reward(hedging, rule) for rule in ("signed", "recall", "gate")] == [0.0, 0.25, 0.0]
    assert perception_reward(judged("supported", "unknown"), "recall") is None


@pytest.mark.parametrize(
    ("terms", "filled"),
    [
        ([1.0, None, 0.0, 0.5], [1.0, 0.5, 0.0, 0.5]),
        ([None, None], [0.0, 0.0]),
        ([None, -1.0], [-1.0, -1.0]),
        ([0.25, 0.75], [0.25, 0.75]),
    ],
)
def test_the_unknown_is_the_mean_of_what_is_known(terms: list[float | None], filled: list[float]) -> None:
    assert impute(terms) == filled


def advantages(rewards: Sequence[float | None]) -> list[float]:
    """GRPO's: less the group's mean, over its standard deviation."""
    known = [reward for reward in rewards if reward is not None]
    assert len(known) == len(rewards)
    return [(reward - statistics.mean(known)) / (statistics.stdev(known) + 1e-4) for reward in known]


WEIGHTS = {"accuracy": 1.0, "format": 0.5, "perception": 0.5}
ACCURACY = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
FORMAT = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
SEEN = [0.5, 0.25, 0.75, 0.5, 0.5, 0.25, 0.75, 0.5]  # the best completion sees as much as the group does


def total(perception: Sequence[float | None]) -> list[float | None]:
    return combined({"accuracy": ACCURACY, "format": FORMAT, "perception": perception}, WEIGHTS, 8)


def test_the_best_completions_advantage_does_not_fall_when_its_judge_fails() -> None:
    failed = [None, *SEEN[1:]]
    before, after = advantages(total(SEEN)), advantages(total(failed))
    stock = advantages(total([0.0, *SEEN[1:]]))  # a sum that leaves the unknown out
    assert after == pytest.approx(before)
    assert stock[0] < before[0] - 0.2


def test_a_failed_judge_never_costs_more_than_under_the_stock_sum() -> None:
    chance = random.Random(0)
    for _ in range(200):
        seen = [chance.choice((0.0, 0.25, 0.5, 1.0)) for _ in range(8)]
        row = chance.randrange(8)
        imputed = advantages(total([None if n == row else s for n, s in enumerate(seen)]))
        stock = advantages(total([0.0 if n == row else s for n, s in enumerate(seen)]))
        assert imputed[row] >= stock[row] - 1e-9


def test_a_row_with_an_unknown_reward_can_be_dropped_instead() -> None:
    terms = {"accuracy": [1.0, 0.0, 1.0, 1.0], "perception": [None, 1.0, 0.5, None]}
    weights = {"accuracy": 1.0, "perception": 0.5}
    assert combined(terms, weights, 2, "drop_row") == [None, 0.5, 1.25, None]
    assert combined(terms, weights, 2, "group_mean") == [1.5, 0.5, 1.25, 1.25]


def test_a_reward_without_a_weight_is_no_part_of_the_sum() -> None:
    terms = {"accuracy": [1.0, 0.0], "perception": [None, None]}
    assert combined(terms, {"accuracy": 1.0}, 2, "drop_row") == [1.0, 0.0]


def test_half_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="3 rewards are no whole number of groups of 2"):
        combined({"accuracy": [1.0, 0.0, 1.0]}, {"accuracy": 1.0}, 2)


def test_accuracy_is_as_near_as_the_item_asks() -> None:
    rounded = r"<think></think><answer>\boxed{0.3335}</answer>"
    assert REWARDS["accuracy"](completion(rounded, "0.3333", "float", precision=0.001)) == 1.0
    assert REWARDS["accuracy"](completion(rounded, "0.3333", "float")) == 0.0


def test_rewards_that_all_weigh_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no reward has a weight"):
        combined({"accuracy": [1.0, 0.0]}, {"accuracy": 0.0}, 2)


def test_behind_a_gate_a_right_answer_pays_as_far_as_it_was_seen() -> None:
    terms: dict[Weight, list[float | None]] = {"accuracy": [1.0, 1.0, 0.0, 1.0], "perception": [1.0, -0.5, 1.0, 0.5]}
    assert combined(terms, {"accuracy": 1.0}, 4, gate=True) == [1.0, 0.0, 0.0, 0.5]
    assert combined(terms, {"accuracy": 1.0, "perception": 0.5}, 4, gate=True) == [1.5, -0.25, 0.5, 0.75]


def test_a_gate_whose_judge_failed_stands_as_open_as_the_others() -> None:
    terms: dict[Weight, list[float | None]] = {"accuracy": [1.0, 1.0, 1.0], "perception": [None, 1.0, 0.0]}
    assert combined(terms, {"accuracy": 1.0}, 3, gate=True) == [0.5, 1.0, 0.0]
    assert combined(terms, {"accuracy": 1.0}, 3, "drop_row", gate=True) == [None, 1.0, 0.0]


@pytest.mark.parametrize(
    ("tokens", "longest", "reward"),
    [(0, 100, 0.0), (80, 100, 0.0), (90, 100, -0.5), (100, 100, -1.0), (120, 100, -1.0), (50, 0, 0.0)],
)
def test_a_response_is_punished_in_the_last_fifth_of_the_limit(tokens: int, longest: int, reward: float) -> None:
    assert REWARDS["overlong"](completion(GOOD, tokens=tokens, longest=longest)) == pytest.approx(reward)


def test_one_flipped_verdict_in_a_tied_group_is_an_advantage_of_two_and_a_half_unless_it_is_capped() -> None:
    """Eight completions, alike but for one verdict of the judge: 0.6 instead of 0.8."""
    seen = [0.6] + [0.8] * 7
    stock = advantages(seen)
    assert stock[0] == pytest.approx(-2.47, abs=0.01)
    assert decided_by_judge(seen, [0.0] * 8)
    assert not decided_by_judge(seen, seen)
    assert not decided_by_judge([0.8] * 8, [0.0] * 8)
    held = capped(stock, [True], 8, greatest=0.5, share=1.0)
    assert held[0] == pytest.approx(-0.5)
    assert sum(held) == pytest.approx(sum(stock) * 0.5 / abs(stock[0]))
    assert capped(stock, [False], 8, greatest=0.5, share=1.0) == stock


def test_no_more_groups_than_the_share_are_decided_by_the_judge_alone() -> None:
    groups = [-2.0, 2.0, -1.0, 1.0, -3.0, 3.0, -1.5, 1.5]
    alone = [True, True, False, True]
    assert capped(groups, alone, 2, greatest=0.0, share=0.5) == [-2.0, 2.0, 0.0, 0.0, -3.0, 3.0, -1.5, 1.5]
    assert capped(groups, alone, 2, greatest=0.0, share=0.0) == [0.0, 0.0, 0.0, 0.0, -3.0, 3.0, 0.0, 0.0]
    assert capped(groups, alone, 2, greatest=0.0, share=1.0) == groups
