"""Who may turn live trading on: every condition alone, and that a refusal changes nothing."""

import pytest
from sqlalchemy import text

from gql_trader.accounts import api_tokens
from gql_trader.accounts.live_trading import LiveTrading, require_live_rights
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.app import create_app
from gql_trader.cli import doctor
from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.core.errors import Forbidden
from gql_trader.runtime import open_runtime
from tests.accounts.accounts_api import Accounts, refusals
from tests.graphql_client import graphql_client
from tests.settings.live_trader import Trader
from tests.settings.settings_api import Member, audited

FORBIDDEN = [("FORBIDDEN", ["dryRun"])]
SHOWN = "settings { dryRun isDefault }"


@pytest.fixture
async def tess(accounts: Accounts) -> Trader:
    """A trader with a second factor and a fresh login."""
    return await Trader.make(accounts)


async def test_a_fresh_login_and_a_code_turn_live_trading_on(accounts: Accounts, tess: Trader) -> None:
    payload = await tess.go_live(totpCode=tess.code())
    assert payload == {"settings": {"dryRun": False, "isDefault": False}, "errors": []}
    back = await tess.member.change(SHOWN, dryRun=True)
    assert back == {"settings": {"dryRun": True, "isDefault": False}, "errors": []}
    assert (await audited(accounts))[-2:] == [("LIVE_TRADING_ENABLED", {}), ("LIVE_TRADING_DISABLED", {})]


async def test_a_recovery_code_does_too_once(tess: Trader) -> None:
    assert (await tess.go_live(totpCode=tess.recovery[0]))["errors"] == []
    assert refusals(await tess.go_live(totpCode=tess.recovery[0])) == [("INVALID_CREDENTIALS", ["totpCode"])]


async def test_without_a_code_or_with_a_wrong_or_used_one_nothing_changes(tess: Trader) -> None:
    used = tess.code()
    assert (await tess.go_live(totpCode=used, preview=True))["errors"] == []
    for given, code in (({}, "TOTP_REQUIRED"), ({"totpCode": "000000x"}, "INVALID_CREDENTIALS")):
        payload = await tess.go_live(maxOpenTrades=9, **given)
        assert payload["settings"] is None
        assert refusals(payload) == [(code, ["totpCode"])]
    assert await tess.member.settings("dryRun maxOpenTrades isDefault") == {
        "dryRun": True,
        "maxOpenTrades": 3,
        "isDefault": True,
    }
    # The preview used no code up.
    assert (await tess.go_live(totpCode=used))["errors"] == []
    assert refusals(await tess.go_live(totpCode=used)) == [("INVALID_CREDENTIALS", ["totpCode"])]


async def test_a_refused_change_uses_no_code_up(tess: Trader) -> None:
    code = tess.code()
    assert refusals(await tess.go_live(totpCode=code, stoploss=1)) == [("INVALID_INPUT", ["stoploss"])]
    assert (await tess.go_live(totpCode=code))["errors"] == []


async def test_codes_are_guessed_five_times_at_most(accounts: Accounts, tess: Trader) -> None:
    for _ in range(5):
        assert refusals(await tess.go_live(totpCode="abc")) == [("INVALID_CREDENTIALS", ["totpCode"])]
    query = "mutation($input: UpdateSettingsInput!) { updateSettings(input: $input) { errors { code } } }"
    client = accounts.client.signed_in(tess.member.token)
    answer = await client.execute(query, {"input": {"dryRun": False, "totpCode": tess.code()}})
    assert answer.codes == ["RATE_LIMITED"]
    # What takes no code goes on.
    assert (await tess.member.change(SHOWN, maxOpenTrades=4))["errors"] == []


async def test_a_login_that_is_not_fresh_is_refused(accounts: Accounts, tess: Trader) -> None:
    accounts.clock.move(minutes=14)
    assert (await tess.go_live(preview=True))["errors"] == []
    tokens = await accounts.log_in("tess", totpCode=tess.code())
    accounts.clock.move(minutes=14)
    # Refreshing tokens is no login.
    tess.member.token = (await accounts.refresh(tokens["refreshToken"]))["accessToken"]
    accounts.clock.move(minutes=2)
    assert refusals(await tess.go_live(totpCode=tess.code())) == FORBIDDEN
    assert await tess.member.settings("dryRun") == {"dryRun": True}
    await tess.log_in()
    assert (await tess.go_live(totpCode=tess.code()))["errors"] == []


