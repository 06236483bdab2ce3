"""What everything that runs a strategy over history checks and looks up before it is queued."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import DomainError, ErrorCode, InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.engine.rules import is_plain_text
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.service import find_market
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.market_data.types import LoadedBars, MarketRecord

MAXIMUM_TEXT = 200
MAXIMUM_CAPITAL = 10**15
SIGNAL_BARS = 1
"""Bars wanted before the start besides those for warming up: a signal there fills at the first open."""


def check_basics(
    initial_capital: Decimal,
    start: datetime | None,
    end: datetime | None,
    texts: Iterable[tuple[str, str | None]],
) -> list[DomainError]:
    """Return what is wrong with a capital, a range and short texts, given with the names of their fields."""
    problems: list[DomainError] = []
    if not (0 < initial_capital <= MAXIMUM_CAPITAL):
        problems.append(
            InvalidInput(f"initialCapital is above 0 and at most {MAXIMUM_CAPITAL}.", ("initialCapital",))
        )
    if start and end and start >= end:
        problems.append(InvalidInput("end must be after start.", ("end",)))
    for name, text in texts:
        if text is not None and not (text.strip() == text != "" and is_plain_text(text, MAXIMUM_TEXT)):
            problems.append(
                InvalidInput(
                    f"{name}: 1 to {MAXIMUM_TEXT} printable characters, without spaces around them.",
                    (name,),
                )
            )
    return problems


@dataclass(frozen=True, slots=True)
class History:
    """The candles that a run is to use.

    Attributes
    ----------
    start, end
        As asked for, or those of the first bar and of the last one's close; the end lies no later than that.
    bars
        How many open in between.
    """

    market: MarketRecord
    loaded: LoadedBars
    start: datetime
    end: datetime
    bars: int


async def find_history(
    uow: UnitOfWork,
    arrays: ArrayCache,
    market_name: str,
    interval: Interval,
    start: datetime | None,
    end: datetime | None,
    lookback: int,
    most_bars: int,
) -> History:
    """Return the candles of a range and up to ``lookback`` before it.

    Raises
    ------
    NotFound
        If there is no such market.
    DomainError
        NO_DATA, if it has no candles in the range.
    InvalidInput
        If there are more bars than ``most_bars``.
    """
    market = await find_market(uow, market_name)
    series = await find_series(uow, market.id, interval)
    if series is None:
        raise DomainError(
            f"There are no candles of {market.name} from which {interval.name} could be made.",
            ("interval",),
            ErrorCode.NO_DATA,
        )
    loaded = await load_bars(uow, arrays, series, start, end, lookback)
    bars = len(loaded.bars) - loaded.warmup
    if bars == 0:
        raise DomainError(
            f"{market.name} has no {interval.name} candles between start and end.",
            ("start",),
            ErrorCode.NO_DATA,
        )
    if bars > most_bars:
        raise InvalidInput(f"At most {most_bars} bars at a time; this would be {bars}.", ("start",))
    first, last = (from_milliseconds(int(loaded.bars.time[i])) for i in (loaded.warmup, -1))
    closed = last + timedelta(milliseconds=interval.milliseconds)
    return History(
        market=market,
        loaded=loaded,
        start=start or first,
        # Not behind the candles that are there: later ones must not change what was run.
        end=min(end, closed) if end else closed,
        bars=bars,
    )
