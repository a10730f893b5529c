"""What a route asks of a request beside host, path and method: the client's address and `vars`."""

from batchway.config import expression
from batchway.config.expression import Expression
from batchway.config.operators import networks, within
from batchway.config.resources import Route

Conditions = Expression


def conditions(route: Route) -> Conditions | None:
    """Whether a request fulfils all of them, asked with the lookup of its variables; None for none.

    Raises ValueError if the route has one that is none: `Route` has checked that it does not.
    """
    parts = []
    if route.remote_addr_list:
        parts.append(_client_within(route.remote_addr_list))
    if route.vars:
        parts.append(expression.compile(route.vars))
    if len(parts) < 2:
        return parts[0] if parts else None
    address, variables = parts
    return lambda lookup: address(lookup) and variables(lookup)


def _client_within(addresses: tuple[str, ...]) -> Conditions:
    test = within(networks(addresses, "remote_addrs"))
    return lambda lookup: test(lookup("remote_addr"))
