"""Our configuration as TRL's: what ours does not name stays TRL's default."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perception_r1.models import vision_tokens
from perception_r1.recipes.kl import kl_at
from perception_r1.sections import Train
from perception_r1.train.spec import RunSpec

if TYPE_CHECKING:
    from trl.trainer.grpo_config import GRPOConfig

LOSSES: Mapping[str, Mapping[str, Any]] = {  # each as its paper has it
    "grpo": {"loss_type": "grpo"},  # arXiv 2402.03300: the mean of each sequence's tokens, then of the sequences
    "dapo": {"loss_type": "dapo"},  # arXiv 2503.14476: the mean of all tokens
    "bnpo": {"loss_type": "bnpo"},  # the same within a micro batch
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none"},  # arXiv 2503.20783: nor length, nor spread divides
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},  # arXiv 2507.18071
    "cispo": {"loss_type": "cispo"},  # arXiv 2506.13585
    "sapo": {"loss_type": "sapo"},  # arXiv 2511.20347
}
BANNED = -100.0  # a logit so low is never sampled
SLACK_S = 1200  # for the processes that wait while one of them waits for the judge


def config(spec: RunSpec, processor: Any) -> "GRPOConfig":
    """TRL's configuration of a run."""
    import torch
    from trl.trainer.grpo_config import GRPOConfig

    train = spec.train
    micro = train.micro_batch or train.prompts_per_step * train.generations // train.processes
    on_gpu = torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(spec.checkpoints),
        max_steps=train.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=train.prompts_per_step * train.generations // (micro * train.processes),
        num_generations=train.generations,
        num_generations_eval=1,
        num_iterations=train.iterations,
        max_completion_length=train.max_completion_tokens,
        mask_truncated_completions=train.mask_truncated,
        temperature=train.temperature,
        beta=kl_at(0, train.steps, spec.kl) if spec.kl else train.kl,
        epsilon=train.clip_low,
        epsilon_high=train.clip_high,
        learning_rate=train.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=train.warmup_steps,
        weight_decay=train.weight_decay,
        adam_beta2=train.adam_beta2,
        max_grad_norm=train.max_grad_norm,
        bf16=train.bf16,
        gradient_checkpointing=train.gradient_checkpointing,
        ddp_timeout=max(1800, int(train.judge_patience_s) + SLACK_S),
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        seed=spec.seed,
        data_seed=spec.seed,
        save_steps=train.save_every,
        save_total_limit=train.keep + (1 if train.watch.every else 0),  # the best beside the last
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        **LOSSES[train.loss],
        **_of_kl(spec),
        **vllm_options(train, processor),
    )


def _of_kl(spec: RunSpec) -> dict[str, Any]:
    """GRPO-D has the plain k3 estimator, without TRL's correction."""
    return {"use_bias_correction_kl": False} if spec.kl and spec.kl.schedule == "grpo_d" else {}


def vllm_options(train: Train, processor: Any) -> dict[str, Any]:
    """How vLLM generates; TRL bans the vision marks only where it generates with transformers."""
    if train.generate_with == "transformers":
        return {}
    ban = {"logit_bias": dict.fromkeys(vision_tokens(processor), BANNED)}
    common = {"use_vllm": True, "generation_kwargs": ban}
    if train.generate_with == "vllm_colocate":
        longest = train.max_prompt_tokens + train.max_completion_tokens if train.max_prompt_tokens else None
        return common | {
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": train.gpu_memory,
            "vllm_enable_sleep_mode": True,  # its memory is the optimiser's while nothing is generated
            "vllm_max_model_length": longest,
        }
    url = train.policy_server.base_url or f"http://localhost:{train.policy_server.port}"
    timeout_s = train.policy_server.start_timeout_s
    server = {"vllm_mode": "server", "vllm_server_base_url": url, "vllm_server_timeout": timeout_s}
    return common | server | {"vllm_group_port": train.policy_server.weights_port}
