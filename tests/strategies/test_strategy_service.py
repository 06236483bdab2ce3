"""Who sees, makes, changes and deletes strategies, on a real database."""

import asyncio
from collections.abc import Sequence

import pytest

from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    DomainError,
    DomainErrors,
    ErrorCode,
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import StrategyId
from gql_trader.core.intervals import HOUR
from gql_trader.engine.plugins import NO_PLUGINS
from gql_trader.engine.rules import Parameter, ParameterType, Rules
from gql_trader.infra.keyset import page_request
from gql_trader.runtime import Runtime
from gql_trader.strategies import service
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES
from gql_trader.strategies.types import NewStrategy, StrategyChange, StrategyRecord
from tests.factories.actors import make_actor

RULES = Rules("close > sma(close, period)", "close < sma(close, period)")
PERIOD = Parameter("period", ParameterType.INT, 20, 2, 500)
GOLDEN = BUILTIN_STRATEGIES["builtin:golden_cross"]


def trend(name: str = "My trend") -> NewStrategy:
    return NewStrategy(name, "Follows.", RULES, (PERIOD,))


async def create(runtime: Runtime, actor: Actor, new: NewStrategy) -> StrategyRecord:
    async with runtime.unit_of_work() as uow:
        return await service.create_strategy(uow, actor, new)


async def update(runtime: Runtime, actor: Actor, key: StrategyId, change: StrategyChange) -> StrategyRecord:
    async with runtime.unit_of_work() as uow:
        return await service.update_strategy(uow, actor, key, change)


async def refusals(runtime: Runtime, actor: Actor, new: NewStrategy) -> Sequence[DomainError]:
    with pytest.raises(DomainErrors) as caught:
        await create(runtime, actor, new)
    async with runtime.unit_of_work() as uow:
        assert await service.count_strategies(uow, actor, None, builtin=False) == 0
    return caught.value.errors


async def names(
    runtime: Runtime, actor: Actor, search: str | None = None, builtin: bool | None = None
) -> list[str]:
    async with runtime.unit_of_work() as uow:
        page = await service.list_strategies(uow, actor, search, builtin, page_request())
        found = [service.record(row).name for row in page.rows]
        assert await service.count_strategies(uow, actor, search, builtin) == len(found)
    return found


