"""Rules of the strategy domain: who sees, makes, changes and deletes strategies."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from gql_trader.accounts.models import UserRow
from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    DomainError,
    DomainErrors,
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import StrategyId, uuid7
from gql_trader.engine.plugins import NO_PLUGINS, PluginRegistry
from gql_trader.engine.rules import Parameter, Rules
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.strategies import repository
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES
from gql_trader.strategies.code import compiled, content, prepare, resolve_parameters
from gql_trader.strategies.definitions import (
    check_rules,
    check_texts,
    make_slug,
    plugin_parameters,
    with_defaults,
)
from gql_trader.strategies.models import StrategyRow, StrategyVersionRow
from gql_trader.strategies.storing import add_version, sync_builtin_strategies
from gql_trader.strategies.types import (
    NewStrategy,
    StrategyChange,
    StrategyDefinition,
    StrategyRecord,
)

__all__ = [
    "MAXIMUM_STRATEGIES",
    "compiled",
    "content",
    "count_strategies",
    "create_strategy",
    "delete_strategy",
    "find_strategy",
    "get_visible",
    "list_strategies",
    "load_version",
    "load_versions",
    "prepare",
    "record",
    "resolve_parameters",
    "sync_builtin_strategies",
    "update_strategy",
]

MAXIMUM_STRATEGIES = 200
"""Strategies that one user may have at a time."""

record = repository.record


async def list_strategies(
    uow: UnitOfWork, actor: Actor, search: str | None, builtin: bool | None, page: PageRequest
) -> Slice[Row[Any]]:
    """Return a page of the built-in strategies and the user's own, by name; `record` reads a row."""
    statement = repository.select_strategies(actor.user_id, search, builtin)
    return await repository.strategy_page(uow.session, statement, page)


async def count_strategies(uow: UnitOfWork, actor: Actor, search: str | None, builtin: bool | None) -> int:
    """Return how many strategies `list_strategies` has in all."""
    return await repository.count(uow.session, repository.select_strategies(actor.user_id, search, builtin))


async def find_strategy(
    uow: UnitOfWork, actor: Actor, *, key: UUID | None = None, slug: str | None = None
) -> StrategyRecord | None:
    """Return the strategy with an id or a slug; None if there is none that the user sees.

    A user's own strategy hides a built-in one with the same slug.

    Raises
    ------
    InvalidInput
        Unless exactly one of the two is given.
    """
    if (key is None) == (slug is None):
        raise InvalidInput("Give id or slug, one of them.", ("id",))
    if key is not None:
        return await repository.visible_by_id(uow.session, actor.user_id, key)
    assert slug is not None
    return await repository.visible_by_slug(uow.session, actor.user_id, slug)


async def get_visible(uow: UnitOfWork, actor: Actor, strategy_id: StrategyId) -> StrategyDefinition:
    """Return the present definition of a built-in strategy or one of the user's own.

    Raises
    ------
    NotFound
        If there is none, or it was deleted.
    """
    found = await repository.visible_by_id(uow.session, actor.user_id, strategy_id)
    if found is None:
        raise NotFound("There is no such strategy.", ("strategyId",))
    return found.definition


async def load_version(uow: UnitOfWork, strategy_id: StrategyId, version: int) -> StrategyDefinition:
    """Return any version of any strategy, deleted or not: the caller has checked the access.

    Raises
    ------
    NotFound
        If there is no such version.
    """
    found = await repository.version_of(uow.session, strategy_id, version)
    if found is None:
        raise NotFound(f"There is no version {version} of this strategy.")
    return found


async def load_versions(
    uow: UnitOfWork, wanted: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], StrategyDefinition]:
    """Return versions of strategies as `load_version` does, in one statement; missing ones are left out."""
    return await repository.versions_of(uow.session, wanted)


async def create_strategy(
    uow: UnitOfWork, actor: Actor, new: NewStrategy, plugins: PluginRegistry = NO_PLUGINS
) -> StrategyRecord:
    """Make a strategy of the user's own, from rules or from a registered strategy.

    Raises
    ------
    DomainErrors
        Everything that is wrong with the input; RULE_SYNTAX and RULE_TYPE for its rules.
    QuotaExceeded
        If the user has too many already.
    """
    problems = check_texts(new.name, new.description)
    # In a thread: long rules take a while to check.
    rules, parameters = await asyncio.to_thread(_content, new, plugins, problems)
    if problems:
        raise DomainErrors(problems)
    # Locks the user's row, so that requests at the same moment neither pass the limit nor share a slug.
    await uow.session.execute(
        select(UserRow.id).where(UserRow.id == actor.user_id).with_for_update(key_share=True)
    )
    taken = await repository.own_slugs(uow.session, actor.user_id)
    if len(taken) >= MAXIMUM_STRATEGIES:
        raise QuotaExceeded(
            f"You have {MAXIMUM_STRATEGIES} strategies, the most there may be; delete one first."
        )
    reserved = {each.slug for each in BUILTIN_STRATEGIES.values()}
    row = StrategyRow(
        id=uuid7(),
        owner_id=actor.user_id,
        slug=make_slug(new.name, {*taken, *reserved}),
        name=new.name.strip(),
        description=new.description.strip(),
        code_ref=new.code_ref,
        version=1,
        created_at=uow.clock.now(),
        updated_at=uow.clock.now(),
        deleted_at=None,
    )
    uow.session.add(row)
    await uow.session.flush()
    return await add_version(uow, row, rules, parameters)


