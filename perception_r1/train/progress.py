"""What is said after each step: how far the run is, what it earns, and what it waits for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

REWARD = "rewards/"


def measures(logs: Mapping[str, Any], left_s: float, kl_weight: float) -> dict[str, Any]:
    """What a person wants to know of a step, out of all that TRL logs; what is no number is left out."""
    step_s = logs.get("step_time") or 0.0
    tokens = (logs.get("completions/mean_length") or 0.0) * (logs.get("completions/count") or 0.0)
    waited_s = logs.get("judge/waited") or 0.0
    found = {
        "rewards": {
            name.removeprefix(REWARD): logs[name]
            for name in logs
            if name.startswith(REWARD) and "/" not in name[len(REWARD) :]
        },
        "kl": logs.get("kl"),
        "kl_weight": kl_weight or None,
        "entropy": logs.get("entropy"),
        "length": logs.get("completions/mean_length"),
        "truncated": logs.get("completions/clipped_ratio"),
        "by_judge_alone": logs.get("groups/by_judge_alone"),
        "skipped": logs.get("skipped") or None,
        "step_s": step_s,
        "tokens_per_s": tokens / step_s if step_s else None,
        "judge_s": logs.get("judge/seconds"),
        "judge_waited_s": logs.get("judge/waited"),
        "judge_share": waited_s / step_s if step_s and "judge/waited" in logs else None,
        "left_s": left_s,
    }
    return {name: value for name, value in found.items() if _is_said(value)}


def told(step: int, steps: int, seen: Mapping[str, Any]) -> str:
    """The line of a step."""
    rewards = " ".join(f"{name} {value:.3f}" for name, value in seen.get("rewards", {}).items() if _is_said(value))
    parts = [f"step {step}/{steps}: {rewards}"]
    parts += [f"kl {seen['kl']:.2g} x {seen.get('kl_weight', 0):.2g}"] if "kl" in seen else []
    parts += [f"{seen['tokens_per_s']:.0f} tokens/s"] if "tokens_per_s" in seen else []
    if "judge_s" in seen:
        share = seen.get("judge_share", 0.0)
        parts.append(
            f"judge {seen['judge_s']:.2f} s, waited for {seen['judge_waited_s']:.2f} s ({share:.1%} of the step)"
        )
    parts += ["left out: the gradient was no number"] if seen.get("skipped") else []
    return "; ".join([*parts, f"{seen['step_s']:.2f} s a step, {duration(seen['left_s'])} left"])


def shortly(seen: Mapping[str, Any], alarms: Sequence[str] = ()) -> str:
    """What stands beside a bar, where the time left is shown already; first what the last look found suspicious."""
    parts = [f"ALARM: {alarm}" for alarm in alarms]
    parts += [f"{name} {value:.2f}" for name, value in seen.get("rewards", {}).items() if _is_said(value)]
    parts += [f"kl {seen['kl']:.2g}"] if "kl" in seen else []
    parts += [f"{seen['tokens_per_s']:.0f} tokens/s"] if "tokens_per_s" in seen else []
    parts += [f"judge {seen['judge_share']:.0%}"] if "judge_share" in seen else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _is_said(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))
