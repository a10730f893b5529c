"""Parameters of a method that do not come over the wire as they are."""

from collections.abc import Callable
from typing import Any


class Bind:
    """`Annotated[User, Bind(load_user)]`: the parameter is what `load_user` makes of what was sent.

    What is sent has the type of the loader's first parameter; another one may be the Context. `path` says
    where in the params it is found, `"order.user_id"`, if not under the parameter's own name. The loader
    may be async; if not, it runs in a thread, as methods do, unless `inline`.
    """

    __slots__ = ("inline", "loader", "path")

    def __init__(
        self, loader: Callable[..., Any], path: str | None = None, *, inline: bool = False
    ) -> None:
        self.loader = loader
        self.path = path
        self.inline = inline


class Inject:
    """`Annotated[Database, Inject]`: the parameter is what the app's resolver has for that type.

    Asked for at each call; the resolver may be async.
    """

    __slots__ = ()
