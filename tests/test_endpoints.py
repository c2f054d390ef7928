"""The wire, against a real server on loopback: every failure has a type, comes back, and is never a score."""

import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from perception_r1 import sections
from perception_r1.endpoints import Endpoint, Reply, Request, Speaking, image_part, open_endpoint, text_part
from perception_r1.errors import (
    Barred,
    ConfigError,
    EndpointError,
    Malformed,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Truncated,
    Unreachable,
)
from perception_r1.wire.line import pause_s
from perception_r1.wire.protocol import body_of
from perception_r1.world.charts import Chart
from perception_r1.world.server import Fault, Server, serving

CHART = Chart((7, 4, 9), ("red",) * 3, (10, 10, 10))
PARTS = [image_part(CHART.png()), text_part("Is bar A taller than bar B?")]
REQUEST = Request(messages=({"role": "user", "content": PARTS},))
FAULTY = Fault(status=500, retry_after="0")


def varied(count: int) -> list[Request]:
    """Requests that no one else's reply will do for."""
    return [Request(REQUEST.messages, temperature=1.0, seed=seed) for seed in range(count)]


def settings(server: Server, **said: Any) -> sections.Endpoint:
    return sections.Endpoint(**{"model": "embedded/teacher", "base_url": server.url, "retries": 0, **said})


def asked(endpoint: Endpoint, requests: Iterable[Request] = (REQUEST,)) -> dict[int, Reply | EndpointError]:
    """All replies by the numbers of their requests; the endpoint is closed."""
    try:
        return dict(endpoint.ask(requests))
    finally:
        endpoint.close()


def answer(reply: Reply | EndpointError) -> str:
    assert isinstance(reply, Reply), reply
    return reply.text.rpartition("<answer>")[2]


def test_a_picture_and_a_question_reach_the_model_and_its_reply_comes_back_with_its_price() -> None:
    with serving() as server:
        priced = {"usd_per_million_prompt_tokens": 2.0, "usd_per_million_completion_tokens": 10.0}
        reply = asked(open_endpoint(settings(server, **priced)))[0]
    assert isinstance(reply, Reply)
    assert "boxed{yes}" in answer(reply)
    assert reply.prompt_tokens == 8 + 9  # seven words and a question mark, and a picture
    assert reply.completion_tokens > 10
    assert reply.cost_usd == pytest.approx((17 * 2.0 + reply.completion_tokens * 10.0) / 1e6)


def test_the_wire_says_what_the_embedded_model_says_in_process() -> None:
    requests = [Request(REQUEST.messages, temperature=1.0, seed=seed) for seed in range(12)]
    with serving() as server:
        served = asked(open_endpoint(settings(server, concurrency=5)), requests)
    here = asked(open_endpoint(sections.Endpoint(model="embedded/teacher")), requests)
    assert sorted(served) == list(range(12))
    assert {n: answer(reply) for n, reply in served.items()} == {n: answer(reply) for n, reply in here.items()}


