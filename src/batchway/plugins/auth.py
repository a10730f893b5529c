"""What the plugins have in common that find out who sends a request."""

from typing import Any, ClassVar

from batchway.model import Response, json_response
from batchway.plugins.base import Plugin
from batchway.plugins.context import Context, Credential


class AuthPlugin(Plugin):
    """Base of the auth plugins: `find` says whose request it is, or why it is nobody's."""

    is_auth = True
    challenge: ClassVar[str]
    """The scheme that a refusal names in WWW-Authenticate. RFC 9110, section 11.6.1."""
    config: Any
    """Has `realm` and `anonymous_consumer`."""

    async def rewrite(self, context: Context) -> Response | None:
        """Attach the consumer to the request, or refuse it."""
        found = await self.find(context)
        if isinstance(found, Credential):
            context.authenticate(found)
            return None
        username = self.config.anonymous_consumer
        if username is None:
            return found
        anonymous = self.gateway.consumer(username)
        if anonymous is None:
            return self.refuse("Invalid user authorization")
        context.authenticate(Credential(anonymous, None))
        return None

    async def find(self, context: Context) -> Credential | Response:
        """Whose request it is, or the refusal. May hide from the upstream what was shown."""
        raise NotImplementedError

    def refuse(self, message: str) -> Response:
        """A 401 that says how one would be let in."""
        response = json_response(401, {"message": message})
        challenge = f'{self.challenge} realm="{self.config.realm}"'
        response.headers.append((b"WWW-Authenticate", challenge.encode("latin-1", "replace")))
        return response