def _content(
    new: NewStrategy, plugins: PluginRegistry, problems: list[DomainError]
) -> tuple[Rules, tuple[Parameter, ...]]:
    # Adds to the problems; what it returns is only valid if there are none.
    rules, parameters = new.rules, new.parameters
    if (rules is None) == (new.code_ref is None):
        problems.append(InvalidInput("Give rules or codeRef, one of them.", ("rules",)))
        return Rules(), ()
    if rules is None:
        registered = BUILTIN_STRATEGIES.get(new.code_ref or "")
        plugin = plugins.plugins.get(new.code_ref or "")
        if registered is None and plugin is None:
            known = ", ".join([*BUILTIN_STRATEGIES, *plugins.plugins])
            problems.append(
                InvalidInput(f"codeRef names none of the registered strategies: {known}.", ("codeRef",))
            )
            return Rules(), ()
        if parameters:
            message = "With codeRef the parameters are those of the strategy named; use defaultParameters."
            problems.append(InvalidInput(message, new.parameters_path))
        if plugin is not None:
            return Rules(), plugin_parameters(plugin, (), new.default_parameters, problems)
        assert registered is not None
        rules, parameters = registered.rules, registered.parameters
    return rules, _checked(rules, parameters, new.default_parameters, new.parameters_path, problems)


def _checked(
    rules: Rules,
    parameters: tuple[Parameter, ...],
    defaults: object,
    path: tuple[str, ...],
    problems: list[DomainError],
) -> tuple[Parameter, ...]:
    found = check_rules(rules, parameters, path)
    if not found and defaults is not None:
        try:
            parameters = with_defaults(parameters, defaults)
        except DomainErrors as errors:
            found.extend(errors.errors)
        else:
            # A default may be a period that an indicator does not take.
            found.extend(check_rules(rules, parameters, path))
    problems.extend(found)
    return parameters


async def update_strategy(
    uow: UnitOfWork,
    actor: Actor,
    strategy_id: StrategyId,
    change: StrategyChange,
    plugins: PluginRegistry = NO_PLUGINS,
) -> StrategyRecord:
    """Change one of the user's strategies; what changes is a new version, and the old one is kept.

    Raises
    ------
    NotFound, Forbidden
        If it is not one of the user's own; Forbidden if it is built in.
    InvalidState
        If the present version is not the one expected.
    DomainErrors
        Everything that is wrong with the input.
    """
    row = await _own(uow, actor, strategy_id, "changed; create your own with its codeRef")
    if change.expected_version is not None and change.expected_version != row.version:
        raise InvalidState(
            f"The strategy is at version {row.version}, not {change.expected_version}; read it again first.",
            ("expectedVersion",),
        )
    before = await load_version(uow, strategy_id, row.version)
    problems = check_texts(change.name, change.description)
    rules = change.rules if change.rules is not None else before.rules
    parameters = await asyncio.to_thread(_changed, before, change, plugins, problems)
    if row.code_ref is not None and (change.rules is not None or change.parameters is not None):
        message = f"The rules and parameters are those of {row.code_ref}; only its defaults can be changed."
        problems.append(Forbidden(message, ("rules",)))
    if problems:
        raise DomainErrors(problems)
    name = row.name if change.name is None else change.name.strip()
    description = row.description if change.description is None else change.description.strip()
    same_texts = (name, description) == (row.name, row.description)
    if same_texts and (rules, parameters) == (before.rules, before.parameters):
        return repository.record((row, await uow.session.get_one(StrategyVersionRow, (row.id, row.version))))
    row.name, row.description = name, description
    row.version += 1
    row.updated_at = uow.clock.now()
    return await add_version(uow, row, rules, parameters)


def _changed(
    before: StrategyDefinition, change: StrategyChange, plugins: PluginRegistry, problems: list[DomainError]
) -> tuple[Parameter, ...]:
    if before.plugin_ref is None:
        rules = change.rules if change.rules is not None else before.rules
        parameters = change.parameters if change.parameters is not None else before.parameters
        return _checked(rules, parameters, change.default_parameters, change.parameters_path, problems)
    plugin = plugins.plugins.get(before.plugin_ref)
    if plugin is not None:
        # Another version may be installed than the one that it was made from.
        return plugin_parameters(plugin, before.parameters, change.default_parameters, problems)
    if change.default_parameters is not None:
        message = f"{before.plugin_ref} is not installed on this server; its defaults cannot be checked."
        problems.append(InvalidState(message, ("defaultParameters",)))
    return before.parameters


async def delete_strategy(uow: UnitOfWork, actor: Actor, strategy_id: StrategyId) -> None:
    """Delete one of the user's strategies; backtests that ran it keep their version.

    Raises
    ------
    NotFound, Forbidden
        If it is not one of the user's own; Forbidden if it is built in.
    """
    row = await _own(uow, actor, strategy_id, "deleted")
    row.deleted_at = uow.clock.now()
    await uow.session.flush()


async def _own(uow: UnitOfWork, actor: Actor, strategy_id: StrategyId, deed: str) -> StrategyRow:
    row = await repository.own_for_update(uow.session, actor.user_id, strategy_id)
    if row is not None:
        return row
    if await repository.visible_by_id(uow.session, actor.user_id, strategy_id) is not None:
        raise Forbidden(f"A built-in strategy cannot be {deed}.", ("id",))
    raise NotFound("There is no such strategy.", ("id",))
