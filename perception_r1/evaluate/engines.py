"""Who answers: a model in this process, or any OpenAI-compatible address, behind one seam (vLLM here: `offline`).

    for asked, response in engine.respond(stream):    # in any order; a failure is a response with an error

What an engine was asked before is taken from the cache, if it was asked in the very same words, pictures and settings.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, Protocol

from perception_r1 import endpoints
from perception_r1.endpoints import Reply, Request, Speaking, reason_of
from perception_r1.errors import EndpointError, Malformed, Refused, Truncated
from perception_r1.evaluate.cache import Cache, Response, key_of
from perception_r1.evaluate.generate import rendered, responses
from perception_r1.prompt import Instruction, messages
from perception_r1.records import Problem

AHEAD = 1024  # questions that are ready while others are asked
FOR_GOOD = (Refused, Malformed)  # asking again another day would not help


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a model: `shard` and `place` say where its response belongs."""

    shard: str
    place: int
    problem: Problem
    sample: int = 0
    before: tuple[Mapping[str, Any], ...] = ()  # the messages of demonstrations
    pictures: tuple[bytes, ...] = ()  # theirs

    @property
    def images(self) -> tuple[bytes, ...]:
        """All pictures of the prompt, in order."""
        return (*self.pictures, *self.problem.images)


class Engine(Protocol):
    """A model that answers."""

    def respond(self, stream: Iterable[Asked]) -> Iterator[tuple[Asked, Response]]:
        """The responses, as they come."""
        ...

    def close(self) -> None:
        """Ends what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a response is drawn: sample 0 is greedy, the others at this temperature."""

    max_tokens: int
    temperature: float = 1.0
    seed: int = 0

    def of(self, asked: Asked) -> float:
        """The temperature of one response."""
        return self.temperature if asked.sample else 0.0


class Transformers:
    """A model in this process: whole batches of pictures of one size, always cut in the same way."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        digest: str,
        sampling: Sampling,
        batch: int,
        instruction: Instruction,
        cache: Cache,
    ) -> None:
        self._model, self._processor, self._cache = model, processor, cache
        self._sampling, self._batch, self._instruction = sampling, batch, instruction
        size = processor.image_processor.size
        self._settings = {
            "model": digest,
            "engine": "transformers",
            "dtype": str(model.dtype),
            "pixels": [size["shortest_edge"], size["longest_edge"]],
            "max_tokens": sampling.max_tokens,
        }

    def respond(self, stream: Iterable[Asked]) -> Iterator[tuple[Asked, Response]]:
        """Shard by shard: a batch's composition never depends on what was done before."""
        for _, shard in groupby(stream, key=lambda asked: asked.shard):
            waiting = sorted(shard, key=lambda asked: (_pixels(asked.images), asked.place))
            for start in range(0, len(waiting), self._batch):
                batch = waiting[start : start + self._batch]
                yield from zip(batch, self._of(batch), strict=True)

    def _of(self, batch: Sequence[Asked]) -> list[Response]:
        """The responses of a batch, known or new; they are taken from the cache all or not at all."""
        prompts = [rendered(self._processor, one.problem, self._instruction, one.before) for one in batch]
        heat, sampling = self._sampling.of(batch[0]), self._sampling
        keys = [
            key_of(self._settings | drawn(one, sampling), prompt, one.images)
            for one, prompt in zip(batch, prompts, strict=True)
        ]
        known = self._cache.get(keys)
        if len(known) < len(set(keys)):
            pictures = [image for one in batch for image in one.images]
            seed = _seed(keys)
            said = responses(self._model, self._processor, prompts, pictures, sampling.max_tokens, heat, seed)
            known = dict(zip(keys, said, strict=True))
            self._cache.put(known)
        return [known[key] for key in keys]

    def close(self) -> None:
        """Nothing is open."""


class Served:
    """A model behind an address: as many questions at once as its settings say; asked again where that may help.

    `spoke`: it has answered before, so that what is left may well be what it refuses.
    """

    def __init__(
        self,
        endpoint: endpoints.Endpoint,
        digest: str,
        sampling: Sampling,
        instruction: Instruction,
        cache: Cache,
        *,
        spoke: bool = False,
    ) -> None:
        self._endpoint, self._cache, self._instruction = Speaking(endpoint, spoke), cache, instruction
        self._sampling, self._settings = (
            sampling,
            {"model": digest, "engine": "served", "max_tokens": sampling.max_tokens},
        )

    def respond(self, stream: Iterable[Asked]) -> Iterator[tuple[Asked, Response]]:
        """In the order in which they finish; what is known is not asked."""
        waiting = iter(stream)
        while some := list(islice(waiting, AHEAD)):
            requests = [self._request(asked) for asked in some]
            keys = [self._key(asked, request) for asked, request in zip(some, requests, strict=True)]
            known = self._cache.get(keys)
            self._endpoint.spoke |= bool(known)
            yield from ((asked, known[key]) for asked, key in zip(some, keys, strict=True) if key in known)
            new = [number for number, key in enumerate(keys) if key not in known]
            for number, reply in self._endpoint.ask(requests[n] for n in new):
                response = _response(reply)
                self._cache.put({keys[new[number]]: response})
                yield some[new[number]], response

    def _key(self, asked: Asked, request: Request) -> bytes:
        told = json.dumps(request.messages, default=str)
        return key_of(self._settings | drawn(asked, self._sampling), told, ())

    def _request(self, asked: Asked) -> Request:
        problem, sampling = asked.problem, self._sampling
        own = messages(problem.question, len(problem.images), problem.choices, self._instruction)
        told = tuple(spoken([*asked.before, *own], asked.images))
        return Request(told, sampling.max_tokens, sampling.of(asked), sampling.seed + asked.sample)

    def close(self) -> None:
        """Ends its connections."""
        self._endpoint.close()


def spoken(told: Iterable[Mapping[str, Any]], images: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """Messages as the protocol spells them, each picture at its mark."""
    waiting = iter(images)
    for message in told:
        content = message["content"]
        if not isinstance(content, str):
            content = [
                endpoints.image_part(next(waiting)) if part["type"] == "image" else endpoints.text_part(part["text"])
                for part in content
            ]
        yield {"role": message["role"], "content": content}


def _response(reply: Reply | EndpointError) -> Response:
    """A reply as a response; one that was cut off answers nothing, and a failure is none."""
    if isinstance(reply, Reply):
        return Response(reply.text, reply.completion_tokens, False)
    if isinstance(reply, Truncated):
        return Response("", 0, True)
    return Response("", 0, False, reason_of(reply), isinstance(reply, FOR_GOOD))


def drawn(asked: Asked, sampling: Sampling) -> dict[str, Any]:
    """What of the sampling decides a response; a greedy one has no seed."""
    if not asked.sample:
        return {"temperature": 0.0}
    return {"temperature": sampling.temperature, "seed": sampling.seed, "sample": asked.sample}


def _seed(keys: Sequence[bytes]) -> int:
    """A seed that only the batch decides, whose keys hold the run's own."""
    return int.from_bytes(hashlib.sha256(b"".join(keys)).digest()[:4])


def _pixels(images: Sequence[bytes]) -> tuple[int, int]:
    return len(images), sum(_size(image) for image in images)


@lru_cache(maxsize=1024)
def _size(image: bytes) -> int:
    """The pixels of a picture, from its head."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        return int(opened.width * opened.height)
