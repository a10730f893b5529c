"""Where the batch endpoint can be reached, and where it cannot."""

import pytest

from .conftest import StartGateway
from .gateway import BATCH, Document, Gateway

PUBLIC: Document = {"plugins": {"public-api": {}}}
PIPELINE = ["/nowhere"]


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A gateway that exposes nothing by itself."""
    gateway = Gateway(tmp_path_factory.mktemp("hidden"), {"batchway": {"expose_batch": False}}).start()
    yield gateway
    assert gateway.stop() == 0


def is_batch(gateway: Gateway, uri: str) -> bool:
    """Whether a batch posted there is run."""
    answer = gateway.batch(PIPELINE, uri=uri)
    if answer.status == 200:
        assert [reply["status"] for reply in answer.json()] == [404]
        return True
    assert answer.status == 404
    assert "error_msg" in answer.json()
    return False


def test_a_public_api_route_makes_it_reachable(hidden: Gateway) -> None:
    assert not is_batch(hidden, BATCH)

    hidden.put("routes", "br", {"uri": BATCH} | PUBLIC)
    assert is_batch(hidden, BATCH)

    hidden.delete("routes", "br")
    assert not is_batch(hidden, BATCH)


def test_another_uri_of_the_route(hidden: Gateway) -> None:
    plugins = {"public-api": {"uri": BATCH}}
    hidden.put("routes", "elsewhere", {"uri": "/batch-requests", "plugins": plugins})

    assert is_batch(hidden, "/batch-requests")
    assert not is_batch(hidden, BATCH)


def test_public_api_without_that_endpoint_is_404(hidden: Gateway) -> None:
    hidden.put("routes", "wrong", {"uri": "/wrong"} | PUBLIC)
    hidden.put("routes", "other", {"uri": "/other", "plugins": {"public-api": {"uri": "/apisix/x"}}})

    assert not is_batch(hidden, "/wrong")
    assert not is_batch(hidden, "/other")


def test_a_route_for_a_prefix_exposes_only_the_endpoint(hidden: Gateway) -> None:
    hidden.put("routes", "prefix", {"uri": "/apisix/*"} | PUBLIC)

    assert is_batch(hidden, BATCH)
    assert not is_batch(hidden, BATCH + "/more")
    hidden.delete("routes", "prefix")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_post_is_a_batch(hidden: Gateway, method: str) -> None:
    hidden.put("routes", "methods", {"uri": "/methods", "plugins": {"public-api": {"uri": BATCH}}})

    assert hidden.fetch("/methods", method).status == 404


def test_the_route_decides_who_may_send_batches(hidden: Gateway) -> None:
    plugins = {"public-api": {"uri": BATCH}}
    hidden.put("routes", "host", {"uri": "/hosted", "host": "batch.test", "plugins": plugins})

    assert hidden.batch(PIPELINE, uri="/hosted").status == 404
    assert hidden.batch(PIPELINE, {"Host": "batch.test"}, uri="/hosted").status == 200


def test_expose_batch_needs_no_route(gateway: Gateway) -> None:
    assert is_batch(gateway, BATCH)
    assert gateway.fetch(BATCH).status == 404


def test_a_uri_from_plugin_attr(start_gateway: StartGateway) -> None:
    gateway = start_gateway(
        {"plugin_attr": {"batch-requests": {"uri": "/foo/bar"}}, "batchway": {"expose_batch": None}}
    )
    gateway.put("routes", "1", {"uri": BATCH} | PUBLIC)
    assert not is_batch(gateway, BATCH)
    assert not is_batch(gateway, "/foo/bar")

    gateway.put("routes", "2", {"uri": "/foo/bar"} | PUBLIC)
    assert is_batch(gateway, "/foo/bar")


def test_expose_batch_follows_plugin_attr(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"plugin_attr": {"batch-requests": {"uri": "/foo/bar"}}})

    assert is_batch(gateway, "/foo/bar")
    assert not is_batch(gateway, BATCH)


@pytest.mark.parametrize("attributes", [{"x": {"xyz": "/foo"}}, {"batch-requests": {"xyz": "/foo"}}])
def test_attributes_that_do_not_matter(start_gateway: StartGateway, attributes: Document) -> None:
    assert is_batch(start_gateway({"plugin_attr": attributes}), BATCH)


def test_a_plugin_that_is_not_enabled(start_gateway: StartGateway) -> None:
    changes = {"plugins": ["public-api"], "batchway": {"expose_batch": None}}
    gateway = start_gateway(changes)
    gateway.put("routes", "br", {"uri": BATCH} | PUBLIC)

    assert not is_batch(gateway, BATCH)
    refused = gateway.admin("PUT", "/plugin_metadata/batch-requests", {"max_body_size": 1})
    assert refused.status == 400
    assert "batch-requests" in refused.json()["error_msg"]
