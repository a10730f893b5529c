"""What the plugins have in common that find out who sends a request."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from batchway.model import Response, json_response
from batchway.plugins.base import Plugin
from batchway.plugins.context import Context, Credential

Realm = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""What a refusal names in WWW-Authenticate. No control characters: it goes into a header."""
Anonymous = Annotated[str, Meta(min_length=1)] | None
"""The consumer whose requests those are that show no good credential; None: they are refused."""


class AuthPlugin(Plugin):
    """Base of the auth plugins: `find` says whose request it is, or why it is nobody's."""

    is_auth = True
    challenge: ClassVar[str]
    """The scheme that a refusal names in WWW-Authenticate. RFC 9110, section 11.6.1."""
    config: Any
    """Has `realm`, `anonymous_consumer` and `hide_credentials`."""

    async def rewrite(self, context: Context) -> Response | None:
        """Attach the consumer to the request, or refuse it."""
        found, hide = await self.find(context), self.hide
        if isinstance(found, Response):
            username = self.config.anonymous_consumer
            if username is None:
                return found
            anonymous = self.gateway.consumer(username)
            if anonymous is None:
                return self.refuse("Invalid user authorization")
            found, hide = Credential(anonymous, None), self.hide_all
        if self.config.hide_credentials:
            hide(context)
        context.authenticate(found)
        return None

    async def find(self, context: Context) -> Credential | Response:
        """Whose request it is, or the refusal. Changes nothing: another plugin may be asked next."""
        raise NotImplementedError

    def hide(self, context: Context) -> None:
        """Keep from the upstream what the request has shown."""
        context.remove_header("authorization")

    def hide_all(self, context: Context) -> None:
        """Keep from the upstream whatever may be a credential: for a request that has shown no good one."""
        self.hide(context)

    def refuse(self, message: str, **parameters: str) -> Response:
        """A 401 that says how one would be let in; `parameters` are more of WWW-Authenticate."""
        response = json_response(401, {"message": message})
        shown = {"realm": self.config.realm} | parameters
        challenge = f"{self.challenge} " + ", ".join(
            f"{name}={_quoted(text)}" for name, text in shown.items()
        )
        response.headers.append((b"WWW-Authenticate", challenge.encode("latin-1", "replace")))
        return response


def _quoted(text: str) -> str:
    """`text` as a quoted-string. RFC 9110, section 5.6.4."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
