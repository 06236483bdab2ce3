"""Writes that users and the program itself share: versions, and the built-in strategies."""

from sqlalchemy import func, select

from gql_trader.engine.plugins import NO_PLUGINS, PluginRegistry
from gql_trader.engine.rules import Parameter, Rules
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.strategies import repository
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES, BuiltinStrategy, of_plugin
from gql_trader.strategies.models import StrategyRow, StrategyVersionRow
from gql_trader.strategies.types import StrategyRecord, parameters_to_json, rules_to_json

_SYNC_LOCK = 0x7374726174656779


async def add_version(
    uow: UnitOfWork, row: StrategyRow, rules: Rules, parameters: tuple[Parameter, ...]
) -> StrategyRecord:
    """Store what the row's present version does; return the strategy with it."""
    version = StrategyVersionRow(
        strategy_id=row.id,
        version=row.version,
        rules=rules_to_json(rules),
        parameters=parameters_to_json(parameters),
        created_at=row.updated_at,
    )
    uow.session.add(version)
    await uow.session.flush()
    return repository.record((row, version))


async def sync_builtin_strategies(uow: UnitOfWork, plugins: PluginRegistry = NO_PLUGINS) -> int:
    """Store the strategies of this release and of the plugins: new ones, and new versions of changed ones.

    Run it at every start; it changes nothing the second time. Strategies that a later release drops, or
    whose plugin is gone, stay, as backtests may have run them.

    Returns
    -------
    How many strategies were added or changed.
    """
    await uow.session.execute(select(func.pg_advisory_xact_lock(_SYNC_LOCK)))
    changed = 0
    for builtin in (*BUILTIN_STRATEGIES.values(), *map(of_plugin, plugins.plugins.values())):
        row = await uow.session.get(StrategyRow, builtin.id)
        changed += await (_add_builtin(uow, builtin) if row is None else _renew_builtin(uow, builtin, row))
    return changed


async def _add_builtin(uow: UnitOfWork, builtin: BuiltinStrategy) -> bool:
    now = uow.clock.now()
    row = StrategyRow(
        id=builtin.id,
        owner_id=None,
        slug=builtin.slug,
        name=builtin.name,
        description=builtin.description,
        code_ref=builtin.code_ref,
        version=1,
        created_at=now,
        updated_at=now,
        deleted_at=None,
    )
    uow.session.add(row)
    await uow.session.flush()
    await add_version(uow, row, builtin.rules, builtin.parameters)
    return True


async def _renew_builtin(uow: UnitOfWork, builtin: BuiltinStrategy, row: StrategyRow) -> bool:
    stored = await repository.version_of(uow.session, builtin.id, row.version)
    assert stored is not None
    same_content = (stored.rules, stored.parameters) == (builtin.rules, builtin.parameters)
    if same_content and (row.name, row.description) == (builtin.name, builtin.description):
        return False
    row.name, row.description, row.updated_at = builtin.name, builtin.description, uow.clock.now()
    if not same_content:
        row.version += 1
        await add_version(uow, row, builtin.rules, builtin.parameters)
    await uow.session.flush()
    return True
