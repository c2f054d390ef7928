"""The wire beyond one request: shared lines, equal requests, dead and failing servers, and the account of it all."""

import contextlib
import email.utils
import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, CompletionCreateParams
from pydantic import TypeAdapter
from test_endpoints import GARBAGE, PARTS, REQUEST, asked, settings, varied

from perception_r1 import sections
from perception_r1.endpoints import Reply, Request, image_part, open_endpoint
from perception_r1.errors import (
    ConfigError,
    EndpointError,
    Malformed,
    RateLimited,
    ServerFailed,
    TimedOut,
    Truncated,
    Unreachable,
)
from perception_r1.metrics import Meter, quantile
from perception_r1.wire import WireEndpoint
from perception_r1.wire.answer import Answer
from perception_r1.wire.breaker import FIRST_PAUSE_S, ROW, SPAN_S, Breaker
from perception_r1.wire.protocol import body_of, encoded, read, told_to_wait_s
from perception_r1.world.server import Fault, _completion, serving

SLOW = Fault(delay_s=0.2)
FAILED = ServerFailed("m at u answered 500")


def wire(**said: Any) -> WireEndpoint:
    endpoint = open_endpoint(sections.Endpoint(**said))
    assert isinstance(endpoint, WireEndpoint)
    return endpoint


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param(Fault(half=True), Unreachable, id="half-a-reply"),
        pytest.param(Fault(reset=True), Unreachable, id="reset"),
        pytest.param(Fault(drip_s=0.1), TimedOut, id="a-reply-that-drips"),
        pytest.param(Fault(body='{"choices": "none"}'), Malformed, id="choices-that-are-no-list"),
        pytest.param(Fault(body='{"choices": [{"message": {"content": [1]}}]}'), Malformed, id="content-no-text"),
        pytest.param(Fault(body="[" * 100_000), Malformed, id="nested-without-end"),
    ],
)
def test_a_connection_or_a_body_that_breaks_is_a_typed_failure(fault: Fault, kind: type[EndpointError]) -> None:
    with serving(faults=[fault]) as server:
        reply = asked(open_endpoint(settings(server, timeout_s=0.5)))[0]
    assert type(reply) is kind


def test_equal_requests_under_way_are_sent_once_unless_they_ask_for_chance() -> None:
    seeded = [Request(REQUEST.messages, temperature=1.0, seed=seed) for seed in (1, 2, 1)]
    chance = [Request(REQUEST.messages, temperature=1.0)] * 3
    with serving(faults=[SLOW] * 9) as server:
        endpoint = wire(model="embedded/teacher", base_url=server.url)
        with contextlib.closing(endpoint):
            replies = dict(endpoint.ask([REQUEST, *seeded, REQUEST, *chance]))
            metrics = endpoint.metrics
        assert server.requests == 1 + 2 + 3
    assert sorted(replies) == list(range(8))
    assert replies[0] == replies[4] and replies[1] == replies[3]
    assert (metrics.requests, metrics.shared) == (6, 2)


def test_who_stops_listening_takes_no_reply_from_others_who_asked_the_same() -> None:
    with serving(faults=[SLOW, SLOW]) as server:
        endpoint = wire(model="embedded/teacher", base_url=server.url)
        first = endpoint.ask([Request(REQUEST.messages, max_tokens=99), REQUEST])
        told: list[int] = []
        second = threading.Thread(target=lambda: told.extend(number for number, _ in endpoint.ask([REQUEST])))
        with contextlib.closing(endpoint):
            next(first)
            second.start()
            first.close()  # type: ignore[attr-defined]
            second.join()
    assert told == [0]


def test_endpoints_of_equal_settings_share_places_and_the_last_to_close_ends_them() -> None:
    with serving(faults=[Fault(delay_s=0.02)] * 40) as server:
        one, two = (wire(model="embedded/teacher", base_url=server.url, concurrency=3) for _ in range(2))
        chance = [Request(REQUEST.messages, temperature=1.0)] * 20
        threads = [threading.Thread(target=lambda end=end: list(end.ask(chance))) for end in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.most_at_once <= 3
        assert one.metrics == two.metrics
        assert one.metrics.replies == 40
        one.close()
        assert isinstance(dict(two.ask([REQUEST]))[0], Reply)
        two.close()
    assert "wire" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ValueError, match="the endpoint of embedded/teacher is closed"):
        list(two.ask([REQUEST]))


