"""The options of a run do what they say: what is drawn again, frozen, left out, and which loss it is."""

import io
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perception_r1.config import load
from perception_r1.errors import ConfigError
from perception_r1.models import open_model, open_processor
from perception_r1.records import Problem
from perception_r1.sections import Kl, Train
from perception_r1.table import table_of
from perception_r1.train import data, ledger, parts
from perception_r1.train.settings import LOSSES, vllm_options
from perception_r1.train.spec import RunSpec
from perception_r1.world.charts import problems
from tests.saying import Saying
from tests.training import ROOT, planted, trainer_of, warm_base, weights

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # what transformers says about itself
    pytest.mark.timeout(600),  # the first test of a process warms a model up
]


def rows(spec: RunSpec) -> list[Any]:
    return [row for table in ledger.read(spec.rollouts) for row in table.to_pylist()]


def test_a_group_without_variance_gives_its_place_to_one_that_has_some(tmp_path: Path) -> None:
    """Rewarded for the right answer alone, many groups of four are all right or all wrong."""
    arms = "train.arms=[{name='x', recipe='accuracy', weights={format=0, repetition=0}}]"
    size = 4

    def drawn(name: str, redraws: int) -> list[Any]:
        spec = planted(tmp_path / name, arms, f"train.redraws={redraws}", "train.steps=3", arm=0)
        trainer_of(replace(spec, judge=None)).train()
        return rows(spec)

    def flat(found: list[Any]) -> int:
        groups: dict[Any, set[float]] = {}
        for row in found:
            if row["kept"]:
                groups.setdefault((row["step"], row["group"]), set()).add(row["reward"])
        return sum(len(rewards) == 1 for rewards in groups.values())

    stock, ours = drawn("stock", 0), drawn("ours", 3)
    assert flat(stock) > flat(ours)
    kept = [row for row in ours if row["kept"]]
    assert len(kept) == len(stock) == 3 * 4 * size
    assert {row["draw"] for row in kept} > {0}
    for row in (row for row in ours if not row["kept"]):
        assert row["advantage"] is None and row["text"]
    groups = {(row["step"], row["group"]): row["problem"] for row in kept}
    assert all(groups[row["step"], row["group"]] == row["problem"] for row in kept)
    for place in groups:
        group = [row for row in kept if (row["step"], row["group"]) == place]
        mean = sum(row["reward"] for row in group) / size
        spread = math.sqrt(sum((row["reward"] - mean) ** 2 for row in group) / (size - 1))
        assert [row["advantage"] for row in group] == pytest.approx(
            [(row["reward"] - mean) / (spread + 1e-4) for row in group], abs=1e-3
        )


def test_what_is_drawn_again_is_drawn_the_same_after_a_resume(tmp_path: Path) -> None:
    arms = "train.arms=[{name='x', recipe='accuracy', weights={format=0, repetition=0}}]"
    options = (arms, "train.redraws=2", "train.steps=2", "train.save_every=50")
    one, other = planted(tmp_path / "one", *options, arm=0), planted(tmp_path / "other", *options, arm=0)
    for spec in (one, other):
        trainer_of(replace(spec, judge=None)).train()
    assert rows(one) == rows(other)


@pytest.mark.parametrize("part", ["vision", "patch_embedding", "projector", "language"])
def test_a_frozen_part_keeps_its_weights_and_no_other_does(tmp_path: Path, part: str) -> None:
    spec = planted(tmp_path, "train.steps=2", f"train.freeze=['{part}']", "train.warmup_steps=0", "train.save_every=50")
    model = open_model(warm_base())
    parts.freeze(model, spec.train.freeze)
    trainer = trainer_of(spec, model=model)
    before = weights(trainer.model)
    trainer.train()
    after = weights(trainer.model)
    moved = {name for name in before if bool((before[name] != after[name]).any())}
    assert moved
    assert all(parts.part_of(name) != part for name in moved)
    assert {parts.part_of(name) for name in moved} == {parts.part_of(name) for name in before} - {part}


def test_a_part_that_a_model_does_not_have_is_named() -> None:
    from torch import nn

    with pytest.raises(ConfigError, match=r"train\.freeze: Linear has no projector; it has"):
        parts.freeze(nn.Linear(2, 2), ("projector",))


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_is_taken_by_the_trainer_and_learns(tmp_path: Path, loss: str) -> None:
    clip = ("train.clip_low=3e-4", "train.clip_high=4e-4") if loss == "gspo" else ()
    options = (f"train.loss='{loss}'", "train.steps=1", "train.iterations=1", "train.warmup_steps=0", *clip)
    trainer = trainer_of(planted(tmp_path, *options))
    before = weights(trainer.model)
    trainer.train()
    assert any(bool((value != before[name]).any()) for name, value in weights(trainer.model).items())
    level = "sequence" if loss == "gspo" else "token"
    assert (trainer.importance_sampling_level, trainer.scale_rewards) == (
        level,
        "none" if loss == "dr_grpo" else "group",
    )


