"""The embedded world's starting point: what the lazy demonstrator leaves behind, by question.

OMP_NUM_THREADS=1 python -m bench.world          # two seeds, a few minutes; writes bench/results/world.md
"""

import argparse
import io
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.machine import described
from perception_r1.world.charts import QUESTIONS, Task, tasks
from perception_r1.world.warm_start import STEPS, prompt, warm_started

RESULTS = Path(__file__).parent / "results" / "world.md"
ITEMS, AT_ONCE, LONGEST = 513, 64, 56
LAYOUT = re.compile(r"<think>.*</think>\n<answer>\\boxed\{(.*)\}</answer>", re.DOTALL)


def main() -> None:
    """Warms a model up for each seed, asks it the held-out questions greedily, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    rows = [row for seed in options.seeds for row in measured(seed, options.steps)]
    columns = ["seed", "question", "items", "layout kept", "answer right", "all facts right", "warm start, CPU s"]
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    text = (
        f"# The embedded world before reinforcement\n\n`python -m bench.world`, {options.steps} steps: {described()}.\n"
        "Greedy answers to held-out charts. Three in five demonstrations read heights only as 2, 5 or 8, yet answer "
        "`cmp` and `max` rightly: the gap between answering and seeing is put there on purpose.\n\n"
        f"{head}\n" + "\n".join(rows) + "\n"
    )
    RESULTS.write_text(text)
    print(text)


def measured(seed: int, steps: int) -> list[str]:
    """The table's rows of one seed."""
    started = time.process_time()
    model, processor = warm_started(seed, steps)
    took = time.process_time() - started
    seen: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
    asked = list(tasks("heldout", ITEMS, seed=1))
    for start in range(0, ITEMS, AT_ONCE):
        for task, said in answers(model, processor, asked[start : start + AT_ONCE]):
            kept = LAYOUT.fullmatch(said)
            outcome = (
                kept is not None,
                kept is not None and kept[1] == task.answer,
                all(f in said for f in task.facts),
            )
            seen[task.question].append(outcome)
            seen["all"].append(outcome)
    return [
        f"| {seed} | {question} | {len(seen[question])} | "
        + " | ".join(f"{sum(column) / len(column):.3f}" for column in zip(*seen[question], strict=True))
        + f" | {took:.0f} |"
        for question in (*QUESTIONS, "all")
    ]


def answers(model: Any, processor: Any, asked: list[Task]) -> list[tuple[Task, str]]:
    """The tasks with the model's greedy responses."""
    import torch
    from PIL import Image

    images = [Image.open(io.BytesIO(task.chart.png())) for task in asked]
    texts = [prompt(processor, task.text) for task in asked]
    inputs = processor(text=texts, images=images, return_tensors="pt", padding=True, padding_side="left")
    with torch.no_grad():
        # a sampled image mark would end the next forward
        said = model.generate(
            **inputs, max_new_tokens=LONGEST, do_sample=False, suppress_tokens=[processor.image_token_id]
        )
    texts = processor.tokenizer.batch_decode(said[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return list(zip(asked, texts, strict=True))


if __name__ == "__main__":
    main()
