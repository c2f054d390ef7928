"""Words for pictures, for the condition `caption`: a model describes each item's pictures, and never sees its question.

The lines of a file are {"item", "caption"}; items with the very same pictures share one description.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from perception_r1.benchmarks.item import Item
from perception_r1.endpoints import Endpoint, Reply, Request, image_part, text_part
from perception_r1.errors import EndpointError, Malformed

PROMPT = Path(__file__).parent / "prompts" / "caption.txt"


def described(
    endpoint: Endpoint, items: Iterable[Item], known: Collection[str], max_tokens: int
) -> Iterator[tuple[str, str | EndpointError]]:
    """The captions of the items that have pictures and are not known; a failure instead of one is returned."""
    waiting: dict[str, list[str]] = {}  # items by the look of their pictures, in the order of the requests
    said: dict[str, str | EndpointError] = {}

    def requests() -> Iterator[Request]:
        for item in items:
            images, name = item.problem.images, item.problem.id
            if not images or name in known:
                continue
            look = hashlib.sha256(b"".join(hashlib.sha256(image).digest() for image in images)).hexdigest()
            waiting.setdefault(look, []).append(name)
            if len(waiting[look]) == 1 and look not in said:
                looks.append(look)
                yield _request(images, max_tokens)

    looks: list[str] = []
    for number, reply in endpoint.ask(requests()):
        look = looks[number]
        said[look] = _caption(reply)
        names, waiting[look] = waiting[look], []
        yield from ((name, said[look]) for name in names)
    yield from ((name, said[look]) for look, names in waiting.items() for name in names)


def _request(images: Iterable[bytes], max_tokens: int) -> Request:
    parts = [*map(image_part, images), text_part(PROMPT.read_text())]
    return Request(({"role": "user", "content": parts},), max_tokens)


def _caption(reply: Reply | EndpointError) -> str | EndpointError:
    if isinstance(reply, EndpointError):
        return reply
    return " ".join(reply.text.split()) or Malformed("an empty description")
