"""Carries resources over from the Admin API of APISIX. See docs/migrating-from-apisix.md.

    python3 from_apisix.py read http://127.0.0.1:9180/apisix/admin > resources.json
    python3 from_apisix.py write http://127.0.0.1:9181/apisix/admin < resources.json

The key of the Admin API is in the environment, as ADMIN_KEY.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Document = dict[str, Any]

# What others name comes before what names it.
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
REFERENCES = ("$secret://", "$env://")


def ask(method: str, url: str, document: Document | None = None) -> tuple[int, Document]:
    """Status and document of an answer of an Admin API."""
    body = None if document is None else json.dumps(document).encode()
    request = Request(url, body, {"X-API-KEY": os.environ["ADMIN_KEY"]}, method=method)  # noqa: S310 - ours
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - the operator's address
            return answer.status, json.load(answer)
    except HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else {"error_msg": text}


def listed(url: str, path: str) -> Iterator[Document]:
    """What there is of a kind, each with its id. Ends the program if APISIX refuses to say."""
    status, answer = ask("GET", f"{url}/{path}")
    if status == 404:  # nothing, or a kind that this release does not have
        return
    if status != 200:
        sys.exit(f"{url}/{path}: {status} {answer.get('error_msg', answer)}")
    for entry in answer.get("list") or ():
        _, _, id_ = entry["key"].partition(f"/{path}/")
        yield entry["value"] | ({} if "username" in entry["value"] else {"id": id_})


def read(url: str) -> Document:
    """All resources by kind, as APISIX's standalone mode spells them; those without any are left out."""
    found = {kind: list(listed(url, kind)) for kind in KINDS}
    for consumer in list(found["consumers"]):
        if "username" in consumer:
            path = f"consumers/{consumer['username']}/credentials"
            found["consumers"] += [
                credential | {"id": f"{consumer['username']}/credentials/{credential['id']}"}
                for credential in listed(url, path)
            ]
    return {kind: documents for kind, documents in found.items() if documents}


def write(url: str, resources: Document) -> bool:
    """Put every resource, and say what became of it; whether all went well."""
    all_well = True
    for kind in sorted(resources, key=KINDS.index):
        for document in resources[kind]:
            name = f"{kind}/{document.get('username') or document['id']}"
            status, why = put(f"{url}/{name}", name, document)
            all_well &= status in (200, 201)
            sys.stdout.write(f"{name}: {status} {why}".rstrip() + "\n")
    return all_well


def put(url: str, name: str, document: Document) -> tuple[int, str]:
    """The status of the answer, and what it says against the resource."""
    if any(mark in json.dumps(document) for mark in REFERENCES):
        return 400, "refers to a secret elsewhere: put the secret itself"
    if "/credentials/" in name:
        document = document | {"id": name.rpartition("/")[2]}
    status, answer = ask("PUT", url, document)
    return status, str(answer.get("error_msg", ""))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["read", address]:
            json.dump(read(address), sys.stdout, indent=1)
        case ["write", address]:
            sys.exit(0 if write(address, json.load(sys.stdin)) else 1)
        case _:
            sys.exit(__doc__)
