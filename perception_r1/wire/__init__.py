"""The OpenAI protocol: all endpoints of a process on one event loop, which lives in a thread of its own.

endpoint.py     what a caller holds: requests in, replies or failures out, as they finish
line.py         the way to one server: its places, retries, equal requests under way, metrics
breaker.py      a server that fails is left alone for a while, and asked again by itself
protocol.py     requests and replies as OpenAI spells them, and its errors
transport.py    bytes over HTTP, on asyncio's own connections: openai's transport needs ten times the CPU
connection.py   one connection, straight or through a proxy;   answer.py   what comes back on it, read as it comes
"""

from perception_r1.wire.endpoint import WireEndpoint

__all__ = ["WireEndpoint"]