def test_the_kl_weight_of_every_step_is_the_formula_s(tmp_path: Path) -> None:
    spec = replace(planted(tmp_path, "train.steps=4"), kl=Kl(schedule="grpo_d", low=0.0, high=0.02))
    trainer = trainer_of(spec)
    assert trainer.ref_model is not None
    seen: list[float] = []
    trainer.callback_handler.callbacks[-1].on_pre_optimizer_step = lambda *a, **k: seen.append(trainer.beta)
    trainer.train()
    expected = [0.01, 0.01 - 0.01 * 0.25 / 0.3, 0.02 * (0.5 - 0.3) / 0.7, 0.02 * (0.75 - 0.3) / 0.7]
    assert seen == pytest.approx(expected)


def test_several_optimiser_steps_share_a_batch_of_completions(tmp_path: Path) -> None:
    spec = planted(tmp_path, "train.steps=4", "train.iterations=2", "train.save_every=2")
    trainer_of(spec).train()
    assert [table["step"][0].as_py() for table in ledger.read(spec.rollouts)] == [0, 2]


def counted(spec: RunSpec) -> Counter[str]:
    counts: Counter[str] = Counter()
    length = data.prompt_length(open_processor(spec.base)) if spec.train.max_prompt_tokens else None
    list(data.rows(spec, length, counts))
    return +counts


def test_what_is_left_out_is_counted_under_its_reason(tmp_path: Path) -> None:
    spec = planted(tmp_path)
    validation = [replace(problem, split="validation") for problem in problems("validation", 6, 0)]
    asked = [*problems("train", 24, 0), *validation]
    pq.write_table(table_of(asked, Problem), spec.problems)
    assert counted(spec) == {"used": 16, "of another answer type": 8, "of another split": 6}
    kept = pq.read_table(spec.annotations).to_pylist()
    first = kept[0]["problem"]
    pq.write_table(pq.read_table(spec.annotations).filter([row["problem"] != first for row in kept]), spec.annotations)
    assert counted(spec)["without annotations"] == 1
    neutral = replace(spec, train=replace(spec.train, unannotated="neutral"))
    assert (counted(neutral)["used"], counted(neutral)["used, without annotations"]) == (16, 1)


def test_a_prompt_over_the_limit_is_left_out_and_lengths_are_the_processor_s(tmp_path: Path) -> None:
    from PIL import Image

    spec = planted(tmp_path)
    processor = open_processor(spec.base)
    measure = data.prompt_length(processor)
    lengths = []
    for row in data.rows(spec):
        text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True)
        pictures = [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]
        lengths.append(len(processor(text=[text], images=pictures)["input_ids"][0]))
        assert measure(row) == lengths[-1]
    limit = min(lengths)
    short = replace(spec, train=replace(spec.train, max_prompt_tokens=limit))
    over = sum(length > limit for length in lengths)
    assert counted(short)["longer than max_prompt_tokens"] == over > 0


def test_a_problem_of_which_nothing_is_known_is_neutral_for_the_perception_reward(tmp_path: Path) -> None:
    spec = planted(tmp_path, "train.unannotated='neutral'", "train.steps=1", facts=False)
    trainer_of(spec).train()
    found = rows(spec)
    assert len(found) == 16
    for row in found:
        assert row["perception"] is None and row["unknown"] == 0
        known = sum(weight * row[term] for term, weight in spec.weights.items() if term != "perception")
        assert row["reward"] == pytest.approx(known)


def test_held_out_problems_are_those_of_the_validation_split_and_never_trained_on(tmp_path: Path) -> None:
    spec = planted(tmp_path, "train.watch.every=2", "train.watch.problems=5")
    held = data.held_out(spec)
    assert len(held) == 5
    assert not {row["problem"] for row in data.rows(spec)} & set(held)
    assert counted(spec)["held out for the watch"] == 5
    table = pq.read_table(spec.problems).to_pylist()
    last = next(row["id"] for row in reversed(table) if row["answer_type"] in spec.answer_types)
    renamed = [Problem(**{**row, "images": tuple(row["images"]), "choices": tuple(row["choices"])}) for row in table]
    renamed = [replace(problem, split="validation") if problem.id == last else problem for problem in renamed]
    pq.write_table(table_of(renamed, Problem), spec.problems)
    assert data.held_out(spec)[0] == last


def test_the_rows_are_on_disk_and_decoded_when_they_are_looked_at(tmp_path: Path) -> None:
    spec = planted(tmp_path)
    found = data.dataset(spec)
    assert found.cache_files
    assert found[0]["images"][0].size == (84, 84)
    assert json.loads((spec.folder / "data.json").read_text()) == {"used": 16, "of another answer type": 8}


