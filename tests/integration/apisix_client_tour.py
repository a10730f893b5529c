"""What the package apisix-client, as it is, does with a running Admin API. Run by the Python that has it.

Usage: apisix_client_tour.py ADMIN_URL KEY HOST:PORT. Prints one JSON object: what each step came to.
"""
# mypy: ignore-errors
# It is for another Python, whose packages mypy does not see here.

import json
import sys

from apisix_client import ApisixClient
from apisix_client.common.models import Pagging
from apisix_client.consumer.models import Consumer
from apisix_client.plugin.models.authentication import KeyAuth, KeyAuthSettings
from apisix_client.route.models import Route
from apisix_client.service.models import Service
from apisix_client.upstream.models import Node, Upstream


def main(admin_url: str, key: str, address: str) -> dict[str, object]:
    """Make resources, look at them; what is not deleted is left to whoever started this.

    The client cannot read plugins, whoever the server is: routes with some are made last.
    """
    client = ApisixClient(base_url=f"{admin_url}/", api_key=key)
    host, _, port = address.partition(":")
    upstream = client.upstream.create_with_id_generation(Upstream(nodes=[Node(host, 1, int(port))]))
    service = client.service.create_with_id_generation(Service(name="tour", upstream_id=upstream))
    plain = client.route.create_or_update(Route(uri="/plain", name="plain", service_id=service), "plain")
    found = client.route.get("plain").value
    listed = [one.value.name for one in client.route.get_all(Pagging(1, 10))]
    deleted = client.route.delete("plain")
    gone = client.route.get("plain") is None
    consumer = client.consumer.create_or_update(Consumer("tour", plugins=[KeyAuth("tour-key")]))
    route = client.route.create_with_id_generation(
        Route(uri="/tour/*", name="tour", service_id=service, plugins=[KeyAuthSettings()])
    )
    return {
        "made": all((upstream, service, consumer, route)) and plain == "plain",
        "found": [found.uri, found.service_id == service],
        "listed": listed,
        "deleted": [deleted, gone],
        "count": client.route.count(),
        "plugins": "limit-count" in client.plugin.get_available(),
        "reloaded": client.plugin.reload(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
