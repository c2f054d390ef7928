"""The one seam to everything that talks: teacher, extractor, judge, and a policy behind an address.

    endpoint = open_endpoint(config.endpoints["judge"])
    for number, reply in endpoint.ask(requests):     # as they finish, in any order
        if isinstance(reply, EndpointError): ...     # a failure has a type, and is never a score

An endpoint with a base URL speaks the OpenAI protocol; one without is a model of the embedded world, in process.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pybase64 import b64encode_as_string

from perception_r1 import sections
from perception_r1.errors import (
    Barred,
    ConfigError,
    EndpointError,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Unreachable,
)

Json = Mapping[str, Any]
NO_WORD = (Unreachable, Barred, Refused, TimedOut, RateLimited, ServerFailed)  # nothing that a model said
MIME_OF = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}  # by the first bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion to ask for. A message is {"role": ..., "content": text or parts} as OpenAI spells them."""

    messages: tuple[Json, ...]
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int | None = None
    schema: Json | None = None  # the JSON schema that the reply must follow


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, and what it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    cost_usd: float = 0.0


class Endpoint(Protocol):
    """A model that answers."""

    @property
    def model(self) -> str:
        """Its name, as it is stored with what it said."""
        ...

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        """The replies with the numbers of their requests, as they finish; a failure instead of a reply is returned."""
        ...

    def close(self) -> None:
        """Ends its connections."""
        ...


def open_endpoint(settings: sections.Endpoint) -> Endpoint:
    """The model that the settings name, ready to be asked; raises ConfigError where its key or its name is missing."""
    if settings.base_url:
        from perception_r1.wire import WireEndpoint

        return WireEndpoint(settings)
    from perception_r1.world.embedded import EmbeddedEndpoint

    return EmbeddedEndpoint(settings.model)


def key_of(settings: sections.Endpoint) -> str:
    """The key out of the environment, where the endpoint takes one; a local server takes any."""
    if not settings.key_variable:
        return "none"
    key = os.environ.get(settings.key_variable, "").strip()
    if not key:
        raise ConfigError(
            f"the endpoint of {settings.model} at {settings.base_url} takes its key from the environment variable "
            f"{settings.key_variable}, which is not set; export it"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"the environment variable {settings.key_variable} holds no key: a line break or another character that "
            "cannot be sent is in it; export it again"
        )
    return key


@dataclass(slots=True)
class Speaking:
    """An endpoint that must say something: it raises its failure where not one request got a word from the model.

    What a stage makes of no reply at all would be found in the store ever after, though the address answers again.
    """

    endpoint: Endpoint
    spoke: bool = False

    @property
    def model(self) -> str:
        """Its name."""
        return self.endpoint.model

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        """The endpoint's own replies; after the last, its failure if it has not spoken yet, or is no longer there."""
        silent, failure = True, None
        for number, reply in self.endpoint.ask(requests):
            if isinstance(reply, NO_WORD):
                failure = reply
            else:
                silent, self.spoke = False, True
            yield number, reply
        if silent and failure and (isinstance(failure, Unreachable | Barred) or not self.spoke):
            raise failure

    def close(self) -> None:
        """Ends its connections."""
        self.endpoint.close()


class DataUri(str):
    """A picture in letters that JSON spells as they are."""

    __slots__ = ()


def text_part(text: str) -> dict[str, Any]:
    """Text as a part of a message's content."""
    return {"type": "text", "text": text}


def image_part(picture: bytes) -> dict[str, Any]:
    """An encoded picture, PNG or JPEG, as a part of a message's content: a data URI."""
    mime = next((mime for start, mime in MIME_OF.items() if picture.startswith(start)), "image/png")
    return {"type": "image_url", "image_url": {"url": DataUri(f"data:{mime};base64,{b64encode_as_string(picture)}")}}


def reason_of(failure: EndpointError) -> str:
    """Why there is no reply, as it is stored: "timed out: …", the sort of failure before the colon."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", " ", type(failure).__name__).lower()
    return f"{kind}: {failure}"
