"""The embedded models: what answers where there is no address, in process and at once."""

import difflib
import functools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from perception_r1.endpoints import Reply, Request
from perception_r1.errors import ConfigError, EndpointError, Truncated

Answer = Callable[[Request], str]  # may raise EndpointError, as a model may refuse
IMAGE_TOKENS = 9  # of a chart, as the tiny model sees it
TOKEN = re.compile(r"\w+|[^\w\s]")


def _teacher(request: Request) -> str:
    from perception_r1.world import teacher

    return teacher.reply(request)


def _extractor(request: Request) -> str:
    from perception_r1.world import extractor

    return extractor.reply(request)


def _judge(request: Request) -> str:
    from perception_r1.world import judge

    return judge.reply(request)


def _weak_judge(request: Request) -> str:
    from perception_r1.world import judge

    return judge.weak_reply(request)


EMBEDDED: Mapping[str, Answer] = {
    "embedded/teacher": _teacher,
    "embedded/extractor": _extractor,
    "embedded/judge": _judge,
    "embedded/weak-judge": _weak_judge,  # fails the gates of validate, as it must
}


class EmbeddedEndpoint:
    """An embedded model: answers in the order of the requests."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._answer = answer_of(model)

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        """The replies with the numbers of their requests; a failure instead of a reply is returned."""
        for number, request in enumerate(requests):
            yield number, answered(self._answer, request)

    def close(self) -> None:
        """Nothing is open."""


def answer_of(model: str) -> Answer:
    """What answers under a name; raises ConfigError with the nearest name."""
    if model in EMBEDDED:
        return EMBEDDED[model]
    near = difflib.get_close_matches(model, EMBEDDED, n=1)
    told = f"did you mean {near[0]}?" if near else f"known: {', '.join(EMBEDDED)}"
    raise ConfigError(f"there is no embedded model {model!r}; {told} A model of your own needs a base_url.")


def answered(answer: Answer, request: Request) -> Reply | EndpointError:
    """The reply to a request, or the failure that a served model would have ended with."""
    started = time.perf_counter()
    try:
        text = answer(request)
    except EndpointError as failure:
        return failure
    said = tokens(text)
    if said > request.max_tokens:
        return Truncated(f"cut off at {request.max_tokens} of {said} tokens; raise max_tokens")
    return Reply(text, prompt_tokens(request), said, time.perf_counter() - started)


def tokens(text: str) -> int:
    """How many words and signs a text has: the embedded models' unit."""
    return len(TOKEN.findall(text))


def prompt_tokens(request: Request) -> int:
    """The tokens of all messages."""
    said = sum(tokens(text_of(request, role)) for role in ("user", "assistant"))
    return _of_all(text_of(request, "system")) + said + IMAGE_TOKENS * len(pictures_of(request))


_of_all = functools.lru_cache(64)(tokens)  # what stands in every request


def text_of(request: Request, role: str = "") -> str:
    """The text of a request's messages, or of those of one role."""
    asked = [m["content"] for m in request.messages if not role or m["role"] == role]
    parts = [[{"type": "text", "text": content}] if isinstance(content, str) else content for content in asked]
    return "\n".join(part["text"] for content in parts for part in content if part["type"] == "text")


def pictures_of(request: Request) -> list[str]:
    """The data URIs of a request's pictures."""
    parts = [m["content"] for m in request.messages if not isinstance(m["content"], str)]
    return [part["image_url"]["url"] for content in parts for part in content if part["type"] == "image_url"]
