"""What goes wrong in training, and what it gets: a reason, a remedy, and no step that learns from it."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perception_r1.child import run_child
from perception_r1.errors import EndpointError, Malformed, ProcessFailed, TrainingFailed, Unreachable
from perception_r1.judges import Case, Judge
from perception_r1.sections import Endpoint, Train
from perception_r1.sections import Judging as HowToJudge
from perception_r1.train import checkpoints, judging, ledger, memory
from perception_r1.train.judging import Judging
from perception_r1.world.server import serving
from tests.saying import Saying
from tests.training import planted, ran, trainer_of, weights

pytestmark = pytest.mark.timeout(600)  # the first test of a process warms a model up

IGNORED = pytest.mark.filterwarnings("ignore")  # what transformers says about itself


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "FIRST_PAUSE_S", 0.01)


@IGNORED
def test_a_step_whose_gradient_is_no_number_leaves_the_weights_and_is_counted(tmp_path: Path) -> None:
    """Stock TRL steps on it, and every weight is NaN from then on."""
    import torch

    from perception_r1.train.trainer import PerceptionTrainer

    class Poisoned(PerceptionTrainer):
        def compute_loss(self, *given: Any, **rest: Any) -> Any:
            loss = super().compute_loss(*given, **rest)
            return loss * float("nan") if self.state.global_step == 2 else loss

    trainer = trainer_of(planted(tmp_path, "train.steps=4", "train.save_every=50"), kind=Poisoned)
    seen: list[Any] = []
    trainer.callback_handler.callbacks[-1].on_step_begin = lambda *a, **k: seen.append(weights(trainer.model))
    trainer.train()
    assert all(bool(torch.isfinite(value).all()) for value in weights(trainer.model).values())
    assert all(bool((seen[2][name] == seen[3][name]).all()) for name in seen[2])
    assert any(bool((seen[1][name] != seen[2][name]).any()) for name in seen[1])


@IGNORED
def test_an_engine_that_tells_no_norm_leaves_out_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSpeed's, where it has taken no step yet."""
    trainer = trainer_of(planted(tmp_path))
    monkeypatch.setattr(trainer.accelerator, "clip_grad_norm_", lambda *given, **rest: None)
    assert trainer._clip_grad_norm(trainer.model) is None
    assert trainer._skipped == 0


@IGNORED
def test_a_run_whose_gradients_stay_no_numbers_stops_with_the_remedy(tmp_path: Path) -> None:
    from perception_r1.train.trainer import PerceptionTrainer

    class Poisoned(PerceptionTrainer):
        def compute_loss(self, *given: Any, **rest: Any) -> Any:
            return super().compute_loss(*given, **rest) * float("nan")

    trainer = trainer_of(planted(tmp_path, "train.steps=9", "train.max_skipped=2"), kind=Poisoned)
    with pytest.raises(TrainingFailed, match=r"step 3: the gradient is nan; 3 steps in a row .* lower train"):
        trainer.train()


class Down(Saying):
    """A judge that is up, then down for some requests, then up again."""

    def __init__(self, up: int, down: int) -> None:
        self.up, self.down, self.requests = up, down, 0
        super().__init__(self._says)

    def _says(self, request: Any) -> str | EndpointError:
        from perception_r1.world.judge import reply

        self.requests += 1
        if self.up < self.requests <= self.up + self.down:
            return Unreachable("judge at nowhere cannot be reached")
        return reply(request)


CASE = Case(
    "<think>Bar A is seven units tall, as I see it.</think><answer>\\boxed{A}</answer>", (("a", "Bar A is 7."),)
)


def judged(endpoint: Any, patience_s: float = 60.0) -> Any:
    asked = Judging(Judge(endpoint, matcher=False), Train(judge_patience_s=patience_s))
    asked.begin([CASE] * 1)
    try:
        return asked.end()
    finally:
        asked.close()


def test_a_judge_that_comes_back_is_waited_for() -> None:
    ((judgement,),) = judged(Down(0, 3))
    assert judgement.decided_by == "judge"


def test_a_judge_that_stays_down_is_not_waited_for_longer_than_the_patience() -> None:
    ((judgement,),) = judged(Down(0, 10**6), patience_s=0.1)
    assert judgement.verdict == "unknown"
    assert "the judge failed on 100% of this step's 1 verdicts" in judging.refusal([(judgement,)], 0.1)


class Slow(Down):
    """A judge that is down, and says so only after a while, as an endpoint does that waits by itself."""

    def ask(self, requests: Any) -> Any:
        time.sleep(0.3)
        return super().ask(requests)


def test_what_the_endpoint_waits_by_itself_counts_as_patience() -> None:
    endpoint = Slow(0, 10**6)
    judged(endpoint, patience_s=0.2)
    assert endpoint.requests == 1, "the first time took longer than the patience"


