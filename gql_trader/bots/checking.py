"""Checks of bots as asked for; no database."""

from collections.abc import Iterator
from decimal import Decimal
from math import isfinite

from gql_trader.backtests.execution import check_execution
from gql_trader.backtests.history import MAXIMUM_CAPITAL
from gql_trader.bots.types import BotChange, BotRequest, Feed
from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.engine.rules import is_plain_text

MAXIMUM_NAME = 100
MAXIMUM_CHECK_SECONDS = 86_400
MAXIMUM_SPEED = 1_000_000.0


def check_bot(given: BotRequest | BotChange) -> list[DomainError]:
    """Return everything that is wrong with a bot by itself; what is not given is not looked at."""
    problems = list(_problems(given.name, given.initial_capital, given.check_interval_seconds, given.feed))
    if given.transfer_amount is not None and not 0 < given.transfer_amount <= MAXIMUM_CAPITAL:
        problems.append(
            InvalidInput(f"transferAmount is above 0 and at most {MAXIMUM_CAPITAL}.", ("transferAmount",))
        )
    if given.execution is not None:
        problems += check_execution(given.execution)
    return problems


def _problems(
    name: str | None, capital: Decimal | None, check_seconds: int | None, feed: Feed | None
) -> Iterator[DomainError]:
    if name is not None and not (name.strip() == name != "" and is_plain_text(name, MAXIMUM_NAME)):
        yield InvalidInput(
            f"A name has 1 to {MAXIMUM_NAME} printable characters, without spaces around them.", ("name",)
        )
    if capital is not None and not 0 < capital <= MAXIMUM_CAPITAL:
        yield InvalidInput(f"initialCapital is above 0 and at most {MAXIMUM_CAPITAL}.", ("initialCapital",))
    if check_seconds is not None and not 1 <= check_seconds <= MAXIMUM_CHECK_SECONDS:
        yield InvalidInput(
            f"checkIntervalSeconds is between 1 and {MAXIMUM_CHECK_SECONDS}; got {check_seconds}.",
            ("checkIntervalSeconds",),
        )
    replay = feed.replay if feed is not None else None
    if replay is not None:
        if replay.end is not None and replay.start >= replay.end:
            yield InvalidInput("end must be after start.", ("feed", "replay", "end"))
        if not (isfinite(replay.speed) and 0 <= replay.speed <= MAXIMUM_SPEED):
            yield InvalidInput(
                f"speed is between 0, as fast as possible, and {MAXIMUM_SPEED:,.0f}; got {replay.speed:g}.",
                ("feed", "replay", "speed"),
            )