GARBAGE = Fault(body="<html>bad gateway</html>")
EMPTY = '{"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": %s}'
NO_TEXT = '[{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": null}}]'
UNWILLING = '[{"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": null}}]'


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        pytest.param(Fault(status=500), ServerFailed, "answered 500", id="server-error"),
        pytest.param(Fault(status=503), ServerFailed, "answered 503", id="overloaded"),
        pytest.param(Fault(status=429), RateLimited, "answered 429", id="too-many"),
        pytest.param(Fault(status=408), TimedOut, "answered 408", id="request-timeout"),
        pytest.param(Fault(status=400), Refused, "answered 400", id="bad-request"),
        pytest.param(Fault(status=401), Barred, "answered 401", id="wrong-key"),
        pytest.param(Fault(status=404), Barred, "answered 404", id="no-such-model"),
        pytest.param(GARBAGE, Malformed, "sent no chat completion", id="garbage"),
        pytest.param(Fault(body="[]"), Malformed, "sent no chat completion", id="other-json"),
        pytest.param(Fault(body="null"), Malformed, "sent no chat completion", id="null"),
        pytest.param(Fault(body="{}"), Malformed, "sent no chat completion", id="no-choices"),
        pytest.param(Fault(body=EMPTY % "[]"), Malformed, "sent no chat completion", id="empty-choices"),
        pytest.param(Fault(body=EMPTY % "[{}]"), Malformed, "sent no chat completion", id="no-message"),
        pytest.param(Fault(body=EMPTY % NO_TEXT), Malformed, "empty reply", id="no-text"),
        pytest.param(Fault(body=EMPTY % UNWILLING), Refused, "refuses to answer", id="content-filter"),
        pytest.param(Fault(truncated=True), Truncated, "cut off at 512 tokens; raise max_tokens", id="length"),
        pytest.param(Fault(delay_s=0.6), TimedOut, "did not answer within 0.2 s", id="slow"),
        pytest.param(Fault(hang_up=True), Unreachable, "cannot be reached", id="hang-up"),
    ],
)
def test_every_failure_has_a_type_and_is_returned(fault: Fault, kind: type[EndpointError], told: str) -> None:
    with serving(faults=[fault]) as server:
        slow = 0.2 if fault.delay_s else 20.0
        reply = asked(open_endpoint(settings(server, timeout_s=slow)))[0]
    assert type(reply) is kind
    assert told in str(reply)
    assert "embedded/teacher" in str(reply)


@pytest.mark.parametrize("fault", [FAULTY, Fault(status=401), Fault(hang_up=True)])
def test_a_model_that_never_says_a_word_is_an_error_and_not_a_result(fault: Fault) -> None:
    with serving(faults=[fault, fault]) as server, pytest.raises(EndpointError, match="embedded/teacher at "):
        asked(Speaking(open_endpoint(settings(server))), varied(2))


def test_a_model_that_spoke_may_refuse_a_request_and_be_cut_off() -> None:
    with serving(faults=[Fault(truncated=True), Fault(status=400)]) as server:
        speaking = Speaking(open_endpoint(settings(server, concurrency=1)))
        (cut,) = dict(speaking.ask([REQUEST])).values()
        (refused,) = asked(speaking).values()
    assert isinstance(cut, Truncated)
    assert isinstance(refused, Refused)


def test_nobody_at_the_address_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        reply = asked(open_endpoint(sections.Endpoint(model="m", base_url=nowhere, retries=0)))[0]
    assert isinstance(reply, Unreachable)
    assert nowhere in str(reply)


@pytest.mark.parametrize(
    ("faults", "retries", "kind", "requests"),
    [
        pytest.param([FAULTY, FAULTY], 2, Reply, 3, id="enough"),
        pytest.param([FAULTY] * 9, 2, ServerFailed, 3, id="not-enough"),
        pytest.param([Fault(status=429, retry_after="0")], 1, Reply, 2, id="rate-limit"),
        pytest.param([Fault(status=400)], 4, Refused, 1, id="refused-is-final"),
        pytest.param([Fault(truncated=True)], 4, Truncated, 1, id="truncated-is-final"),
        pytest.param([Fault(status=429, retry_after="3600")], 4, RateLimited, 1, id="an-hour-is-too-long"),
        pytest.param(
            [Fault(status=429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")], 1, Reply, 2, id="a-date-that-is-past"
        ),
    ],
)
def test_what_may_pass_is_asked_again_within_the_budget(
    faults: list[Fault], retries: int, kind: type[object], requests: int
) -> None:
    with serving(faults=faults) as server:
        reply = asked(open_endpoint(settings(server, retries=retries)))[0]
        assert server.requests == requests
    assert type(reply) is kind


def test_without_a_word_from_the_server_the_wait_doubles_to_its_longest() -> None:
    chance = random.Random(0)
    for attempt, most_s in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]):
        assert all(0.75 * most_s <= pause_s(attempt, chance) <= most_s for _ in range(20))


def test_what_failed_in_three_ways_is_asked_a_fourth_time() -> None:
    with serving(faults=[Fault(status=500), Fault(hang_up=True), GARBAGE]) as server:
        assert isinstance(asked(open_endpoint(settings(server, retries=3)))[0], Reply)
        assert server.requests == 4