@pytest.mark.parametrize(
    ("its_own", "trainings", "waits"), [(300.0, 60.0, 60.0), (5.0, 60.0, 5.0), (5.0, 0.0, 5.0), (300.0, 0.0, 10.0)]
)
def test_no_request_of_training_is_waited_for_longer_than_the_step_waits(
    its_own: float, trainings: float, waits: float
) -> None:
    endpoint = Endpoint(model="m", base_url="http://h/v1", patience_s=its_own)
    assert judging.patient(endpoint, Train(judge_patience_s=trainings)).patience_s == waits


def test_a_judge_that_babbles_is_not_waited_for() -> None:
    babbling = Saying(lambda _: Malformed("no JSON"))
    judged(babbling)
    assert len(babbling.asked) <= 2  # the judge's own second try


@IGNORED
def test_a_run_whose_judge_goes_down_leaves_a_checkpoint_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    overrides = ("train.steps=3", "train.save_every=50", "train.judge_patience_s=0", "train.max_unknown=0.01")
    whole = planted(tmp_path / "whole", *overrides)
    trainer_of(whole, Down(0, 0)).train()
    spec = planted(tmp_path / "down", *overrides)
    first = Down(10**6, 0)
    trainer = trainer_of(spec, first)
    asked: list[int] = []
    trainer.callback_handler.callbacks[-1].on_step_begin = lambda *a, **k: asked.append(first.requests)
    trainer.train()
    if asked[2] == first.requests:
        pytest.fail("the judge was not asked in the third step: choose a seed in which it is")
    shutil.rmtree(spec.checkpoints)
    shutil.rmtree(spec.rollouts)
    with pytest.raises(TrainingFailed, match=r"step 3: the judge failed on .* run the same command again to go on"):
        trainer_of(spec, Down(asked[2], 10**6)).train()
    last = checkpoints.last_whole(spec.checkpoints)
    assert last and last.name == "checkpoint-2"
    from perception_r1.models import open_model

    trainer_of(spec, Down(0, 0), model=open_model(last)).train(resume_from_checkpoint=str(last))
    assert list(ledger.read(spec.rollouts)) == list(ledger.read(whole.rollouts))


@pytest.mark.slow
def test_the_cause_is_the_run_s_own_and_not_its_launcher_s(tmp_path: Path) -> None:
    """Under a launcher the last line of the log is the launcher's: what went wrong is in a file of its own."""
    spec = planted(tmp_path, "train.arms=[{name='x', recipe='perception_r1', answer_types=['float']}]", arm=0)
    with pytest.raises(ProcessFailed) as error:
        run_child("perception_r1.train", spec.as_json(), spec.folder)
    assert str(error.value).startswith(
        "python -m perception_r1.train failed with exit code 1: 0 annotated problems of the types float are too few"
    )


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(MemoryError(), id="machine"),
        pytest.param(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), id="cpu"),
        pytest.param(RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"), id="gpu"),
    ],
)
def test_out_of_memory_names_the_knob(tmp_path: Path, error: Exception) -> None:
    spec = planted(tmp_path)
    assert memory.is_out_of_memory(error)
    told = memory.advice(replace(spec, train=replace(spec.train, micro_batch=8, processes=2)))
    assert "--set train.micro_batch=4, train.gradient_checkpointing=true, train.launch='fsdp2'" in told
    assert not memory.is_out_of_memory(RuntimeError("shape mismatch"))


def test_an_answer_that_breaks_the_grader_is_unknown_and_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from perception_r1.records import Completion
    from perception_r1.rewards import accuracy

    def broken(*_: Any, **__: Any) -> Any:
        raise RecursionError("too deep")

    monkeypatch.setattr(accuracy, "grade_answer", broken)
    assert accuracy.accuracy_reward(Completion("\\boxed{1}", "1", "integer")) is None


def test_a_judge_that_does_not_answer_is_found_before_anything_is_generated(tmp_path: Path) -> None:
    """A closed port: its reason comes home, and there is no ledger."""
    closed = Endpoint(model="embedded/judge", base_url="http://127.0.0.1:9/v1", retries=0, patience_s=0.1)
    spec = replace(planted(tmp_path), judge=closed)
    code, said = ran(spec)
    assert code == 1
    assert "the judge gives no verdict on a plain case, before step 1: Unreachable" in said
    assert not spec.rollouts.exists()


def test_a_served_judge_that_answers_is_asked_beside_the_trainer_and_remembered(tmp_path: Path) -> None:
    with serving() as server:
        served = Endpoint(model="embedded/judge", base_url=server.url)
        spec = replace(planted(tmp_path, "train.steps=1"), judge=served, verdicts=tmp_path / "verdicts.sqlite")
        spec = replace(spec, judging=HowToJudge(matcher=False))
        code, said = ran(spec)
        assert code == 0, said[-2000:]
        assert (tmp_path / "verdicts.sqlite").exists()
        assert server.requests > 1
        asked = server.requests
        shutil.rmtree(spec.checkpoints)
        code, said = ran(spec)
        assert code == 0, said[-2000:]
        assert server.requests <= asked + 1  # the plain case of the second start