def test_the_papers_settings_reach_the_trainer() -> None:
    paper = load(ROOT / "configs" / "paper.toml").train
    assert (paper.clip_low, paper.clip_high, paper.kl, paper.loss) == (0.2, 0.3, 0.0, "dapo")
    assert paper.arms[1].weights == {
        "accuracy": 0.9, "format": 0.1, "repetition": 0.0, "perception": 0.7, "paper_repetition": 1.0
    }  # fmt: skip
    assert paper.perception_rule == "recall"
    assert paper.launch == "fsdp2" and paper.generate_with == "vllm_colocate"
    assert (1442 - paper.watch.problems) % paper.prompts_per_step == 0, (
        "what is held out is what an episode leaves over"
    )
    assert paper.steps % paper.watch.every == 0 and not paper.watch.stop, "the last step is looked at"


def test_pictures_marks_are_banned_where_vllm_generates(tmp_path: Path) -> None:
    """TRL bans them only where it generates with transformers itself."""
    processor = open_processor(warm_base())
    said = vllm_options(Train(model="/m", generate_with="vllm_server"), processor)
    banned = said["generation_kwargs"]["logit_bias"]
    assert {processor.image_token_id, processor.video_token_id} <= banned.keys()
    assert set(banned.values()) == {-100.0}


def test_a_run_that_looks_at_held_out_problems_learns_what_one_that_does_not_learns(tmp_path: Path) -> None:
    spec = planted(tmp_path / "looking", "train.watch.every=1", "train.watch.problems=4", "train.steps=2")
    looking = trainer_of(spec)
    looking.train()
    assert len(list(spec.looks.glob("0*.json"))) == 3
    blind = planted(tmp_path / "blind", "train.steps=2")
    kept = {row["problem"] for row in data.rows(spec)}
    table = [row for row in pq.read_table(blind.problems).to_pylist() if row["id"] in kept]
    pq.write_table(pa.Table.from_pylist(table, schema=pq.read_schema(blind.problems)), blind.problems)
    other = trainer_of(blind)
    other.train()
    mine, theirs = weights(looking.model), weights(other.model)
    assert all(bool((mine[name] == theirs[name]).all()) for name in mine)


def test_a_judge_that_changes_its_mind_rings_an_alarm(tmp_path: Path) -> None:
    """Asked again about the first step's responses, it now says of everything that it is absent."""
    from perception_r1.world.judge import reply

    changed = False

    def says(request: Any) -> str:
        said = json.loads(reply(request))
        for verdict in said["verdicts"] if changed else []:
            verdict |= {"verdict": "absent", "evidence": ""}
        return json.dumps(said)

    options = ("train.watch.every=1", "train.watch.problems=4", "train.steps=3", "train.watch.anchors=8")
    spec = planted(tmp_path, *options)
    trainer = trainer_of(spec, Saying(says), matcher=False)

    def turn(*_: Any, **__: Any) -> None:
        nonlocal changed
        changed = trainer.state.global_step == 2

    trainer.callback_handler.callbacks[-1].on_step_begin = turn
    trainer.train()
    looks = [json.loads(path.read_text()) for path in sorted(spec.looks.glob("0*.json"))]
    assert [look["flips"] for look in looks[:3]] == [None, None, 0.0]
    assert looks[3]["flips"] > 0.02
    assert any("the judge now says otherwise" in alarm for alarm in looks[3]["alarms"])
    assert not any("the judge" in alarm for look in looks[:3] for alarm in look["alarms"])


def test_a_resumed_epoch_is_dealt_its_own_order_and_not_the_first_one_s() -> None:
    from trl.trainer.utils import RepeatSampler

    from perception_r1.train.sampler import Dealt

    def stock() -> RepeatSampler:
        return RepeatSampler(range(12), mini_repeat_count=2, batch_size=4, repeat_count=1, seed=5)

    whole = stock()
    epochs = [list(whole) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert list(stock()) == epochs[0]  # what a stock run deals that is resumed in its third epoch
    steps = iter((0, 3, 6))
    uninterrupted = Dealt(stock(), lambda: next(steps), 1)
    assert [list(uninterrupted) for _ in range(3)] == epochs
    assert list(Dealt(stock(), lambda: 7, 1)) == epochs[2]


@pytest.mark.parametrize(
    ("option", "greatest"),
    [
        pytest.param("train.tied_share=1.0", None, id="stock"),
        pytest.param("train.tied_advantage=0.25", 0.25, id="capped"),
        pytest.param("train.tied_share=0.0", 0.0, id="left-out"),
    ],
)
def test_groups_that_the_judge_alone_decides_are_held_back(tmp_path: Path, option: str, greatest: float | None) -> None:
    # rewarded for nothing else, and all verdicts are the judge's
    spec = replace(planted(tmp_path, option, "train.steps=1"), weights={"perception": 1.0})
    trainer_of(spec, matcher=False).train()
    alone = [abs(row["advantage"]) for row in rows(spec) if row["by_judge_alone"]]
    assert alone
    if greatest is None:
        assert max(alone) > 0.25
    else:
        assert max(alone) == pytest.approx(greatest)
