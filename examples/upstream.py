"""A small HTTP/1.1 service for the gateway to stand in front of: users, orders, an echo.

No dependency: run it with `python examples/upstream.py --port 1980`.
"""

import argparse
import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY_BYTES = 1024 * 1024
MAX_SLEEP_MS = 10_000

USERS: dict[str, dict[str, Any]] = {
    "1": {"id": 1, "name": "Ada"},
    "2": {"id": 2, "name": "Grace"},
}
ORDERS: list[dict[str, Any]] = [
    {"id": 10, "user": 1, "item": "tea", "price": 4.5},
    {"id": 11, "user": 1, "item": "cups", "price": 12.0},
    {"id": 12, "user": 2, "item": "honey", "price": 7.9},
]


async def answer(
    method: str, target: str, headers: Mapping[str, str], body: bytes
) -> tuple[HTTPStatus, object]:
    """The status and the document that answer one request."""
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    match [method, *url.path.strip("/").split("/")]:
        case ["GET" | "HEAD", "users", user] if user in USERS:
            return HTTPStatus.OK, USERS[user]
        case ["GET" | "HEAD", "orders"]:
            wanted = query.get("user")
            return HTTPStatus.OK, [o for o in ORDERS if wanted in (None, str(o["user"]))]
        case ["GET" | "HEAD", "slow"]:
            wait_ms = query.get("ms", "200")
            if not wait_ms.isdecimal() or int(wait_ms) > MAX_SLEEP_MS:
                return HTTPStatus.BAD_REQUEST, {"error": f"ms is a number up to {MAX_SLEEP_MS}"}
            await asyncio.sleep(int(wait_ms) / 1000)
            return HTTPStatus.OK, {"slept_ms": int(wait_ms)}
        case [_, "echo"]:
            text = body.decode("utf-8", "replace")
            document = {"method": method, "query": query, "headers": dict(headers), "body": text}
            return HTTPStatus.OK, document
        case _:
            return HTTPStatus.NOT_FOUND, {"error": f"there is no {url.path}"}


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The request body, framed by its length or in chunks. Raises ValueError if it is too large."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await read_exactly(reader, int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await read_exactly(reader, size, MAX_BODY_BYTES - len(body))
        await reader.readline()
    while (await reader.readline()).strip():  # trailers
        pass
    return body


async def read_exactly(reader: asyncio.StreamReader, size: int, most: int = MAX_BODY_BYTES) -> bytes:
    """That many bytes. Raises ValueError if they are more than `most`."""
    if not 0 <= size <= most:
        raise ValueError(size)
    return await reader.readexactly(size)


async def read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers (lower-case names) of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.rstrip().split("\r\n")
    method, target, _version = request_line.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    return method, target, {name.lower(): value.strip() for name, value in pairs}


async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection, one after another, until it closes."""
    try:
        while True:
            method, target, headers = await read_head(reader)
            body = await read_body(reader, headers)
            status, document = await answer(method, target, headers, body)
            writer.write(encode(status, document, with_body=method != "HEAD"))
            await writer.drain()
            if headers.get("connection", "").lower() == "close":
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        pass  # it left, or does not speak HTTP/1.1: there is nobody to tell
    finally:
        writer.close()


def encode(status: HTTPStatus, document: object, *, with_body: bool) -> bytes:
    """The whole response, as bytes for the wire."""
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


async def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="A small HTTP service to try a gateway on.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1980)
    where = parser.parse_args()
    try:
        await asyncio.start_server(serve_connection, where.host, where.port)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        parser.exit(1, f"cannot listen on {where.host}:{where.port}: {reason}\n")
    await asyncio.get_running_loop().create_future()  # connections are served meanwhile


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
