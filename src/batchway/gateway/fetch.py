"""Small documents for plugins, such as keys, fetched over HTTP from where the configuration says."""

import asyncio

from batchway.config.resources import Upstream, decode_upstream
from batchway.config.url import Url, parse_url
from batchway.errors import UpstreamBroken, UpstreamTimeout
from batchway.model import Headers, Origin, Request, Response
from batchway.upstream import Pools, Terms, UpstreamClient

MAX_BYTES = 64 * 1024
TIMEOUT_S = 5.0
"""For all of it."""
_BLOCK = b"accept: application/json\r\naccept-encoding: identity\r\nuser-agent: batchway\r\n"


async def fetch(url: str, pools: Pools, terms: Terms) -> bytes:
    """The body of the answer 200 to a GET; certificates are verified, redirects not followed.

    Raises ValueError for what is no URL, UpstreamError for any other answer and for none.
    """
    target = parse_url(url)
    client = UpstreamClient(_upstream(target), pools, terms)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _body(await client.send(_request(target), _BLOCK))
    except TimeoutError:
        message = f"no whole answer within {TIMEOUT_S:.0f} s"
        raise UpstreamTimeout(message) from None
    finally:
        client.close()


def _upstream(url: Url) -> Upstream:
    return decode_upstream(
        {
            "nodes": [{"host": url.host, "port": url.port, "weight": 1}],
            "scheme": url.scheme,
            "pass_host": "node",
            "tls": {"verify": True},
        }
    )


def _request(url: Url) -> Request:
    return Request("GET", url.path, url.query, Headers(), b"", Origin(""))


async def _body(response: Response) -> bytes:
    body = response.body
    if body is None or isinstance(body, bytes):
        return _checked(response.status, body or b"")
    pieces = bytearray()
    try:
        if response.status == 200:
            async for piece in body:
                pieces += piece
                if len(pieces) > MAX_BYTES:
                    break
    finally:
        await body.aclose()
    return _checked(response.status, bytes(pieces))


def _checked(status: int, body: bytes) -> bytes:
    if status != 200:
        message = f"the answer was {status}"
        raise UpstreamBroken(message)
    if len(body) > MAX_BYTES:
        message = f"the answer has more than {MAX_BYTES} bytes"
        raise UpstreamBroken(message)
    return body
