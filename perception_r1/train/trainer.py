"""A thin subclass of TRL's GRPOTrainer: our rewards, our policy for what is not known, our ledger.

Only two of TRL's seams are used: `_calculate_rewards`, which TRL split out to be overridden, and the return of
`_generate_and_score_completions`, for the advantages. Loss, generation and the optimiser are TRL's own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from accelerate.utils import gather
from transformers import TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from perception_r1.child import write_progress
from perception_r1.errors import TrainingFailed
from perception_r1.judges import Case, Judge
from perception_r1.models import vision_tokens
from perception_r1.records import Completion, Judgement, Verdict
from perception_r1.rewards import REWARDS
from perception_r1.rewards.combined import combined
from perception_r1.sections import Weight
from perception_r1.train import ledger
from perception_r1.train.spec import RunSpec

WHOLE = "whole"  # the file that says that a checkpoint was written to its end


class PerceptionTrainer(GRPOTrainer):  # type: ignore[misc, unused-ignore]
    """GRPO on the weighted sum of the recipe's rewards."""

    def __init__(self, spec: RunSpec, judge: Judge | None, processor: Any, **rest: Any) -> None:
        self.spec, self.judge = spec, judge
        self.terms = [term for term in ledger.TERMS if spec.weights.get(term)]
        super().__init__(args=config(spec, processor), processing_class=processor, reward_funcs=[_unasked], **rest)
        if (given := self.accelerator.num_processes) != spec.train.processes:
            raise TrainingFailed(
                f"train.processes is {spec.train.processes} and {given} came up, which makes another step of it; "
                "set it to the number of this machine's GPUs"
            )
        self.add_callback(Progress(self))
        self._pending: list[dict[str, Any]] = []

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        """The rewards of all processes' completions, in one column; what they are made of goes into the ledger."""
        texts = [completion[0]["content"] for completion in completions]
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        cut = [not ids or ids[-1] not in ends for ids in completion_ids_list]
        judged = self._judged(inputs, texts, cut)
        rows = [
            Completion(
                text=text,
                answer=row["answer"],
                answer_type=row["answer_type"],
                choices=tuple(row["choices"]),
                truncated=truncated,
                judgements=judgements,
            )
            for row, text, truncated, judgements in zip(inputs, texts, cut, judged, strict=True)
        ]
        scores = [{term: REWARDS[term](row) for term in self.terms} for row in rows]
        self._pending = [
            _ledger_row(row, completion, len(ids), score)
            for row, completion, ids, score in zip(inputs, rows, completion_ids_list, scores, strict=True)
        ]
        return self._combined([[_number(score[term]) for term in self.terms] for score in scores])

    def _combined(self, scores: list[list[float]]) -> Any:
        """One reward for each completion of all processes: a group may lie on two of them."""
        device, spec = self.accelerator.device, self.spec.train
        rows = gather(torch.tensor(scores, dtype=torch.float64, device=device)).tolist()
        known = ([None if value != value else value for value in column] for column in zip(*rows, strict=True))
        terms = dict(zip(self.terms, known, strict=True))
        weights = {term: self.spec.weights[term] for term in self.terms}
        rewards = combined(terms, weights, spec.generations, spec.unknown)
        return torch.tensor([[_number(reward)] for reward in rewards], dtype=torch.float32, device=device)

    def _judged(self, inputs: Any, texts: Sequence[str], cut: Sequence[bool]) -> list[tuple[Judgement, ...]]:
        if not self.judge:
            return [()] * len(texts)
        cases = [
            Case(text, tuple(zip(row["annotation_ids"], row["annotation_texts"], strict=True)), truncated)
            for row, text, truncated in zip(inputs, texts, cut, strict=True)
        ]
        judged: list[tuple[Judgement, ...]] = self.judge.judge(cases)
        self._check_judge([judgement for judgements in judged for judgement in judgements])
        return judged

    def _check_judge(self, judgements: Sequence[Judgement]) -> None:
        """Stops a run whose judge fails too often, with the reasons."""
        failed = Counter(judgement.decided_by for judgement in judgements if judgement.verdict == "unknown")
        share, limit = failed.total() / max(len(judgements), 1), self.spec.train.max_unknown
        if share > limit:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in failed.most_common(3))
            raise TrainingFailed(
                f"the judge failed on {share:.0%} of this step's {len(judgements)} verdicts (train.max_unknown is "
                f"{limit:.0%}): {reasons}"
            )

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        size = self.spec.train.generations
        first = self._process * len(self._pending)  # a group may lie on two processes
        for number, (row, advantage) in enumerate(
            zip(self._pending, output["advantages"].tolist(), strict=True), first
        ):
            place = {"group": number // size, "sample": number % size}
            row |= place | {"advantage": advantage, "step": self.state.global_step, "process": self._process}
        ledger.write(self.spec.rollouts, self.state.global_step, self._process, self._pending)
        return output

    @property
    def _process(self) -> int:
        return int(self.accelerator.process_index)


class Progress(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Says after each step how far the run is, and marks checkpoints that are whole."""

    def __init__(self, trainer: PerceptionTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Writes the progress file."""
        if state.is_world_process_zero:
            write_progress(self.trainer.spec.folder, state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Leaves the mark of a whole checkpoint."""
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()


def config(spec: RunSpec, processor: Any) -> GRPOConfig:
    """TRL's configuration; what ours does not name stays TRL's default."""
    train = spec.train
    micro = train.micro_batch or train.prompts_per_step * train.generations // train.processes
    on_gpu = torch.cuda.is_available()
    extra: dict[str, Any] = {}
    if train.generate_with != "transformers":
        # TRL bans the vision marks only where it generates with transformers
        ban = {"logit_bias": dict.fromkeys(vision_tokens(processor), -100.0)}
        mode = train.generate_with.removeprefix("vllm_")
        extra = {"use_vllm": True, "vllm_mode": mode, "generation_kwargs": ban}
    return GRPOConfig(
        output_dir=str(spec.checkpoints),
        max_steps=train.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=train.prompts_per_step * train.generations // (micro * train.processes),
        num_generations=train.generations,
        max_completion_length=train.max_completion_tokens,
        temperature=train.temperature,
        beta=train.kl,
        epsilon=train.clip_low,
        epsilon_high=train.clip_high,
        loss_type=train.loss,
        learning_rate=train.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=train.warmup_steps,
        weight_decay=train.weight_decay,
        adam_beta2=train.adam_beta2,
        max_grad_norm=train.max_grad_norm,
        bf16=train.bf16,
        gradient_checkpointing=train.gradient_checkpointing,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        seed=spec.seed,
        data_seed=spec.seed,
        save_steps=train.save_every,
        save_total_limit=2,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        **extra,
    )


def _unasked(**_: Any) -> Any:
    """TRL wants a reward function; ours are asked in `_calculate_rewards`, all at once."""
    raise AssertionError("rewards are calculated in _calculate_rewards")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _ledger_row(row: Any, completion: Completion, tokens: int, scores: Mapping[Weight, float | None]) -> dict[str, Any]:
    verdicts = Counter(judgement.verdict for judgement in completion.judgements)
    return {
        "problem": row["problem"],
        "text": completion.text,
        "tokens": tokens,
        "truncated": completion.truncated,
        **scores,
        **{verdict: verdicts[verdict] for verdict in get_args(Verdict)},
        "by_judge": sum(judgement.decided_by not in ("matcher", "rule") for judgement in completion.judgements),
        "judgements": [
            {"annotation": j.annotation, "verdict": j.verdict, "decided_by": j.decided_by}
            for j in completion.judgements
        ],
    }
