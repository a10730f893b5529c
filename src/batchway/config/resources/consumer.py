"""Consumers, and the sets of plugins that are named by id. Source: apisix/schema_def.lua (3.x)."""

from typing import Annotated

from msgspec import Meta, Struct

from batchway.config.resources.common import Count, Description, Id, Labels, Name, Plugins

Username = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+\Z", min_length=1, max_length=100)]


class Consumer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who sends requests. Its auth plugins hold its credentials, the others hold for its requests."""

    username: Username
    """Also its id."""
    group_id: Id | None = None
    """Of a consumer group."""
    plugins: Plugins | None = None
    desc: Description | None = None
    labels: Labels = {}
    create_time: Count | None = None
    update_time: Count | None = None


class Credential(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way for a consumer to show who it is: the config of one auth plugin."""

    id: Id | None = None
    name: Name | None = None
    plugins: Annotated[Plugins, Meta(max_length=1)] | None = None
    desc: Description | None = None
    labels: Labels = {}
    create_time: Count | None = None
    update_time: Count | None = None


class _PluginSet(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Plugins that have an id."""

    plugins: Plugins
    id: Id | None = None
    name: Name | None = None
    desc: Description | None = None
    labels: Labels = {}
    create_time: Count | None = None
    update_time: Count | None = None


class ConsumerGroup(_PluginSet, frozen=True):
    """Plugins for the requests of several consumers."""


class PluginConfig(_PluginSet, frozen=True):
    """Plugins for several routes."""


class GlobalRule(_PluginSet, frozen=True):
    """Plugins for every request."""