def test_who_asks_an_endpoint_that_is_closed_meanwhile_is_told() -> None:
    with serving(faults=[Fault(delay_s=5.0)]) as server:
        endpoint = open_endpoint(settings(server))
        told: list[Any] = []
        thread = threading.Thread(target=lambda: told.extend(endpoint.ask([REQUEST])))
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        endpoint.close()
        thread.join()
    ((_, reply),) = told
    assert isinstance(reply, Unreachable)
    assert "closed while it was asked" in str(reply)


@contextlib.contextmanager
def listening(backlog: int) -> Iterator[str]:
    """The address of who accepts connections and never says a word."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if backlog:
            taken.listen(backlog)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.mark.timeout(20)  # twice what a dead server may take to be known
@pytest.mark.parametrize("backlog", [0, 100], ids=["refuses", "accepts-and-is-silent"])
def test_a_server_that_is_dead_at_the_start_is_known_at_once_with_its_address_and_a_remedy(backlog: int) -> None:
    with listening(backlog) as nowhere:
        endpoint = wire(model="m", base_url=nowhere, timeout_s=600)
        replies = asked(endpoint, [REQUEST] * 50)
    assert len(replies) == 50
    for reply in replies.values():
        assert isinstance(reply, Unreachable)
        assert f"m at {nowhere}" in str(reply)
        assert "Is the server running and loaded, and is base_url right?" in str(reply)


def test_a_breaker_opens_after_failures_in_a_row_that_last_and_one_request_tries_again() -> None:
    breaker = Breaker()
    for _ in range(ROW + 1):
        breaker.heard(FAILED, 10.0)
    assert not breaker.is_open, "many at once are a hiccup"
    breaker.heard(FAILED, 10.0 + SPAN_S)
    assert breaker.is_open
    now = 10.0 + SPAN_S
    assert breaker.wait_s(now) == FIRST_PAUSE_S
    assert breaker.wait_s(now + FIRST_PAUSE_S) == 0.0, "the trial"
    assert breaker.wait_s(now + FIRST_PAUSE_S) > 0, "and only one"
    breaker.heard(FAILED, now + 1.5)
    assert breaker.wait_s(now + 1.5) == 2 * FIRST_PAUSE_S
    breaker.heard(None, now + 4.0)
    assert not breaker.is_open
    assert breaker.wait_s(now + 4.0) == 0.0


@pytest.mark.parametrize("answer", [None, RateLimited("429"), Malformed("html"), Truncated("cut")])
def test_any_word_of_the_server_ends_the_row(answer: EndpointError | None) -> None:
    breaker = Breaker()
    for second in range(ROW - 1):
        breaker.heard(FAILED, float(second))
    breaker.heard(answer, 10.0)
    breaker.heard(FAILED, 20.0)
    assert not breaker.is_open


def test_an_open_breaker_says_what_failed_and_what_to_look_at() -> None:
    breaker = Breaker()
    for second in range(ROW):
        breaker.heard(FAILED, float(second))
    assert str(breaker.refusal(6.0)) == (
        "m at u answered 500; 5 requests in a row failed for 6 s, so it is left alone and tried again now and then. "
        "Is the server running, and is base_url right?"
    )


def test_a_server_that_is_away_for_a_while_loses_nothing() -> None:
    with serving() as server:
        port = server.server_address[1]
        endpoint = wire(model="embedded/teacher", base_url=server.url, concurrency=4)
        replies = endpoint.ask(varied(60))
        told = [next(replies) for _ in range(10)]
    back = threading.Event()

    def serve() -> None:
        time.sleep(4.5)  # long enough for the breaker to open
        with serving(port=port):
            back.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    told += list(replies)
    back.set()
    thread.join()
    endpoint.close()
    assert sorted(number for number, _ in told) == list(range(60))
    assert [reply for _, reply in told if not isinstance(reply, Reply)] == []


def test_a_server_that_stays_away_is_waited_for_no_longer_than_the_patience() -> None:
    with serving() as server:
        endpoint = wire(model="embedded/teacher", base_url=server.url, concurrency=2, patience_s=5.0)
        replies = endpoint.ask(varied(12))
        told = [next(replies)]
    told += list(replies)
    endpoint.close()
    lost = [reply for _, reply in told if not isinstance(reply, Reply)]
    assert len(told) == 12 and len(lost) > 6
    assert {type(reply) for reply in lost} == {Unreachable}
    assert "requests in a row failed" in str(lost[-1])


def test_tokens_and_money_of_replies_that_were_cut_off_are_counted() -> None:
    with serving(faults=[None, Fault(truncated=True), Fault(status=400)]) as server:
        endpoint = wire(
            model="embedded/teacher", base_url=server.url, concurrency=1, usd_per_million_completion_tokens=1e6
        )
        chance = [Request(REQUEST.messages, temperature=1.0)] * 3
        with contextlib.closing(endpoint):
            replies = dict(endpoint.ask(chance))
            metrics = endpoint.metrics
    whole, cut, _ = (replies[number] for number in range(3))
    assert isinstance(cut, Truncated) and cut.completion_tokens == 512
    assert metrics.completion_tokens == whole.completion_tokens + 512
    assert metrics.cost_usd == pytest.approx(metrics.completion_tokens)
    assert metrics.failures == {"Truncated": 1, "Refused": 1}
    assert (metrics.requests, metrics.replies, metrics.attempts) == (3, 1, 3)
    assert metrics.p50_s > 0 and metrics.replies_per_s > 0


def test_the_meter_by_hand() -> None:
    times = iter([10.0, *(11.0 + second for second in range(20))])
    meter = Meter(clock=lambda: next(times))
    meter.began()
    for latency in range(1, 21):
        meter.answered(Reply("", 2, 3, float(latency), 0.5))
    metrics = meter.metrics()
    assert (metrics.p50_s, metrics.p95_s) == (10.0, 19.0)
    assert (metrics.prompt_tokens, metrics.completion_tokens, metrics.cost_usd) == (40, 60, 10.0)
    assert metrics.replies_per_s == 1.0
    assert quantile([], 0.5) == 0.0 and quantile([4.0], 0.95) == 4.0


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        pytest.param(Fault(status=400), openai.BadRequestError, id="400"),
        pytest.param(Fault(status=401), openai.AuthenticationError, id="401"),
        pytest.param(Fault(status=418), openai.APIStatusError, id="418"),
        pytest.param(Fault(status=429), openai.RateLimitError, id="429"),
        pytest.param(Fault(status=503), openai.InternalServerError, id="503"),
        pytest.param(Fault(hang_up=True), openai.APIConnectionError, id="hang-up"),
        pytest.param(Fault(delay_s=0.5), openai.APITimeoutError, id="slow"),
        pytest.param(GARBAGE, openai.APIResponseValidationError, id="garbage"),
    ],
)
def test_a_failure_has_the_openai_packages_error_as_its_cause(fault: Fault, cause: type[Exception]) -> None:
    with serving(faults=[fault]) as server:
        reply = asked(open_endpoint(settings(server, timeout_s=0.2 if fault.delay_s else 9)))[0]
    assert isinstance(reply, EndpointError)
    assert type(reply.__cause__) is cause


def test_requests_and_the_servers_replies_are_of_the_openai_packages_types() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    body = body_of("m", Request(({"role": "user", "content": PARTS},), seed=3, schema=schema))
    TypeAdapter(CompletionCreateParams).validate_python(body)
    assert ChatCompletion.model_validate(_completion("m", "yes", "stop", 3, 4)).choices[0].message.content == "yes"


NOON = "Sat, 21 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"retry-after": "3"}, 3.0, id="seconds"),
        pytest.param({"retry-after": "-3"}, 0.0, id="the-past"),
        pytest.param({"retry-after": "nan"}, None, id="nan"),
        pytest.param({"retry-after": "soon"}, None, id="words"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 12:00:07 GMT", "date": NOON}, 7.0, id="the-servers-own-clock"),
        pytest.param({"retry-after": NOON, "date": "Sat, 21 Nov 2026 12:00:07 GMT"}, 0.0, id="a-date-that-is-past"),
        pytest.param({"retry-after": "Sat, 99 Nov 999999 12:00:07 GMT"}, None, id="no-date"),
    ],
)
def test_how_long_a_server_tells_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert told_to_wait_s(headers) == seconds


def test_without_the_servers_clock_ours_is_used() -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    told = told_to_wait_s({"retry-after": date})
    assert told is not None and 25 < told <= 31


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://h/v1", "http://", "/v1"])
def test_an_address_that_is_none_is_refused_when_the_endpoint_is_opened(url: str) -> None:
    with pytest.raises(ConfigError, match=r"the base_url of m is '.*'; it must be like http://localhost:8000/v1"):
        wire(model="m", base_url=url)


def test_what_cannot_be_encoded_and_what_is_very_large_is_sent_all_the_same() -> None:
    broken = Request(({"role": "user", "content": "a lone \ud800 surrogate"},))
    large = Request(({"role": "user", "content": "x" * (2 << 20)},))
    with serving() as server:
        replies = asked(open_endpoint(settings(server)), [broken, large])
    assert "cannot be reached" not in f"{replies[0]} {replies[1]}"


def _asked_in_a_child(url: str, told: Any) -> None:
    endpoint = wire(model="embedded/teacher", base_url=url)
    told.put(type(dict(endpoint.ask([REQUEST]))[0]).__name__)
    endpoint.close()


def test_a_forked_child_opens_lines_of_its_own() -> None:
    fork = multiprocessing.get_context("fork")
    told = fork.SimpleQueue()
    with serving() as server:
        endpoint = wire(model="embedded/teacher", base_url=server.url)
        child = fork.Process(target=_asked_in_a_child, args=(server.url, told))
        child.start()
        assert told.get() == "Reply"
        child.join()
        endpoint.close()


@pytest.mark.parametrize(
    "url",
    [
        image_part(b"\x89PNG\r\n\x1a\n\0\xfb\xff")["image_url"]["url"],
        "data:image/png;base64,iVBORw0KGgo+/8=",
        'data:text/plain,"quoted\\"',
        "data:text/plain,é\n",
        "http://a.test/x.png",
    ],
    ids=["ours", "picture", "quotes", "beyond-ascii", "address"],
)
def test_a_picture_that_goes_round_the_encoder_arrives_as_it_was(url: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}, {"type": "text", "text": 'Is "é" 7?'}]
    messages = ({"role": "system", "content": "Look."}, {"role": "user", "content": parts * 2})
    body = encoded("m", Request(messages=messages, max_tokens=5))
    assert body.isascii()
    assert json.loads(body)["messages"] == list(messages)


def test_a_server_that_was_not_there_is_looked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        port = server.server_address[1]
    endpoint = wire(model="embedded/teacher", base_url=f"http://127.0.0.1:{port}/v1", retries=0)
    with contextlib.closing(endpoint):
        assert isinstance(dict(endpoint.ask([REQUEST]))[0], Unreachable)
        with serving(port=port):
            assert isinstance(dict(endpoint.ask([REQUEST]))[0], Unreachable), "nobody waits for it again so soon"
            monkeypatch.setattr("perception_r1.wire.line.SILENT_S", 0.0)
            assert isinstance(dict(endpoint.ask([REQUEST]))[0], Reply)


@pytest.mark.parametrize("count", [10**400, 2**63, -1, "9", None])
def test_a_count_of_tokens_that_cannot_be_is_none(count: Any) -> None:
    choice = {"finish_reason": "stop", "message": {"content": "Yes."}}
    said = {"choices": [choice], "usage": {"prompt_tokens": count, "completion_tokens": 3}}
    reply = read(Answer(200, {}, json.dumps(said).encode()), sections.Endpoint(model="m"), 9, 0.1)
    assert isinstance(reply, Reply)
    assert (reply.prompt_tokens, reply.completion_tokens) == (0, 3)