def test_one_failure_leaves_the_others_alone() -> None:
    with serving(faults=[None, Fault(status=400), None]) as server:
        replies = asked(open_endpoint(settings(server, concurrency=1)), varied(4))
    assert [type(replies[n]) for n in range(4)] == [Reply, Refused, Reply, Reply]


def test_requests_are_taken_as_places_become_free() -> None:
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for number, request in enumerate(varied(40)):
            taken.append(number)
            yield request

    with serving(faults=[Fault(delay_s=0.01)] * 40) as server:
        endpoint = open_endpoint(settings(server, concurrency=4))
        for finished, _ in enumerate(endpoint.ask(requests())):
            assert len(taken) <= finished + 1 + 2 * 4  # answered, in flight, and finished beside the one in hand
        endpoint.close()
        assert len(taken) == server.requests == 40
        assert 2 <= server.most_at_once <= 4


def test_an_endpoint_is_asked_many_times_and_from_many_threads() -> None:
    with serving() as server:
        endpoint = open_endpoint(settings(server, concurrency=4))
        counted: list[int] = []
        threads = [
            threading.Thread(target=lambda: counted.append(len(dict(endpoint.ask(varied(5)))))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counted == [5] * 4
        assert len(asked(endpoint, [REQUEST] * 3)) == 3


def test_who_stops_listening_stops_the_asking() -> None:
    with serving(faults=[Fault(delay_s=0.05)] * 200) as server:
        endpoint = open_endpoint(settings(server, concurrency=3))
        replies = endpoint.ask(varied(200))
        assert next(iter(replies))
        replies.close()  # type: ignore[attr-defined]
        endpoint.close()
        endpoint.close()  # twice is once
        assert server.requests < 20


def test_a_request_that_cannot_be_made_is_raised_where_it_is_made() -> None:
    def requests() -> Iterator[Request]:
        yield REQUEST
        raise ZeroDivisionError

    with serving() as server, pytest.raises(ZeroDivisionError):
        asked(open_endpoint(settings(server)), requests())


def test_the_key_comes_from_the_environment_when_the_endpoint_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(key="s3cret") as server:
        keyed = settings(server, key_variable="TEACHER_KEY")
        monkeypatch.delenv("TEACHER_KEY", raising=False)
        with pytest.raises(ConfigError, match=r"embedded/teacher at http.*TEACHER_KEY, which is not set; export it"):
            open_endpoint(keyed)
        monkeypatch.setenv("TEACHER_KEY", "s3cret\n")
        assert isinstance(asked(open_endpoint(keyed))[0], Reply)
        assert isinstance(asked(open_endpoint(settings(server)))[0], Barred)


def test_an_unknown_embedded_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"did you mean embedded/teacher\?"):
        open_endpoint(sections.Endpoint(model="embedded/techer"))


def test_a_schema_is_sent_as_the_response_format() -> None:
    schema = {"type": "object", "properties": {}}
    body = body_of("m", Request(REQUEST.messages, seed=3, schema=schema))
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["seed"] == 3
    assert "seed" not in body_of("m", REQUEST)


@pytest.mark.parametrize(
    ("start", "mime"), [(CHART.png(), "image/png"), (b"\xff\xd8\xff\xe0..", "image/jpeg")], ids=["png", "jpeg"]
)
def test_a_picture_is_a_data_uri_of_its_own_kind(start: bytes, mime: str) -> None:
    assert image_part(start)["image_url"]["url"].startswith(f"data:{mime};base64,")


def test_importing_the_seam_imports_no_client() -> None:
    code = "import sys, perception_r1.endpoints, perception_r1.wire; print({'openai'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_the_server_of_the_command_line_prints_its_address_and_answers_there() -> None:
    command = [sys.executable, "-m", "perception_r1.world.server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            reply = asked(open_endpoint(sections.Endpoint(model="embedded/teacher", base_url=url)))[0]
        finally:
            server.terminate()
    assert isinstance(reply, Reply)
