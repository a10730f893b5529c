"""`batchway import`: resources from a file into a store or a gateway, once it was seen what changes."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from batchway.admin import declaration, resource_file, whole
from batchway.admin.kinds import Document, Place
from batchway.admin.whole import Resource
from batchway.cli import difference, import_rules
from batchway.cli.failures import BadFile
from batchway.cli.foreign import as_sections
from batchway.cli.holder import Change, Holder, NotWritten, chosen, options
from batchway.cli.printable import printable
from batchway.config.data_encryption import Keyring
from batchway.errors import BatchwayError
from batchway.gateway import apply
from batchway.store.yaml_file import FaultyFile


class NotConfirmed(BatchwayError):
    """Nobody has said yes."""

    code = "not_confirmed"


class NotAll(BatchwayError):
    """A change was refused, and the ones after it were not tried."""

    code = "not_all_written"


class Plan(Struct, frozen=True):
    """What is to be done, in an order in which nothing is ever named that is not there."""

    added: list[Resource]
    changed: list[tuple[Resource, Document]]
    """With the document that is there."""
    removed: list[tuple[Place, Document]]
    """Likewise."""
    unchanged: int

    @property
    def changes(self) -> list[Change]:
        """The writes."""
        put = [*(resource for resource, _ in self.changed), *self.added]
        rules = [resource for resource in put if resource.place.kind.name == import_rules.KIND]
        changes = [
            Change(one.place, one.document) for one in put if one.place.kind.name != import_rules.KIND
        ]
        changes += import_rules.ordered(rules, self._old_rules())
        changes.sort(key=lambda change: apply.rank(change.place.key))
        gone = sorted((place for place, _ in self.removed), key=lambda place: -apply.rank(place.key))
        return [*changes, *(Change(place, None) for place in gone)]

    def _old_rules(self) -> dict[str, Document]:
        old = [*((resource.place, document) for resource, document in self.changed), *self.removed]
        return {place.key: document for place, document in old if place.kind.name == import_rules.KIND}

    def __str__(self) -> str:
        counts = (
            f"{len(self.added)} added",
            f"{len(self.changed)} changed",
            f"{len(self.removed)} removed",
            f"{self.unchanged} as they are",
        )
        return ", ".join(counts)


@click.command(name="import")
@click.argument("file")
@options
@click.option("--prune", is_flag=True, help="Remove what is not in FILE.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def import_(
    file: str, config: Path, admin: str | None, key: str | None, prune: bool, yes: bool, dry_run: bool
) -> None:
    """Take the resources of a file over into a store, or with --admin into a running gateway.

    FILE is an apisix.yaml or apisix.json, what `batchway export` has written, a list that the Admin API
    has answered, or what APISIX's `adc dump` writes; "-" is the standard input. It is checked as a
    whole, and what would change is shown, before anything is written.

    \b
    Examples:
      batchway import apisix.yaml
      batchway import --prune --yes apisix.yaml
      batchway import --dry-run --admin http://127.0.0.1:9180 --key abc apisix.yaml

    \b
    Exit codes:
      0  all is as in FILE
      1  not everything was written, nothing was confirmed, or the target does not answer
      2  FILE, the config file or the command line is wrong
    """
    target = chosen(config, admin, key)
    target.check_writable()
    found = _read(file)
    existing = {place.key: (place, document) for place, document in target.read()}
    _check(found, existing, target, prune=prune)
    plan = _plan(found.resources, existing, prune=prune)
    changes = plan.changes
    _show(plan, target)
    if not changes or dry_run:
        return
    if not yes:
        _ask(target, is_piped=file == "-")
    _write(target, changes)
    click.echo(f"{target}: {plan}")


# --- the file


def _read(file: str) -> resource_file.Found:
    """Raises BadFile once all that is wrong has been told."""
    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadFile(f"{name}: cannot be read: {error.strerror}") from None
    try:
        return resource_file.read(content, Path(name), os.environ, convert=as_sections)
    except FaultyFile as error:
        raise _told(error) from None


def _check(
    found: resource_file.Found,
    existing: dict[str, tuple[Place, Document]],
    target: Holder,
    *,
    prune: bool,
) -> None:
    others = [] if prune else [held for key, held in existing.items() if key not in found.resources]
    faults = [*found.faults, *whole.check(found.resources, target.plugins, Keyring(), others)]
    if faults:
        raise _told(found.refusal(faults))


def _told(error: FaultyFile) -> BadFile:
    for fault in error.faults:
        click.echo(printable(fault), err=True)
    return BadFile(f"{error.path}: nothing is imported: {error.count}")


# --- what is to be done


def _plan(
    resources: dict[str, Resource], existing: dict[str, tuple[Place, Document]], *, prune: bool
) -> Plan:
    plan, same = Plan([], [], [], 0), 0
    for key, resource in resources.items():
        if key not in existing:
            plan.added.append(resource)
        elif _is_same(resource, existing[key][1]):
            same += 1
        else:
            plan.changed.append((resource, existing[key][1]))
    if prune:
        plan.removed.extend(held for key, held in existing.items() if key not in resources)
    return Plan(plan.added, plan.changed, plan.removed, same)


def _is_same(resource: Resource, old: Document) -> bool:
    return not any(True for _ in changed_properties(resource, old))


def changed_properties(resource: Resource, old: Document) -> Iterator[tuple[whole.Keys, object, object]]:
    """Those in which the two do not say the same."""
    kind = resource.place.kind
    new = declaration.complete(kind, resource.document)
    yield from declaration.differences(declaration.complete(kind, old), new)


def _show(plan: Plan, target: Holder) -> None:
    plugins = target.plugins.plugins
    for resource in plan.added:
        click.echo(difference.added(resource.place))
    for resource, old in plan.changed:
        found = changed_properties(resource, old)
        for line in difference.changed(resource, old, found, plugins):
            click.echo(line)
    for place, _ in plan.removed:
        click.echo(difference.removed(place))
    click.echo(f"{'to do' if plan.changes else 'nothing to do'}: {plan}")


def _ask(target: Holder, *, is_piped: bool) -> None:
    """Raises NotConfirmed."""
    if is_piped or sys.stdin is None or not sys.stdin.isatty():
        raise NotConfirmed("nothing is written: nobody is there to ask, and there is no --yes")
    if not click.confirm(f"write this to {target}?"):
        raise NotConfirmed("nothing is written")


# --- doing it


def _write(target: Holder, changes: list[Change]) -> None:
    """Raises NotAll."""
    count = 0
    with _progress(len(changes)) as advance:

        def done() -> None:
            nonlocal count
            count += 1
            advance()

        try:
            target.write(changes, done)
        except (NotWritten, BatchwayError) as error:
            message = (
                f"{error}: {count} of {len(changes)} changes are made, this one and those after it not"
            )
            raise NotAll(message) from None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Called after each, shows on a terminal how far it is."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    columns = TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
