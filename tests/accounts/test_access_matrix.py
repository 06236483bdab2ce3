"""Every root field of the schema, as everybody who may not use it: the right refusal, and nothing changed.

The documents are made from the schema, so that a field added later is tried without anybody's doing.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from starlette.types import ASGIApp

from gql_trader.accounts import api_tokens
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.alerts import service as alerts
from gql_trader.alerts.types import AlertSpec
from gql_trader.app import create_app
from gql_trader.automations import service as automations
from gql_trader.automations.types import AutomationSpec, Limits
from gql_trader.bots.by_hand.orders import place_order
from gql_trader.bots.by_hand.sessions import start_session
from gql_trader.bots.types import OrderRequest, OrderSide, OrderType, SessionRequest
from gql_trader.config import Settings
from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.core.intervals import Interval
from gql_trader.engine.rules import Rules
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.exchange_keys.types import GivenCredentials, NewExchangeKey
from gql_trader.gql.permissions import PUBLIC, SESSION_ONLY
from gql_trader.gql.relay import encode_id
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.records import KnownExchange
from gql_trader.market_data.syncs import service as syncs
from gql_trader.market_data.types_syncs import SyncLimits, SyncRequest
from gql_trader.metadata import metadata
from gql_trader.notifications import devices, webhooks
from gql_trader.notifications import service as notifications
from gql_trader.notifications.types import DevicePlatform, NotificationKind
from gql_trader.runtime import Runtime
from gql_trader.schema import create_schema
from gql_trader.settings import presets
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.factories.actors import make_access_token, make_actor
from tests.factories.backtests import make_desk
from tests.factories.bots import BotDesk
from tests.factories.documents import RootField, root_fields
from tests.factories.optimizations import Searches
from tests.factories.waits import VirtualWaits
from tests.graphql_client import (
    GraphQLClient,
    GraphQLSocket,
    InProcessTransport,
    SocketClosedError,
    graphql_client,
)

OPEN_TO_EVERYBODY = {
    "me",
    "signup",
    "login",
    "refreshTokens",
    "logout",
    "requestPasswordReset",
    "resetPassword",
    "rateLimit",
}
CONCERNS_ONLY_ONESELF = {
    "balance",
    "botStatus",
    "equity",
    "createApiToken",
    "startTradingSession",
    "logout",
    "notifications",
    "registerDevice",
    "updateNotificationChannels",
    "importFreqtradeConfig",
    "resetSettings",
    "saveSettingsPreset",
    "stopAllBots",
    "trades",
    "updatePreferences",
    "updateSettings",
}
IS_ABOUT_THE_SERVER = {"systemStatus"}
ENDS_ONES_SESSION = {"logout", "revokeLoginSession"}
UNAUTHENTICATED, FORBIDDEN = "UNAUTHENTICATED", "FORBIDDEN"
RANKS = {PUBLIC: -1, "VIEWER": 0, "TRADER": 1, "ADMIN": 2}


@dataclass
class Scene:
    """An application in which a trader owns one thing of each kind, and others who want them.

    Attributes
    ----------
    authorizations
        The Authorization header of each of the others.
    """

    app: ASGIApp
    client: GraphQLClient
    runtime: Runtime
    fields: list[RootField]
    authorizations: Mapping[str, str | None]

    async def over_http(self, field: RootField, who: str) -> dict[str, Any]:
        authorization = self.authorizations[who]
        headers = {"authorization": authorization} if authorization else {}
        answer = await self.client.execute(field.document, headers=headers)
        return answer.body  # type: ignore[no-any-return]

    def socket(self, who: str) -> GraphQLSocket:
        authorization = self.authorizations[who]
        return GraphQLSocket(
            InProcessTransport(self.app), {"authorization": authorization} if authorization else None
        )

    async def stored(self) -> dict[str, tuple[int, str]]:
        """Return how many rows each table has, and a hash of all that is in them.

        When credentials were last used may be written whenever they are sent.
        """
        found = {}
        async with self.runtime.database.session() as session:
            for table in metadata.sorted_tables:
                row = "(to_jsonb(t) - 'last_seen_at' - 'last_used_at')::text"
                rows = f"coalesce(string_agg({row}, '|' ORDER BY {row}), '')"
                statement = text(f"SELECT count(*), md5({rows}) FROM {table.name} t")
                count, digest = (await session.execute(statement)).one()
                found[table.name] = (count, digest)
        return found


async def _api_token(runtime: Runtime, actor: Actor, scopes: set[TokenScope]) -> str:
    async with runtime.unit_of_work() as uow:
        _, secret = await api_tokens.create_token(uow, actor, ApiTokenSpec("matrix", frozenset(scopes)))
    return f"Token {secret}"


@pytest.fixture
async def scene(settings: Settings, runtime: Runtime, exchange_list: Path) -> AsyncIterator[Scene]:
    # Nobody listens there, and nobody waits.
    nowhere = Exchanges({"binance": "http://127.0.0.1:9"}, None, 1.0, exchange_list, VirtualWaits().waits)
    runtime = replace(runtime, exchanges=nowhere)
    desk = await make_desk(runtime)
    owner = desk.trader
    row, _ = await desk.submit()
    search, _ = await Searches(desk).submit()
    async with runtime.unit_of_work() as uow:
        new = NewStrategy(name="mine", rules=Rules(entry_long="close > open"))
        strategy = await strategies.create_strategy(uow, owner, new)
        token, _ = await api_tokens.create_token(uow, owner, ApiTokenSpec("x", frozenset({TokenScope.READ})))
        hook, _ = await webhooks.create(
            uow, runtime.keys, runtime.public_http, owner, "https://example.com/hook", "hook", None
        )
        key = await exchange_keys.add_key(
            uow,
            runtime.keys,
            {"binance": KnownExchange("binance", "Binance", frozenset({"apiKey", "secret"}))},
            owner,
            NewExchangeKey("binance", GivenCredentials("key", "secret")),
        )
        automation = await automations.create_automation(
            uow,
            owner,
            AutomationSpec(
                "x",
                desk.strategy_id,
                "0 0 * * *",
                market="test:BTC/USD",
                interval=Interval.H1,
                lookback_days=1,
            ),
            Limits(10, 60),
            runtime.plugins,
        )
        sync = await syncs.request_sync(
            uow,
            runtime.rate_limits,
            {"binance": KnownExchange("binance", "Binance", frozenset({"apiKey", "secret"}))},
            owner,
            SyncRequest("BTC/USDT", "binance", Interval.H1, datetime(2025, 1, 1, tzinfo=UTC)),
            SyncLimits(10, 10, 1_000_000),
        )
        alert = await alerts.create_alert(uow, owner, AlertSpec("test:BTC/USD", Interval.H1, "close > 0"), 10)
        preset = await presets.save_preset(uow, owner, "mine", overwrite=False)
        device = await devices.register(uow, runtime.keys, owner, "token", DevicePlatform.WEB)
        kind = NotificationKind.ACCOUNT_APPROVED
        notification = await notifications.notify(uow, owner.user_id, kind, {"username": "x"})
        by_hand_id = (await start_session(uow, owner, SessionRequest(), 10, 60)).id
        waiting = OrderRequest(
            by_hand_id, "test:BTC/USD", OrderSide.BUY, OrderType.LIMIT, Decimal(1), "key", price=Decimal(1)
        )
        order_id = (await place_order(uow, runtime.arrays, owner, waiting)).id
    bots = BotDesk(desk)
    bot_id, trading_session_id = await bots.begin()
    owner_session = await make_access_token(runtime, owner)
    people = {
        "pending": await make_actor(runtime, "pending"),
        "disabled": await make_actor(runtime, "disabled"),
        "viewer": await make_actor(runtime, "viewer", Role.VIEWER),
        "other trader": await make_actor(runtime, "other"),
        "admin": await make_actor(runtime, "admin", Role.ADMIN),
    }
    authorizations: dict[str, str | None] = {
        who: f"Bearer {await make_access_token(runtime, actor)}" for who, actor in people.items()
    }
    async with runtime.database.session() as session:
        # Nothing but the status speaks against these two: their tokens are of before.
        for status in ("pending", "disabled"):
            await session.execute(
                text("UPDATE users SET status = :status WHERE username = :name"),
                {"status": status.upper(), "name": status},
            )
        owner_session_id = await session.scalar(
            text("SELECT id FROM login_sessions WHERE user_id = :id"), {"id": owner.user_id}
        )
        await session.commit()
    for missing in TokenScope:
        authorizations[f"token without {missing}"] = await _api_token(
            runtime, people["admin"], set(TokenScope) - {missing}
        )
    authorizations["token with every scope"] = await _api_token(runtime, people["admin"], set(TokenScope))
    authorizations |= {"anonymous": None, "owner": f"Bearer {owner_session}"}
    backtest_id, strategy_id = encode_id("Backtest", row.id), encode_id("Strategy", strategy.id)
    ids = {
        "": encode_id("User", owner.user_id),
        "node": backtest_id,
        "Backtest": backtest_id,
        "Strategy": strategy_id,
        "runBacktest": strategy_id,
        "Webhook": encode_id("Webhook", hook.id),
        "Optimization": encode_id("Optimization", search.id),
        "runOptimization": strategy_id,
        "Alert": encode_id("Alert", alert.id),
        "Automation": encode_id("Automation", automation.id),
        "createAutomation": strategy_id,
        "promoteTrial": encode_id("Optimization", search.id),
        "Device": encode_id("Device", device.id),
        "Notification": encode_id("Notification", notification),
        "ApiToken": encode_id("ApiToken", token.id),
        "CandleSync": encode_id("CandleSync", sync.id),
        "ExchangeKey": encode_id("ExchangeKey", key.id),
        "SettingsPreset": encode_id("SettingsPreset", preset.id),
        "Bot": encode_id("Bot", bot_id),
        "createBot": strategy_id,
        "TradingSession": encode_id("TradingSession", trading_session_id),
        "stopTradingSession": encode_id("TradingSession", by_hand_id),
        "placeOrder": encode_id("TradingSession", by_hand_id),
        "Order": encode_id("Order", order_id),
        "LoginSession": encode_id("LoginSession", owner_session_id),
        "approveUser": encode_id("User", people["pending"].user_id),
        "enableUser": encode_id("User", people["disabled"].user_id),
    }
    app = create_app(settings, runtime)
    async with graphql_client(app) as client:
        yield Scene(app, client, runtime, list(root_fields(create_schema(), ids)), authorizations)
    await nowhere.close()


def _codes(payload: Mapping[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in payload.get("errors", ())]


async def _try_all(scene: Scene, refusals: Mapping[str, tuple[str, str]]) -> list[str]:
    """Try fields as who should be refused; return how each that was not answered so was answered.

    Parameters
    ----------
    refusals
        By field name: who asks, and the code to be refused with.
    """
    wrong = []
    fields = [field for field in scene.fields if field.name in refusals]
    for field in fields:
        who, code = refusals[field.name]
        if field.kind == "Subscription":
            continue
        answer = await scene.over_http(field, who)
        if _codes(answer) != [code] or (answer.get("data") is not None and any(answer["data"].values())):
            wrong.append(f"{field.name} over HTTP as {who}: {answer}")
    for who in sorted({who for who, _ in refusals.values()}):
        async with scene.socket(who) as socket:
            for field in fields:
                expected, code = refusals[field.name]
                if who != expected:
                    continue
                identifier = await socket.start(field.document)
                message = await socket.receive()
                payload = message["payload"]
                found = _codes({"errors": payload} if message["type"] == "error" else payload)
                if found != [code]:
                    wrong.append(f"{field.name} over WebSocket as {who}: {message}")
                if message["type"] == "next":
                    assert await socket.receive() == {"id": identifier, "type": "complete"}
    return wrong


def test_what_is_open_to_everybody_and_what_to_no_api_token() -> None:
    fields = list(root_fields(create_schema(), {"": "x"}))
    assert {field.name for field in fields if field.role == PUBLIC} <= OPEN_TO_EVERYBODY
    for field in fields:
        if field.role == PUBLIC:
            assert field.scope in (PUBLIC, "READ"), field
        elif field.kind != "Mutation":
            assert field.scope in ("READ", "ADMIN"), field
        elif any(word in field.name for word in ("Token", "Totp", "Password", "Session", "Key")):
            assert field.scope == SESSION_ONLY or field.name.endswith("TradingSession"), field
        else:
            assert field.scope in ("BACKTEST", "TRADE", "ADMIN", SESSION_ONLY), field
        assert (field.role == "ADMIN") == (field.scope == "ADMIN"), field


@pytest.mark.parametrize(
    ("who", "rank", "code"),
    [("anonymous", -1, UNAUTHENTICATED), ("viewer", 0, FORBIDDEN), ("other trader", 1, FORBIDDEN)],
)
async def test_whoever_lacks_the_role_is_refused(scene: Scene, who: str, rank: int, code: str) -> None:
    before = await scene.stored()
    refused = {field.name: (who, code) for field in scene.fields if RANKS[field.role] > rank}
    assert len(refused) >= 5
    assert await _try_all(scene, refused) == []
    assert await scene.stored() == before


@pytest.mark.parametrize("who", ["pending", "disabled"])
async def test_an_account_that_is_not_active_is_nobody(scene: Scene, who: str) -> None:
    before = await scene.stored()
    for field in scene.fields:
        if field.kind != "Subscription":
            answer = await scene.over_http(field, who)
            if field.role == PUBLIC and field.name not in ("logout", "me"):
                assert UNAUTHENTICATED not in _codes(answer), field.name
            else:
                assert _codes(answer) == [UNAUTHENTICATED], field.name
    with pytest.raises(SocketClosedError) as closed:
        async with scene.socket(who):
            pass
    assert closed.value.code == 4403
    assert await scene.stored() == before


async def test_an_api_token_without_the_scope_is_refused(scene: Scene) -> None:
    before = await scene.stored()
    # An administrator's, so that nothing but the scope speaks against it.
    refused = {
        field.name: (
            "token with every scope" if field.scope == SESSION_ONLY else f"token without {field.scope}",
            FORBIDDEN,
        )
        for field in scene.fields
        if field.scope != PUBLIC
    }
    assert await _try_all(scene, refused) == []
    assert await scene.stored() == before


@pytest.mark.parametrize("who", ["anonymous", "viewer", "other trader", "admin"])
async def test_what_is_anothers_does_not_exist(scene: Scene, who: str) -> None:
    before = await scene.stored()
    role = {"anonymous": PUBLIC, "viewer": "VIEWER"}.get(who, "TRADER")
    for field in scene.fields:
        if RANKS[field.role] > RANKS[role] or field.name in CONCERNS_ONLY_ONESELF | IS_ABOUT_THE_SERVER:
            continue
        if field.kind == "Subscription":
            async with scene.socket(who) as socket:
                await socket.start(field.document)
                message = await socket.receive()
                assert message["type"] == "error" or message["payload"].get("data") is None, message
            continue
        answer = await scene.over_http(field, who)
        named = "id:" in field.document or "ids:" in field.document
        if field.kind == "Query":
            if named:
                assert answer["data"][field.name] in (None, [None]), field.name
        elif named:
            assert answer["data"][field.name]["errors"] == [{"code": "NOT_FOUND"}], field.name
        else:
            assert "errors" in answer or answer["data"][field.name]["errors"], field.name
    assert await scene.stored() == before


async def test_those_who_may_are_not_refused(scene: Scene) -> None:
    """The same documents, so that the refusals above have the reason that they should have."""
    reached = []
    # Administrators act last: they disable the owner.
    for field in sorted(scene.fields, key=lambda field: RANKS[field.role]):
        if field.kind == "Subscription" or field.name in ENDS_ONES_SESSION:
            continue
        answer = await scene.over_http(field, "admin" if field.role == "ADMIN" else "owner")
        assert not {UNAUTHENTICATED, FORBIDDEN} & set(_codes(answer)), field.name
        assert "INTERNAL" not in json.dumps(answer), field.name
        if field.kind == "Mutation" and answer["data"][field.name]["errors"] == []:
            reached.append(field.name)
    assert {"approveUser", "disableUser", "enableUser", "revokeApiToken", "cancelBacktest"} <= set(reached)
