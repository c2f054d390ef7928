"""Requests, replies and errors as OpenAI spells them."""

import email.utils
import json
import sys
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perception_r1 import sections
from perception_r1.endpoints import DataUri, Reply, Request
from perception_r1.errors import (
    Barred,
    EndpointError,
    Malformed,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Truncated,
)
from perception_r1.wire.answer import Answer

if TYPE_CHECKING:
    import openai

MILLION = 1_000_000
MOST_TOKENS = 1 << 31  # of a request: a larger count is no count, and fits neither a price nor a table
OF_THE_REQUEST = (400, 413, 415, 422)  # statuses that another request may not get; others mean us
_SPELL = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def body_of(model: str, request: Request) -> dict[str, Any]:
    """The request as the protocol spells it."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [dict(message) for message in request.messages],
        "max_completion_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.schema is not None:
        schema = {"name": "reply", "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def encoded(model: str, request: Request) -> bytes:
    """The body as it is sent: plain ASCII, so that a lone surrogate in a policy's text cannot stop it.

    Pictures go round the JSON encoder, which takes longer for them than all else that a request costs.
    """
    body, pictures = body_of(model, request), list[bytes]()
    if all(isinstance(message.get("content"), str) for message in request.messages):
        return _SPELL(body).encode("ascii")
    mark = uuid.uuid4().hex  # in no text: it is made after all of them
    body["messages"] = [_without_pictures(message, mark, pictures) for message in body["messages"]]
    text = _SPELL(body).encode("ascii")
    between = text.split(mark.encode())
    return b"".join(piece for pair in zip(between, [*pictures, b""], strict=True) for piece in pair)


def _without_pictures(message: dict[str, Any], mark: str, pictures: list[bytes]) -> dict[str, Any]:
    """The message with a mark in the place of each picture."""
    content = message.get("content")
    if not isinstance(content, list | tuple):
        return message
    return message | {"content": [_without_picture(part, mark, pictures) for part in content]}


def _without_picture(part: Any, mark: str, pictures: list[bytes]) -> Any:
    url = part["image_url"]["url"] if part.get("type") == "image_url" else ""
    if not isinstance(url, DataUri):
        return part
    pictures.append(url.encode())
    return part | {"image_url": part["image_url"] | {"url": mark}}


def read(answer: Answer, settings: sections.Endpoint, max_tokens: int, took_s: float) -> Reply | EndpointError:
    """What an answer says; a failure bears what it cost, for a reply that was cut off is paid for too."""
    where = f"{settings.model} at {settings.base_url}"
    if answer.status != 200:
        return _of_status(where, answer)
    said = _parsed(answer.body)
    choice = _first_choice(said)
    if choice is None:
        return Malformed(f"{where} sent no chat completion: {_short(answer.body)}")
    asked, used = _usage(said)
    prices = settings.usd_per_million_prompt_tokens, settings.usd_per_million_completion_tokens
    cost_usd = (asked * prices[0] + used * prices[1]) / MILLION
    made = _of_choice(choice, settings.model, max_tokens)
    if isinstance(made, str):
        return Reply(made, asked, used, took_s, cost_usd)
    return made.after(asked, used, cost_usd)


def _of_choice(choice: Mapping[str, Any], model: str, max_tokens: int) -> str | EndpointError:
    """The text of a completion, or why there is none."""
    reason, message = choice.get("finish_reason"), choice["message"]
    refusal, text = message.get("refusal"), message.get("content")
    if reason == "length":
        return Truncated(f"{model} was cut off at {max_tokens} tokens; raise max_tokens")
    if reason == "content_filter" or refusal:
        return Refused(f"{model} refuses to answer: {_short(str(refusal or reason))}")
    if not isinstance(text, str) or not text:
        return Malformed(f"{model} sent an empty reply (finish_reason {reason})")
    return text


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _first_choice(said: Any) -> dict[str, Any] | None:
    """The first choice of what may be a chat completion."""
    choices = said.get("choices") if isinstance(said, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and isinstance(first.get("message"), dict) else None


def _usage(said: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of the prompt and of the reply, 0 where the server says nothing that can be."""
    usage = said.get("usage")
    counts = [usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")]
    asked, used = (count if isinstance(count, int) and 0 < count < MOST_TOKENS else 0 for count in counts)
    return asked, used


def _of_status(where: str, answer: Answer) -> EndpointError:
    """The failure that an HTTP status stands for."""
    status, told = answer.status, f"{where} answered {answer.status}: {_complaint(answer.body)}"
    if 300 <= status < 400 and "location" in answer.headers:
        return Barred(f"{where} answered {status}: it is at {_short(answer.headers['location'])}; set base_url to it")
    if status == 429:
        return RateLimited(told)
    if status == 408:
        return TimedOut(told)
    if status >= 500 or status == 409:
        return ServerFailed(told)
    return Refused(told) if status in OF_THE_REQUEST else Barred(told)


def _complaint(body: bytes) -> str:
    """What the server says is wrong."""
    said = _parsed(body)
    error = said.get("error", said) if isinstance(said, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return _short(message if isinstance(message, str) else body)


def told_to_wait_s(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header, a number or a date; a date is held against the server's own clock."""
    said = headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        date, now = _instant(said), _instant(headers.get("date", ""))
        seconds = date - (time.time() if now is None else now) if date is not None else float("nan")
    return max(0.0, seconds) if seconds == seconds else None


def _instant(date: str) -> float | None:
    try:
        parsed = email.utils.parsedate_tz(date)
        return None if parsed is None else float(email.utils.mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None


def with_openai_error(failure: EndpointError, answer: Answer | None, url: str) -> EndpointError:
    """The failure with the openai package's own error as its cause, for who knows that."""
    import openai

    http = sys.modules.get("httpx2") or sys.modules["httpx"]  # whichever this release of openai is made of
    request = http.Request("POST", url)
    if answer is None:
        failure.__cause__ = (
            openai.APITimeoutError(request)
            if isinstance(failure, TimedOut)
            else openai.APIConnectionError(message=str(failure), request=request)
        )
        return failure
    response, said = http.Response(answer.status, request=request), _parsed(answer.body)
    if answer.status == 200:
        failure.__cause__ = openai.APIResponseValidationError(response, said, message=str(failure))
    else:
        failure.__cause__ = _status_error(answer.status)(str(failure), response=response, body=said)
    return failure


def _status_error(status: int) -> "type[openai.APIStatusError]":
    """The error that the openai package raises for an HTTP status."""
    import openai

    kinds: dict[int, type[openai.APIStatusError]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    return kinds.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)


def _short(text: str | bytes, longest: int = 200) -> str:
    """One line of a server's words."""
    line = " ".join((text.decode("utf-8", "replace") if isinstance(text, bytes) else text).split())
    return line if len(line) <= longest else f"{line[:longest]}…"
