"""An endpoint in process that says what a function says, and remembers what it was asked."""

from collections.abc import Callable, Iterable, Iterator

from perception_r1.endpoints import Reply, Request
from perception_r1.errors import EndpointError

Say = Callable[[Request], str | EndpointError]


class Saying:
    """A model that answers; replies come last asked, first answered, as no caller may rely on their order."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[Request] = []

    @property
    def model(self) -> str:
        return "saying"

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply | EndpointError]]:
        numbered = list(enumerate(requests))
        self.asked += [request for _, request in numbered]
        for number, request in reversed(numbered):
            said = self.say(request)
            yield number, said if isinstance(said, EndpointError) else Reply(said, 1, 1, 0.0)

    def close(self) -> None:
        pass


def user(request: Request) -> str:
    """The user's message of a request."""
    return str(request.messages[-1]["content"])
