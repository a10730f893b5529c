"""Reads all resources out of the Admin API of APISIX. See docs/migrating-from-apisix.md.

    python3 from_apisix.py http://127.0.0.1:9180/apisix/admin > resources.json
    python3 from_apisix.py http://127.0.0.1:9180/apisix/admin ssls routes/7 > resources.json

What is named behind the address is left out. The key of the Admin API is in the environment, as ADMIN_KEY.
The file is an apisix.json, as APISIX's standalone mode has it: `batchway import` takes it.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Document = dict[str, Any]

KINDS = (
    "upstreams",
    "services",
    "plugin_configs",
    "consumer_groups",
    "consumers",
    "global_rules",
    "plugin_metadata",
    "routes",
    "ssls",
    "stream_routes",
    "protos",
    "secrets",
)


def ask(url: str) -> tuple[int, Document]:
    """Status and document of an answer of the Admin API."""
    request = Request(url, headers={"X-API-KEY": os.environ["ADMIN_KEY"]})  # noqa: S310 - the operator's address
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
            return answer.status, json.load(answer)
    except HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else {"error_msg": text}


def listed(url: str, path: str) -> Iterator[Document]:
    """What there is of a kind, each with its id. Ends the program if APISIX refuses to say."""
    status, answer = ask(f"{url}/{path}")
    if status == 404:  # nothing, or a kind that this release does not have
        return
    if status != 200:
        sys.exit(f"{url}/{path}: {status} {answer.get('error_msg', answer)}")
    for entry in answer.get("list") or ():
        _, _, id_ = entry["key"].partition(f"/{path}/")
        yield entry["value"] | ({} if "username" in entry["value"] else {"id": id_})


def credentials(url: str, username: str) -> Iterator[Document]:
    """Those of a consumer, with ids as they stand among consumers."""
    for credential in listed(url, f"consumers/{username}/credentials"):
        yield credential | {"id": f"{username}/credentials/{credential['id']}"}


def read(url: str) -> Iterator[tuple[str, Document]]:
    """All resources, each with its kind."""
    for kind in KINDS:
        for document in listed(url, kind):
            yield kind, document
            if kind == "consumers" and "username" in document:
                yield from ((kind, credential) for credential in credentials(url, document["username"]))


def main(url: str, *left_out: str) -> None:
    """Write the resources that are not left out to standard output."""
    found: dict[str, list[Document]] = {}
    for kind, document in read(url):
        name = f"{kind}/{document.get('username') or document['id']}"
        if kind not in left_out and name not in left_out:
            found.setdefault(kind, []).append(document)
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
