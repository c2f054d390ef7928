"""Does what generates see the prompt that is trained on? Asked of every batch, so first before the first step.

Three ways to train on another prompt than the one that was sampled from, none of which raises anything by itself:
vLLM in process expands the marks of a picture that TRL has expanded already; a server with other pixel limits makes
more or fewer image tokens of the same picture; and a policy that may say a picture's mark ends the next forward.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from perception_r1.errors import TrainingFailed
from perception_r1.judges import Case, Judge

Ids = Sequence[int]
PLAIN = ("<think>Bar A is 7.</think><answer>\\boxed{A}</answer>", (("plain", "Bar A is 7."),))


def collapsed(ids: Ids, mark: int) -> list[int]:
    """The ids with every run of a picture's marks as one mark: what vLLM expands itself."""
    return [token for value, run in groupby(ids) for token in ([value] if value == mark else run)]


def runs_of(ids: Ids, mark: int) -> list[int]:
    """How many marks each picture has."""
    return [sum(1 for _ in run) for value, run in groupby(ids) if value == mark]


def check_prompts(seen: Sequence[Ids], meant: Sequence[Ids]) -> None:
    """Raises TrainingFailed where vLLM read other prompts than the trainer scores."""
    for number, (theirs, ours) in enumerate(zip(seen, meant, strict=True)):
        if list(theirs) != list(ours):
            at = next(
                (n for n, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), min(len(theirs), len(ours))
            )
            raise TrainingFailed(
                f"vLLM read another prompt {number} than the trainer: {len(theirs)} tokens instead of {len(ours)}, "
                f"differing from token {at}; both must open one folder, and one release of transformers"
            )


def check_pictures(theirs: Sequence[int], ours: Sequence[int]) -> None:
    """Raises TrainingFailed where the server makes another number of image tokens of a picture."""
    if list(theirs) != list(ours):
        raise TrainingFailed(
            f"the vLLM server makes {list(theirs)} image tokens of a prompt's pictures, the trainer {list(ours)}: "
            "serve the run's own base folder, or start it with --mm-processor-kwargs and the run's limits of pixels"
        )


def check_completions(completions: Iterable[Ids], banned: Iterable[int]) -> None:
    """Raises TrainingFailed where the policy said a token that stands for a picture."""
    forbidden = frozenset(banned)
    for number, ids in enumerate(completions):
        if found := forbidden.intersection(ids):
            raise TrainingFailed(
                f"completion {number} holds the vision token {min(found)}, which has no picture: the ban of vision "
                "tokens (logit_bias) did not reach the server; use a vLLM that TRL 1.16 supports"
            )


def check_judge(judge: Judge) -> None:
    """Raises TrainingFailed where the judge does not answer one plain question, before anything is generated."""
    asking = replace(judge.fresh(), matcher=False)
    ((judgement,),) = asking.judge([Case(*PLAIN)])
    if judgement.verdict == "unknown":
        raise TrainingFailed(f"the judge gives no verdict on a plain case, before step 1: {judgement.decided_by}")


def guard(vllm: Any, mark: int, *, colocated: bool) -> None:
    """Makes TRL's vLLM backend collapse what it must, and check what it read, at every call."""
    vllm.generate = _checked(vllm.generate, mark, colocated)
    if not colocated:
        vllm._place_features = _placed(vllm._place_features, mark)


def _checked(generate: Callable[..., Any], mark: int, colocated: bool) -> Callable[..., Any]:
    def checked(prompts: Sequence[Ids], images: Any, num_generations: int, profiler: Any = None) -> Any:
        pictured = colocated and images is not None
        sent = [collapsed(ids, mark) for ids in prompts] if pictured else prompts
        found = generate(prompts=sent, images=images, num_generations=num_generations, profiler=profiler)
        check_prompts(found[0], prompts)
        return found

    return checked


def _placed(place: Callable[..., Any], mark: int) -> Callable[..., Any]:
    def placed(features: Any, prompt_ids: Ids) -> Any:
        if features is not None:
            theirs = [picture["length"] for picture in features["mm_placeholders"]["image"]]
            check_pictures(theirs, runs_of(prompt_ids, mark))
        return place(features, prompt_ids)

    return placed
