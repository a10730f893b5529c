"""The service that the browser sees: under uvicorn, in a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import uvicorn
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.routing import Mount

from batchway.rpc import Context, Procedure, RpcApp, RpcError, method

EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
LONG = "x" * 300


class Player(Struct):
    """Who plays."""

    name: str
    ranking: Annotated[int, Meta(ge=1)] | None = None
    coach: "Player | None" = None


class CourtTaken(RpcError):
    code = 4001
    message = "The court is taken"


class Tennis(Procedure):
    """Matches and rallies.

    All that happens on the court.
    """

    name = "tennis"

    @method
    async def ping(self) -> str:
        """Answers `pong`."""
        return "pong"

    @method(errors=[CourtTaken])
    async def book(
        self,
        court: Annotated[int, Meta(ge=1, le=12, description="Number of the court.")],
        player: Player,
        surface: Literal["clay", "grass"] = "clay",
        note: str = "",
        price: float | None = 1.5,
    ) -> dict[str, Any]:
        """Book a court.

        Try another one if it is taken:

        - Courts 1 to 4 have a roof.
        """
        if court == 7:
            raise CourtTaken(data={"free": [1, 2]})
        return {"court": court, "player": player, "surface": surface, "note": note, "price": price}

    @method
    async def score(self, match: int, *points: int) -> int:
        """Count points."""
        return match + sum(points)

    @method
    async def tag(self, match: int, **tags: str) -> dict[str, str]:
        return tags

    @method
    async def big(self, number: int) -> int:
        """Returns what it is given, digit by digit."""
        return number


class Club(Procedure):
    name = "club"

    @method
    async def header(self, name: str, context: Context) -> str | None:
        """What a header of the request has."""
        return context.headers.get(name)

    @method
    async def evil(self, text: str = EVIL) -> str:
        return text

    evil.__doc__ = f"{EVIL}\n\n{EVIL}"

    @method
    async def long(self) -> dict[str, Any]:
        return {LONG: [LONG, {"deep": {"deeper": [1, 2, 3, [LONG]]}}]}


def make_app() -> RpcApp:
    app = RpcApp([Tennis, Club], title="Tennis club", version="2.4.0")

    @app.method(LONG)
    async def of_no_procedure() -> None: ...

    return app


@contextmanager
def serving() -> Iterator[str]:
    """The app at `/rpc/`, and at `/sajya/` in that profile. The value is the server's address."""
    app = make_app()
    routes = [Mount("/rpc", app), Mount("/sajya", app.with_profile("sajya"))]
    config = uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"  # connections wait until it accepts
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
