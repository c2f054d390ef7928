"""A thin subclass of TRL's GRPOTrainer: our rewards, our policy for what is not known, our ledger.

TRL's seams that are used: `_generate`, after which the judge is asked while TRL goes on with its own passes;
`_calculate_rewards`, which TRL split out to be overridden; the return of `_generate_and_score_completions`, for the
advantages; and `_save_checkpoint` and `_clip_grad_norm` of the Trainer. Loss, generation and the optimiser are TRL's.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather, gather_object
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer

from perception_r1.child import write_progress
from perception_r1.errors import TrainingFailed
from perception_r1.judges import Judge
from perception_r1.models import vision_tokens
from perception_r1.recipes.kl import kl_at
from perception_r1.rewards.tied import capped
from perception_r1.train import checkpoints, data, ledger, preflight, redraw, scoring
from perception_r1.train.judging import Judging, refusal
from perception_r1.train.look import Looker
from perception_r1.train.progress import measures, shortly, told
from perception_r1.train.sampler import Dealt
from perception_r1.train.scoring import Sample
from perception_r1.train.settings import config
from perception_r1.train.spec import RunSpec


class PerceptionTrainer(GRPOTrainer):  # type: ignore[misc, unused-ignore]
    """GRPO on the weighted sum of the recipe's rewards."""

    def __init__(self, spec: RunSpec, judge: Judge | None, processor: Any, args: Any = None, **rest: Any) -> None:
        self.spec, self.judge = spec, judge
        super().__init__(
            args=args or config(spec, processor), processing_class=processor, reward_funcs=[combined_reward], **rest
        )
        if (given := self.accelerator.num_processes) != spec.train.processes:
            raise TrainingFailed(
                f"train.processes is {spec.train.processes} and {given} came up, which makes another step of it; "
                "set it to the number of this machine's GPUs"
            )
        perceives = "perception" in scoring.terms_of(spec)
        self.judging = Judging(judge, spec.train) if judge and perceives else None
        # transformers is told by TRL to say no image's mark; one of a video, without a video, harms no forward
        self._vision = vision_tokens(processor) if self.use_vllm else [processor.image_token_id]
        if self.use_vllm:
            mark = processor.image_token_id
            preflight.guard(self.vllm_generation, mark, colocated=self.vllm_mode == "colocate")
        self.remove_callback(PrinterCallback)
        self.add_callback(Steps(self))
        self.looker = Looker(self, data.watched(spec)) if spec.train.watch.every else None
        self.after_step: dict[str, Any] | None = None  # the generators' states when the last step was done
        self._skipped = 0
        self._rows: Any = None  # of the dataset, of the batch under way
        self._samples: list[Sample] = []
        self._spent: list[Sample] = []  # whose places others have taken

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        stock = super()._get_train_sampler(dataset)
        return Dealt(stock, lambda: int(self.state.global_step), self.spec.train.iterations)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """TRL's own, with the batch's rows at hand; leaves every completion in the ledger."""
        if self.spec.kl:  # a new batch of completions: the reference is asked, or not, for all of its uses
            self.beta = kl_at(self.state.global_step, self.state.max_steps, self.spec.kl)
        self._rows, self._spent = inputs, []
        output = super()._generate_and_score_completions(inputs)
        output["advantages"] = self._held(output["advantages"])
        self._note(output["advantages"].tolist())
        self._rows = None
        return output

    def _generate(self, prompts: list[Any]) -> Any:
        """TRL's own; the judge is asked at once, while TRL goes on with the old and the reference's log-probs."""
        output = self.generated(prompts)
        if self._rows is None:
            return output  # a look at the held-out problems
        self._samples = self._begun(self._rows, output)
        for draw in range(1, self.spec.train.redraws + 1):
            self._settle()
            if not any(self._verdicts.flat):  # on any process: none is left waiting
                break
            output = redraw.replaced(self, prompts, output, draw)
        return output

    def generated(self, prompts: list[Any]) -> Any:
        """What TRL generates for the prompts."""
        output = super()._generate(prompts)
        preflight.check_completions(output[1], self._vision)
        return output

    def _begun(self, rows: Sequence[Any], output: Any, draw: int = 0) -> list[Sample]:
        """The completions as samples, about which the judge is asked."""
        _, ids, _, completions, *_ = output
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        samples = [
            Sample(row, completion[0]["content"], its, not its or its[-1] not in ends, draw)
            for row, completion, its in zip(rows, completions, ids, strict=True)
        ]
        if self.judging:
            self.judging.begin([sample.case() for sample in samples])
        return samples

    def _settle(self) -> None:
        """Scores the samples that were begun, once the judge has spoken; stops a run whose judge fails too often."""
        fresh = [sample for sample in self._samples if sample.completion is None]
        if fresh:
            judged = self.judging.end() if self.judging else [()] * len(fresh)
            scoring.score(fresh, judged, self.spec)
            if self.judging:
                self._stop_if(refusal(judged, self.spec.train.max_unknown))
        self._verdicts = scoring.verdicts(self._gathered(scoring.columns(self._samples, self.spec)), self.spec)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        """The rewards of all processes' completions, in one column."""
        self._settle()
        found = self._verdicts
        for name, mean in found.means.items():
            self._metrics["train"][f"rewards/{name}"].append(mean)
        self._metrics["train"]["groups/by_judge_alone"].append(sum(found.alone) / len(found.alone))
        self._metrics["train"]["completions/count"].append(float(len(found.rewards)))
        if self.judging:
            bill = self.judging.settle()
            self._metrics["train"]["judge/seconds"].append(bill.judged_s)
            self._metrics["train"]["judge/waited"].append(bill.waited_s)
        device = self.accelerator.device
        return torch.tensor([[_number(reward)] for reward in found.rewards], dtype=torch.float32, device=device)

    def _gathered(self, table: list[list[float | None]]) -> list[list[float | None]]:
        """The rows of all processes: a group may lie on two of them."""
        numbers = [[_number(value) for value in row] for row in table]
        rows = gather(torch.tensor(numbers, dtype=torch.float64, device=self.accelerator.device)).tolist()
        return [[None if value != value else value for value in row] for row in rows]

    def _held(self, advantages: Any) -> Any:
        """The advantages, held back in groups that the judge decides alone."""
        train, alone = self.spec.train, self._verdicts.alone
        if not any(alone) or not (train.tied_advantage or train.tied_share < 1):
            return advantages
        everyone = gather(advantages).tolist()
        held = capped(everyone, alone, train.generations, train.tied_advantage, train.tied_share)
        mine = held[self._process * len(advantages) :][: len(advantages)]
        return torch.tensor(mine, dtype=advantages.dtype, device=advantages.device)

    def _note(self, advantages: Sequence[float]) -> None:
        """Writes this process's completions of the step into the ledger."""
        first, size = self._process * len(self._samples), self.spec.train.generations
        place = {
            "step": self.state.global_step,
            "process": self._process,
            "sampling_seed": self.args.seed + self._process,
        }
        rows = [
            scoring.ledger_row(sample)
            | place
            | {"group": number // size, "sample": number % size, "advantage": advantage}
            | {"reward": self._verdicts.rewards[number], "by_judge_alone": self._verdicts.alone[number // size]}
            for number, (sample, advantage) in enumerate(zip(self._samples, advantages, strict=True), first)
        ]
        spent = [scoring.ledger_row(sample) | place | redraw.place_of(n, self) for n, sample in enumerate(self._spent)]
        ledger.write(self.spec.rollouts, self.state.global_step, self._process, [*rows, *spent])

    def _stop_if(self, reason: str) -> None:
        """Ends the run where any process has a reason to, with a checkpoint of the last whole step."""
        reasons = [told for told in gather_object([reason]) if told]
        if not reasons:
            return
        self.save_last_step()
        raise TrainingFailed(f"step {self.state.global_step + 1}: {reasons[0]}; run the same command again to go on")

    def save_last_step(self) -> None:
        """A checkpoint of the last step that was done, as if this one had not been begun."""
        folder = self.spec.checkpoints / f"checkpoint-{self.state.global_step}"
        if self.after_step is not None and not (folder / checkpoints.WHOLE).exists():
            checkpoints.restore(self.after_step)
            self._save_checkpoint(self.model, None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        stock: Any = super()
        stock._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes the states of its own generators
        if self.is_world_process_zero():
            folder = self.spec.checkpoints / f"checkpoint-{self.state.global_step}"
            checkpoints.seal(folder, self.spec)
        self.accelerator.wait_for_everyone()

    def _clip_grad_norm(self, model: Any) -> Any:
        """The gradient's norm; a gradient that is no number is dropped, so that the optimiser leaves the weights."""
        stock: Any = super()
        norm = stock._clip_grad_norm(model)
        if norm is None:  # DeepSpeed's engine has none to tell
            return norm
        value = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        self._skipped = 0 if math.isfinite(value) else self._skipped + 1
        if self._skipped:
            model.zero_grad(set_to_none=True)
            told = f"the gradient is {value}; {self._skipped} steps in a row were left out"
            print(f"step {self.state.global_step + 1}: {told}", flush=True)
            # DeepSpeed's engine takes its step by itself, gradient or not
            if self._skipped > self.spec.train.max_skipped or self.is_deepspeed_enabled:
                raise TrainingFailed(
                    f"step {self.state.global_step + 1}: {told} (train.max_skipped is {self.spec.train.max_skipped}); "
                    "lower train.learning_rate or train.max_grad_norm"
                )
        self._metrics["train"]["skipped"].append(float(self._skipped > 0))
        return norm

    def close(self) -> None:
        """Ends the judge's thread."""
        if self.judging:
            self.judging.close()

    @property
    def stopped(self) -> str:
        """The alarm that ended the run; empty if none did."""
        return self.looker.alarms[0] if self.looker and self.looker.alarms and self.spec.train.watch.stop else ""

    @property
    def _process(self) -> int:
        return int(self.accelerator.process_index)


class Steps(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """What is done between steps: looks at the held-out problems, the states to go back to, and how far the run is."""

    def __init__(self, trainer: PerceptionTrainer) -> None:
        self.trainer = trainer
        self.started, self.first = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Looks at what there is before the first step."""
        self.started, self.first = time.monotonic(), state.global_step
        if state.global_step == 0 and self.trainer.looker:
            self.trainer.looker.look(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Looks where it is time to; a new best is kept, and an alarm may end the run."""
        trainer, watch = self.trainer, self.trainer.spec.train.watch
        if trainer.looker and state.global_step % watch.every == 0:
            control.should_save |= trainer.looker.look(state.global_step)
            control.should_training_stop |= bool(watch.stop and trainer.looker.alarms)
        trainer.after_step = checkpoints.generators()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        """Says after each step how far the run is, and what came of it."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        done = max(1, state.global_step - self.first)
        left_s = (state.max_steps - state.global_step) * (time.monotonic() - self.started) / done
        seen = measures(logs, left_s, self.trainer.beta)
        print(told(state.global_step, state.max_steps, seen), flush=True)
        said = shortly(seen, self.trainer.looker.alarms if self.trainer.looker else ())
        write_progress(self.trainer.spec.folder, state.global_step, state.max_steps, said=said, **seen)


def combined_reward(**_: Any) -> Any:
    """TRL wants a reward function; ours are asked in `_calculate_rewards`, all at once."""
    raise AssertionError("rewards are calculated in _calculate_rewards")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