async def test_a_strategy_is_stored_as_it_was_given(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    parameters = (
        PERIOD,
        Parameter("level", ParameterType.FLOAT, 2.0, 0.5, None, 0.25, description="How far."),
        Parameter("kind", ParameterType.CHOICE, "ema", choices=("sma", "ema")),
        Parameter("price", ParameterType.SOURCE, "hlc3"),
        Parameter("filtered", ParameterType.BOOL, False),
    )
    rules = Rules("filtered or ma(price, period, kind) > level", plots=("price",))
    made = await create(runtime, alice, NewStrategy(" My trend ", "Line 1\nLine 2", rules, parameters))
    assert (made.name, made.slug, made.description) == ("My trend", "my-trend", "Line 1\nLine 2")
    assert not made.builtin
    async with runtime.unit_of_work() as uow:
        found = await service.find_strategy(uow, alice, slug="my-trend")
    assert found == made
    definition = found.definition
    assert (definition.rules, definition.parameters, definition.version) == (rules, parameters, 1)
    assert isinstance(definition.parameters[1].default, float)


async def test_slugs_are_unique_among_a_users_own_and_the_built_in_ones(runtime: Runtime) -> None:
    alice, bob = await make_actor(runtime, "alice"), await make_actor(runtime, "bob")
    slugs = [
        (await create(runtime, actor, trend(name))).slug
        for actor, name in (
            (alice, "Trend!"),
            (alice, "trend"),
            (bob, "Trend"),
            (alice, "Golden Cross"),
            (alice, "日本"),
        )
    ]
    assert slugs == ["trend", "trend-2", "trend", "golden-cross-2", "strategy"]


async def test_requests_at_the_same_moment_get_different_slugs(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await asyncio.gather(*(create(runtime, alice, trend()) for _ in range(4)))
    assert {each.slug for each in made} == {"my-trend", "my-trend-2", "my-trend-3", "my-trend-4"}


async def test_everything_that_is_wrong_is_reported_at_once(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    errors = await refusals(
        runtime, alice, NewStrategy(" ", "x" * 2001, Rules("close >\n  opne", "close >", plots=("true",)))
    )
    assert [(error.path, error.code, error.message) for error in errors] == [
        (
            ("name",),
            ErrorCode.INVALID_INPUT,
            "A name has 1 to 100 characters, none of them control characters.",
        ),
        (
            ("description",),
            ErrorCode.INVALID_INPUT,
            "A description has at most 2000 characters, none of them control characters.",
        ),
        (
            ("rules", "entryLong"),
            ErrorCode.RULE_TYPE,
            "Line 2, column 3: Unknown name 'opne'; 'open' looks like it.",
        ),
        (
            ("rules", "exitLong"),
            ErrorCode.RULE_SYNTAX,
            "Line 1, column 8: The rule ends where a value is expected.",
        ),
        (
            ("rules", "plots", "0"),
            ErrorCode.RULE_TYPE,
            "Line 1, column 1: A plot is a number series, such as sma(close, 50); this is true or false.",
        ),
    ]


@pytest.mark.parametrize(
    ("new", "path", "message"),
    [
        (NewStrategy("x"), ("rules",), "Give rules or codeRef, one of them."),
        (
            NewStrategy("x", rules=RULES, code_ref="builtin:macd"),
            ("rules",),
            "Give rules or codeRef, one of them.",
        ),
        (
            NewStrategy("x", rules=Rules(exit_long="true")),
            ("rules",),
            "Give entryLong or entryShort; without them nothing is ever traded.",
        ),
        (
            NewStrategy("x\0", rules=Rules("true")),
            ("name",),
            "A name has 1 to 100 characters, none of them control characters.",
        ),
        (
            NewStrategy(
                "x", rules=Rules("true"), parameters=(PERIOD, PERIOD), parameters_path=("rules", "parameters")
            ),
            ("rules", "parameters", "1", "name"),
            "There are two parameters 'period'.",
        ),
        (
            NewStrategy("x", code_ref="builtin:macd", parameters=(PERIOD,)),
            ("parameters",),
            "With codeRef the parameters are those of the strategy named; use defaultParameters.",
        ),
        (
            NewStrategy("x", rules=RULES, parameters=(PERIOD,), default_parameters={"period": 1}),
            ("defaultParameters", "period"),
            "period must be a whole number from 2 to 500; got 1.",
        ),
        (
            NewStrategy("x", rules=RULES, parameters=(PERIOD,), default_parameters=[1]),
            ("defaultParameters",),
            "Parameters are an object from names to values.",
        ),
    ],
)
async def test_a_refused_strategy(
    runtime: Runtime, new: NewStrategy, path: tuple[str, ...], message: str
) -> None:
    alice = await make_actor(runtime, "alice")
    errors = await refusals(runtime, alice, new)
    assert [(error.path, error.message) for error in errors] == [(path, message)]


async def test_code_ref_names_only_registered_strategies(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    for reference in ("os:system", "builtin:golden-cross", "", "builtin:nothing"):
        (error,) = await refusals(runtime, alice, NewStrategy("x", code_ref=reference))
        assert error.path == ("codeRef",)
        assert error.message.startswith(
            "codeRef names none of the registered strategies: builtin:golden_cross, "
        )


async def test_code_ref_gives_the_rules_and_own_defaults(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(
        runtime,
        alice,
        NewStrategy("Quick cross", code_ref="builtin:golden_cross", default_parameters={"fast": 5}),
    )
    assert made.definition.rules == GOLDEN.rules
    assert {each.name: each.default for each in made.definition.parameters} == {
        "fast": 5,
        "slow": 200,
        "source": "close",
    }
    assert made.definition.code_ref == "builtin:golden_cross"
    with pytest.raises(DomainErrors):
        await update(runtime, alice, made.id, StrategyChange(rules=RULES, parameters=(PERIOD,)))
    changed = await update(runtime, alice, made.id, StrategyChange(default_parameters={"slow": 30}))
    assert [each.default for each in changed.definition.parameters] == [5, 30, "close"]


async def test_a_change_is_a_new_version_and_the_old_one_is_kept(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(runtime, alice, trend())
    longer = Rules("close > ema(close, period)")
    changed = await update(runtime, alice, made.id, StrategyChange(name="New name", rules=longer))
    assert (changed.name, changed.slug, changed.definition.version) == ("New name", "my-trend", 2)
    assert changed.description == "Follows."
    assert changed.updated_at > made.updated_at
    async with runtime.unit_of_work() as uow:
        assert (await service.load_version(uow, made.id, 1)) == made.definition
        assert (await service.load_version(uow, made.id, 2)).rules == longer
        assert (await service.get_visible(uow, alice, made.id)).version == 2
        with pytest.raises(NotFound):
            await service.load_version(uow, made.id, 3)


async def test_a_change_to_the_same_is_no_new_version(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(runtime, alice, trend())
    again = await update(runtime, alice, made.id, StrategyChange(name="My trend", rules=RULES))
    assert again == made


async def test_a_change_is_checked_against_what_stays(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(runtime, alice, trend())
    with pytest.raises(DomainErrors) as caught:
        await update(runtime, alice, made.id, StrategyChange(parameters=()))
    assert [error.message for error in caught.value.errors] == [
        "Line 1, column 20: Unknown name 'period'.",
        "Line 1, column 20: Unknown name 'period'.",
    ]


async def test_a_stale_change_is_refused(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(runtime, alice, trend())
    await update(runtime, alice, made.id, StrategyChange(name="First", expected_version=1))
    with pytest.raises(InvalidState, match="at version 2, not 1"):
        await update(runtime, alice, made.id, StrategyChange(name="Second", expected_version=1))


async def test_only_one_of_two_changes_at_the_same_moment_meets_its_expectation(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(runtime, alice, trend())
    changes = (StrategyChange(name=name, expected_version=1) for name in ("First", "Second"))
    results = await asyncio.gather(
        *(update(runtime, alice, made.id, change) for change in changes), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["InvalidState", "StrategyRecord"]


async def test_others_strategies_do_not_exist(runtime: Runtime) -> None:
    alice, bob = await make_actor(runtime, "alice"), await make_actor(runtime, "bob")
    made = await create(runtime, alice, trend())
    assert await names(runtime, bob) == []
    async with runtime.unit_of_work() as uow:
        assert await service.find_strategy(uow, bob, key=made.id) is None
        assert await service.find_strategy(uow, bob, slug=made.slug) is None
        for attempt in (
            service.get_visible(uow, bob, made.id),
            service.update_strategy(uow, bob, made.id, StrategyChange(name="Mine")),
            service.delete_strategy(uow, bob, made.id),
        ):
            with pytest.raises(NotFound):
                await attempt
    assert await names(runtime, alice) == ["My trend"]


async def test_built_in_strategies_are_seen_by_all_and_changed_by_nobody(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    async with runtime.unit_of_work() as uow:
        await service.sync_builtin_strategies(uow)
        assert (await service.get_visible(uow, alice, GOLDEN.id)).rules == GOLDEN.rules
        with pytest.raises(Forbidden, match="A built-in strategy cannot be changed"):
            await service.update_strategy(uow, alice, GOLDEN.id, StrategyChange(name="Mine"))
        with pytest.raises(Forbidden, match="A built-in strategy cannot be deleted"):
            await service.delete_strategy(uow, alice, GOLDEN.id)


async def test_a_deleted_strategy_is_gone_but_its_versions_stay(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    made = await create(runtime, alice, trend())
    async with runtime.unit_of_work() as uow:
        await service.delete_strategy(uow, alice, made.id)
    async with runtime.unit_of_work() as uow:
        assert await service.find_strategy(uow, alice, key=made.id) is None
        assert await service.load_version(uow, made.id, 1) == made.definition
        with pytest.raises(NotFound):
            await service.delete_strategy(uow, alice, made.id)
    assert await names(runtime, alice) == []
    # The slug is free again.
    assert (await create(runtime, alice, trend())).slug == "my-trend"


async def test_a_user_may_have_so_many_strategies(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAXIMUM_STRATEGIES", 2)
    alice, bob = await make_actor(runtime, "alice"), await make_actor(runtime, "bob")
    for _ in range(2):
        made = await create(runtime, alice, trend())
    with pytest.raises(QuotaExceeded):
        await create(runtime, alice, trend())
    await create(runtime, bob, trend())
    async with runtime.unit_of_work() as uow:
        await service.delete_strategy(uow, alice, made.id)
    await create(runtime, alice, trend())


async def test_lists_are_searched_filtered_and_in_the_order_of_names(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    async with runtime.unit_of_work() as uow:
        await service.sync_builtin_strategies(uow)
    await create(runtime, alice, trend("A 100% trend_following cross"))
    assert await names(runtime, alice, "CROSS") == [
        "A 100% trend_following cross",
        "EMA and RSI",
        "EMA cross",
        "Golden cross",
    ]
    assert await names(runtime, alice, "0% t") == ["A 100% trend_following cross"]
    assert await names(runtime, alice, "d_f") == ["A 100% trend_following cross"]
    assert await names(runtime, alice, "o%s") == []
    assert await names(runtime, alice, "\\") == []
    assert await names(runtime, alice, "\0") == []
    assert await names(runtime, alice, builtin=False) == ["A 100% trend_following cross"]
    assert len(await names(runtime, alice, builtin=True)) == 8
    everything = await names(runtime, alice, "")
    assert len(everything) == 9


async def test_a_page_continues_where_the_last_one_ended(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    for _ in range(5):
        await create(runtime, alice, trend())
    seen: list[str] = []
    after = None
    async with runtime.unit_of_work() as uow:
        while True:
            page = await service.list_strategies(uow, alice, None, None, page_request(2, after))
            seen += [service.record(row).slug for row in page.rows]
            if not page.has_next:
                break
            after = page.cursors[-1]
    assert sorted(seen) == ["my-trend", "my-trend-2", "my-trend-3", "my-trend-4", "my-trend-5"]


async def test_id_or_slug_is_needed(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    async with runtime.unit_of_work() as uow:
        for key, slug in ((None, None), (GOLDEN.id, "golden-cross")):
            with pytest.raises(InvalidInput, match="Give id or slug, one of them"):
                await service.find_strategy(uow, alice, key=key, slug=slug)
        assert await service.find_strategy(uow, alice, slug="a\0b") is None


async def test_parameters_of_a_run_are_filled_in_and_tried_on_the_rules(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    loose = Parameter("period", ParameterType.INT, 20)
    definition = (await create(runtime, alice, NewStrategy("x", rules=RULES, parameters=(loose,)))).definition
    assert service.resolve_parameters(definition, {}, NO_PLUGINS) == {"period": 20}
    assert service.resolve_parameters(definition, {"period": 30.0}, NO_PLUGINS) == {"period": 30}
    with pytest.raises(DomainErrors) as caught:
        service.resolve_parameters(definition, {"period": 0}, NO_PLUGINS)
    assert caught.value.errors[0].message == (
        "With these parameters a rule is not valid: entryLong, line 1, column 20: "
        "period of sma() must be a whole number from 1 to 10000; got 0."
    )
    assert service.compiled(definition, NO_PLUGINS).warmup({"period": 30}, HOUR) == 29


async def test_equal_rules_have_equal_content(runtime: Runtime) -> None:
    alice = await make_actor(runtime, "alice")
    one = await create(runtime, alice, trend("One"))
    two = await create(
        runtime,
        alice,
        NewStrategy("Two", rules=RULES, parameters=(PERIOD,), default_parameters={"period": 9}),
    )
    assert service.content(one.definition, NO_PLUGINS) == service.content(two.definition, NO_PLUGINS)
    assert service.content(one.definition, NO_PLUGINS) == {
        "rules": {
            "entryLong": "close > sma(close, period)",
            "exitLong": "close < sma(close, period)",
            "entryShort": None,
            "exitShort": None,
            "plots": [],
        },
        "parameterTypes": {"period": "INT"},
    }
