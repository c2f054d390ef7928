"""vLLM in the evaluating process: it batches by itself, a shard at a time.

It opens what transformers would open, at the same precision, with the same limits of pictures, and no more than
transformers may it say a mark of a picture.
"""

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from perception_r1.errors import NO_VLLM, ConfigError
from perception_r1.evaluate.cache import Cache, Response, key_of
from perception_r1.evaluate.engines import Asked, Sampling, drawn, spoken
from perception_r1.models import named, open_processor, vision_tokens
from perception_r1.prompt import Instruction, messages

BANNED = -100.0  # added to a token's logit


class VLLM:
    """A model that vLLM opens; `limits` are min_pixels and max_pixels of a picture, where they are set."""

    def __init__(
        self,
        weights: Path,
        digest: str,
        sampling: Sampling,
        instruction: Instruction,
        cache: Cache,
        limits: Mapping[str, int],
        *,
        bf16: bool,
    ) -> None:
        self._vllm, where = _vllm(), named(weights)
        revision, dtype = where.get("revision"), "bfloat16" if bf16 else "float32"
        self._model = self._vllm.LLM(
            where["pretrained_model_name_or_path"],
            revision=revision,
            tokenizer_revision=revision,
            dtype=dtype,
            seed=sampling.seed,
            mm_processor_kwargs=dict(limits) or None,
        )
        self._banned = dict.fromkeys(vision_tokens(open_processor(weights)), BANNED)
        self._sampling, self._instruction, self._cache = sampling, instruction, cache
        self._settings = {
            "model": digest,
            "engine": "vllm",
            "dtype": dtype,
            "pixels": dict(limits),
            "max_tokens": sampling.max_tokens,
        }

    def respond(self, stream: Iterable[Asked]) -> Iterator[tuple[Asked, Response]]:
        """Shard by shard."""
        for _, shard in groupby(stream, key=lambda asked: asked.shard):
            waiting = list(shard)
            told = [self._told(asked) for asked in waiting]
            keys = [
                key_of(self._settings | drawn(asked, self._sampling), json.dumps(said, default=str), ())
                for asked, said in zip(waiting, told, strict=True)
            ]
            known = self._cache.get(keys)
            new = [number for number, key in enumerate(keys) if key not in known]
            said = answers(self._chat, [told[n] for n in new], [self._params(waiting[n]) for n in new])
            fresh = {keys[number]: response for number, response in zip(new, said, strict=True)}
            self._cache.put(fresh)
            known |= fresh
            yield from ((asked, known[key]) for asked, key in zip(waiting, keys, strict=True))

    def _told(self, asked: Asked) -> list[Any]:
        problem = asked.problem
        own = messages(problem.question, len(problem.images), problem.choices, self._instruction)
        return list(spoken([*asked.before, *own], asked.images))

    def _params(self, asked: Asked) -> Any:
        heat, seed = self._sampling.of(asked), self._sampling.seed + asked.sample
        return self._vllm.SamplingParams(
            temperature=heat, max_tokens=self._sampling.max_tokens, seed=seed, logit_bias=self._banned
        )

    def _chat(self, told: list[Any], params: list[Any]) -> Sequence[Any]:
        outputs: Sequence[Any] = self._model.chat(told, params, use_tqdm=False)
        return outputs

    def close(self) -> None:
        """Frees the model."""
        del self._model


def answers(
    chat: Callable[[list[Any], list[Any]], Sequence[Any]], told: list[Any], params: list[Any]
) -> list[Response]:
    """The responses; what vLLM refuses, such as a prompt that is too long, is a failure of that question alone."""
    if not told:
        return []
    try:
        said = chat(told, params)
    except ValueError as error:
        if len(told) == 1:
            return [Response("", 0, False, f"refused: {error}", for_good=True)]
        return [answers(chat, [one], [its])[0] for one, its in zip(told, params, strict=True)]
    outputs = [one.outputs[0] for one in said]
    return [Response(one.text, len(one.token_ids), one.finish_reason == "length") for one in outputs]


def _vllm() -> Any:
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise ConfigError(NO_VLLM.format(error)) from None
