"""Preferences from outside: what users begin with, what may be preferred, and what it prefills."""

from decimal import Decimal
from typing import Any

from graphql import GraphQLInputObjectType, print_ast
from graphql.utilities import ast_from_value

from gql_trader.app import create_app
from gql_trader.core.actor import Role
from gql_trader.gql.relay import encode_id
from gql_trader.gql.schema_builder import core_schema
from gql_trader.runtime import Runtime
from gql_trader.schema import create_schema
from gql_trader.settings import service
from gql_trader.settings.types import Preferences
from tests.accounts.accounts_api import Accounts, refusals
from tests.factories.actors import make_access_token
from tests.factories.backtests import make_desk
from tests.graphql_client import graphql_client
from tests.settings.settings_api import Member, make_member

FIELDS = "preferences { defaultMode defaultCapital riskPerTrade maxDrawdown notifications theme timezone }"
DEFAULTS = {
    "defaultMode": "PAPER",
    "defaultCapital": "10000",
    "riskPerTrade": 0.01,
    "maxDrawdown": 0.2,
    "notifications": True,
    "theme": "SYSTEM",
    "timezone": "UTC",
}


async def test_a_user_who_said_nothing_has_the_defaults(ada: Member) -> None:
    assert await ada.preferences() == DEFAULTS


async def test_only_what_is_given_changes(ada: Member) -> None:
    payload = await ada.send("updatePreferences", FIELDS, theme="DARK", timezone="Europe/Berlin")
    expected = {**DEFAULTS, "theme": "DARK", "timezone": "Europe/Berlin"}
    assert payload == {"preferences": expected, "errors": []}
    payload = await ada.send("updatePreferences", FIELDS, defaultCapital="2500.5", theme=None)
    expected |= {"defaultCapital": "2500.5"}
    assert payload == {"preferences": expected, "errors": []}
    assert await ada.preferences() == expected
    assert (await ada.send("updatePreferences", FIELDS))["preferences"] == expected


async def test_every_problem_is_told_and_nothing_changes(ada: Member) -> None:
    payload = await ada.send(
        "updatePreferences",
        FIELDS,
        defaultCapital="0",
        riskPerTrade=1.5,
        maxDrawdown=0,
        timezone="Mars/Olympus",
        theme="DARK",
    )
    assert payload["preferences"] is None
    assert refusals(payload) == [
        ("INVALID_INPUT", ["defaultCapital"]),
        ("INVALID_INPUT", ["riskPerTrade"]),
        ("INVALID_INPUT", ["maxDrawdown"]),
        ("INVALID_INPUT", ["timezone"]),
    ]
    assert await ada.preferences() == DEFAULTS


async def test_a_time_zone_is_one_of_the_iana_database(ada: Member) -> None:
    for zone in ("localtime", "Factory", "../UTC", "", "utc+1", "Europe", "posixrules"):
        payload = await ada.send("updatePreferences", FIELDS, timezone=zone)
        assert refusals(payload) == [("INVALID_INPUT", ["timezone"])], zone
    for zone in ("Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT+12"):
        assert (await ada.send("updatePreferences", FIELDS, timezone=zone))["errors"] == [], zone


async def test_a_viewer_has_preferences_but_none_for_live_trading(accounts: Accounts, ada: Member) -> None:
    viewer = await make_member(accounts, "vera", Role.VIEWER)
    payload = await viewer.send("updatePreferences", FIELDS, theme="LIGHT")
    assert payload["preferences"]["theme"] == "LIGHT"
    payload = await viewer.send("updatePreferences", FIELDS, defaultMode="LIVE")
    assert refusals(payload) == [("FORBIDDEN", ["defaultMode"])]
    assert (await viewer.preferences())["defaultMode"] == "PAPER"
    assert (await ada.send("updatePreferences", FIELDS, defaultMode="LIVE"))["errors"] == []
    assert await ada.preferences() == {**DEFAULTS, "defaultMode": "LIVE"}


async def test_other_domains_read_preferences(accounts: Accounts, ada: Member) -> None:
    other = await make_member(accounts, "bob")
    await ada.send("updatePreferences", FIELDS, notifications=False, defaultCapital="77")
    async with accounts.runtime.unit_of_work() as uow:
        found = await service.preferences_of_users(uow, [ada.actor.user_id, other.actor.user_id])
    assert found[ada.actor.user_id] == Preferences(notifications=False, default_capital=Decimal(77))
    assert found[other.actor.user_id] == Preferences()


async def test_an_administrator_does_not_see_what_others_prefer(accounts: Accounts, ada: Member) -> None:
    root = await make_member(accounts, "root", Role.ADMIN)
    client = accounts.client.signed_in(root.token)
    for field in ("preferences { theme }", "settings { dryRun }", "settingsPresets { name }"):
        answer = await client.execute(f"{{ users {{ nodes {{ username {field} }} }} }}")
        assert "FORBIDDEN" in answer.codes, field
        own: Any = await accounts.me(root.token, field)
        assert own is not None


RUN = """
mutation($input: RunBacktestInput!) {
  runBacktest(input: $input) { backtest { id initialCapital } errors { code path } }
}
"""