async def test_who_has_no_second_factor_is_refused(ada: Member) -> None:
    payload = await ada.change(SHOWN, dryRun=False, maxOpenTrades=9, totpCode="123456")
    assert (payload["settings"], refusals(payload)) == (None, FORBIDDEN)
    assert refusals(await ada.change(SHOWN, dryRun=False, preview=True)) == FORBIDDEN
    assert await ada.settings("dryRun maxOpenTrades isDefault") == {
        "dryRun": True,
        "maxOpenTrades": 3,
        "isDefault": True,
    }


async def test_what_is_forbidden_is_told_beside_the_other_problems(ada: Member) -> None:
    payload = await ada.change(SHOWN, dryRun=False, stoploss=1)
    assert refusals(payload) == [("INVALID_INPUT", ["stoploss"]), *FORBIDDEN]


async def test_an_api_token_never_trades_live(accounts: Accounts, tess: Trader) -> None:
    async with accounts.runtime.unit_of_work() as uow:
        spec = ApiTokenSpec("bot", frozenset({TokenScope.READ, TokenScope.TRADE}))
        _, secret = await api_tokens.create_token(uow, tess.member.actor, spec)
    query = (
        "mutation($input: UpdateSettingsInput!) "
        "{ updateSettings(input: $input) { settings { dryRun } errors { code path } } }"
    )
    for given, expected in (({"dryRun": False, "totpCode": tess.code()}, FORBIDDEN), ({"dryRun": True}, [])):
        answer = await accounts.client.execute(
            query, {"input": given}, headers={"authorization": f"Token {secret}"}
        )
        assert refusals(answer.data["updateSettings"]) == expected
    assert await tess.member.settings("dryRun") == {"dryRun": True}


async def test_a_server_that_does_not_trade_live_refuses_everybody(accounts: Accounts, tess: Trader) -> None:
    closed = accounts.runtime.settings.model_copy(update={"live_trading_enabled": False})
    async with open_runtime(closed, accounts.clock) as runtime:
        app = create_app(closed, runtime)
        async with graphql_client(app) as client:
            other = Accounts(app, runtime, accounts.clock, client)
            member = Member(other, tess.member.actor, tess.member.token)
            payload = await member.change(SHOWN, dryRun=False, totpCode=tess.code())
            assert refusals(payload) == FORBIDDEN
            assert await member.settings("dryRun") == {"dryRun": True}


async def test_the_doctor_tells_who_trades_live(accounts: Accounts, tess: Trader) -> None:
    settings = accounts.runtime.settings
    await tess.member.change(SHOWN, maxOpenTrades=9)
    assert await doctor._live_trading(settings) == "on; no users have dryRun: false in their settings"
    assert (await tess.go_live(totpCode=tess.code()))["errors"] == []
    off = settings.model_copy(update={"live_trading_enabled": False})
    expected = "off, whatever they say; 1 user has dryRun: false in their settings"
    assert await doctor._live_trading(off) == expected


async def test_the_role_counts_as_it_is_now_and_so_does_the_session(accounts: Accounts, tess: Trader) -> None:
    live = LiveTrading.of(accounts.runtime.settings)
    async with accounts.runtime.database.session() as session:
        session_id = await session.scalar(
            text("SELECT id FROM login_sessions WHERE user_id = :id ORDER BY created_at DESC LIMIT 1"),
            {"id": tess.member.actor.user_id},
        )
        # As it is between the request's authentication and the check.
        actor = Actor(tess.member.actor.user_id, Role.TRADER, session_id=session_id)
        keys, code = accounts.runtime.keys, tess.code()
        for statement, message in (
            ("UPDATE users SET role = 'VIEWER'", "role TRADER"),
            ("UPDATE login_sessions SET revoked_at = now()", "has ended"),
        ):
            await session.execute(text(statement))
            await session.commit()
            with pytest.raises(Forbidden, match=message):
                async with accounts.runtime.unit_of_work() as uow:
                    await require_live_rights(uow, keys, live, actor, code, ("mode",))