async def test_the_preferred_capital_prefills_backtests_that_state_none(runtime: Runtime) -> None:
    desk = await make_desk(runtime)
    token = await make_access_token(runtime, desk.trader)
    strategy = encode_id("Strategy", desk.strategy_id)
    app = create_app(runtime.settings, runtime)
    async with graphql_client(app) as client:
        client = client.signed_in(token)

        async def capital(document: str = RUN, **given: Any) -> Any:
            common = {"strategyId": strategy, "market": "test:BTC/USD", "interval": "H1", **given}
            payload = (await client.execute(document, {"input": common})).data["runBacktest"]
            assert payload["errors"] == [], payload
            return payload["backtest"]["initialCapital"]

        assert await capital() == "10000"
        first = await capital(idempotencyKey="k")
        preferred = "mutation { updatePreferences(input: {defaultCapital: 2500.5}) { errors { code } } }"
        assert (await client.execute(preferred)).data["updatePreferences"]["errors"] == []
        assert await capital() == "2500.5"
        assert await capital(initialCapital=None) == "2500.5"
        # The number that the schema publishes as the default is a number like others when it is sent.
        assert await capital(initialCapital="10000") == "10000"
        assert await capital(initialCapital=10000) == "10000"
        literal = f"""mutation {{ runBacktest(input: {{
            strategyId: "{strategy}", market: "test:BTC/USD", interval: H1 CAPITAL
        }}) {{ backtest {{ initialCapital }} errors {{ code path }} }} }}"""
        for written, expected in (("", "2500.5"), (", initialCapital: 10000", "10000")):
            answer = await client.execute(literal.replace("CAPITAL", written))
            assert answer.data["runBacktest"]["backtest"] == {"initialCapital": expected}
        # The same request again is the same backtest, though the preference has changed since.
        assert await capital(idempotencyKey="k") == first == "10000"
        repeated = {"strategyId": strategy, "market": "test:BTC/USD", "interval": "H1", "idempotencyKey": "k"}
        other = await client.execute(RUN, {"input": {**repeated, "initialCapital": "10000"}})
        assert refusals(other.data["runBacktest"]) == [("IDEMPOTENCY_MISMATCH", ["idempotencyKey"])]


async def test_a_risk_and_a_drawdown_that_are_preferred_prefill_what_states_none(runtime: Runtime) -> None:
    desk = await make_desk(runtime)
    token = await make_access_token(runtime, desk.trader)
    strategy = encode_id("Strategy", desk.strategy_id)
    async with graphql_client(create_app(runtime.settings, runtime)) as client:
        client = client.signed_in(token)
        shown = "execution { maxDrawdown sizing { riskFraction equityFraction } }"
        common = {"strategyId": strategy, "market": "test:BTC/USD", "interval": "H1"}
        daily = {"name": "a", "cron": "0 0 * * *", "action": "BACKTEST", "lookbackDays": 3}
        makes: dict[str, tuple[str, str, dict[str, Any]]] = {
            "runBacktest": ("RunBacktestInput", "backtest", common),
            "createBot": ("CreateBotInput", "bot", {**common, "name": "b"}),
            "createAutomation": ("CreateAutomationInput", "automation", {**common, **daily}),
        }

        async def prefer(what: str) -> None:
            answer = await client.execute(
                f"mutation {{ updatePreferences(input: {{{what}}}) {{ errors {{ code }} }} }}"
            )
            assert answer.data["updatePreferences"]["errors"] == []

        async def executions(execution: dict[str, Any]) -> list[Any]:
            found = []
            for name, (kind, field, given) in makes.items():
                made = f"{name}(input: $i) {{ {field} {{ {shown} }} errors {{ code path }} }}"
                answer = await client.execute(
                    f"mutation($i: {kind}!) {{ {made} }}", {"i": {**given, "execution": execution}}
                )
                assert answer.data[name]["errors"] == [], answer.data
                kept = answer.data[name][field]["execution"]
                found.append((kept["sizing"], kept["maxDrawdown"]))
            return found

        whole = {"riskFraction": None, "equityFraction": 1}
        half = {"riskFraction": None, "equityFraction": 0.5}
        risk = {"riskFraction": 0.01, "equityFraction": None}
        # The fractions that are shown before anything is said prefill nothing.
        assert await executions({"stopLoss": 0.02}) == [(whole, None)] * 3
        await prefer("riskPerTrade: 0.01, maxDrawdown: 0.25")
        assert await executions({"stopLoss": 0.02}) == [(risk, 0.25)] * 3
        # Without a stop no loss can be sized by; what is stated goes before what is preferred.
        assert await executions({}) == [(whole, 0.25)] * 3
        stated = {"stopLoss": 0.02, "maxDrawdown": None, "sizing": {"equityFraction": 0.5}}
        assert await executions(stated) == [(half, None)] * 3
        await prefer("maxDrawdown: 1")
        assert await executions({"stopLoss": 0.02}) == [(risk, None)] * 3
        # The same request again is the same backtest, though the preferences have changed since.
        given = {"input": {**common, "execution": {"stopLoss": 0.03}, "idempotencyKey": "k"}}
        first = (await client.execute(RUN, given)).data["runBacktest"]
        await prefer("riskPerTrade: 0.05, maxDrawdown: 0.1")
        assert (await client.execute(RUN, given)).data["runBacktest"] == first


def test_the_schema_still_publishes_the_default_capital() -> None:
    given = core_schema(create_schema()).type_map["RunBacktestInput"]
    assert isinstance(given, GraphQLInputObjectType)
    default = ast_from_value(
        given.fields["initialCapital"].default_value, given.fields["initialCapital"].type
    )
    assert default is not None
    assert print_ast(default) == '"10000"'
