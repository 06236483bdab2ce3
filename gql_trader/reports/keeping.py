"""Keeping the days of sessions that are over, how many trades there are, and the sums over ended sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from gql_trader.bots.rollups import note_summed
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import DAY, HOUR
from gql_trader.core.zones import known_zone
from gql_trader.infra.advisory_locks import lock_name, try_lock_name
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import (
    repository,
    repository_counts,
    repository_keeping,
    repository_series,
    repository_summing,
)
from gql_trader.reports.daily import day_with, span_of
from gql_trader.reports.repository_counts import Counting
from gql_trader.reports.repository_keeping import Candidate
from gql_trader.reports.repository_series import FOREVER, Days
from gql_trader.reports.repository_summing import Over
from gql_trader.reports.types_books import SUMMING, SUMS, Account, Member
from gql_trader.settings.types import SessionMode

LOOK_AGAIN = timedelta(hours=6)
"""After this long it is seen whether more days of a session are over."""

_FINAL_AFTER = timedelta(days=7)
"""Exchanges may tell of funding when a live session is over, which counts as it ended."""

_SETTLED = HOUR
"""Clocks of workers differ by less: where sessions stood this long ago is written."""

_MOST_DAYS = 50_000
"""Days of sessions that are kept in one transaction, about."""

_MOST_SUMMED_DAYS = 4000
"""Days of sessions that are summed in one transaction, about; each may have a hundred rows."""


class KeepingFailed(Exception):
    """The days of some sessions could not be kept.

    Attributes
    ----------
    session_ids
        Whose turn it was, in their order.
    """

    def __init__(self, session_ids: Sequence[UUID]) -> None:
        super().__init__(f"the days of {len(session_ids)} sessions could not be kept")
        self.session_ids = session_ids


async def keep(uow: UnitOfWork, after: UUID | None, limit: int) -> UUID | None:
    """Keep what is over of the days of up to so many sessions, in the order of their keys.

    Those that will not change any more are added to the sums over sessions that are over.

    Returns the last of them, to go on behind it; None: there are no more, or somebody else is at it.

    Raises
    ------
    KeepingFailed
        If anything goes wrong; the transaction must be rolled back then, and whose trouble it is found by
        keeping fewer at a time.
    """
    if not await try_lock_name(uow.session, SUMMING):
        return None
    now = uow.clock.now()
    candidates = await repository_keeping.candidates(uow.session, now - LOOK_AGAIN, after, limit)
    if not candidates:
        return None
    try:
        return await _keep(uow, await _locked(uow, candidates, now), now)
    except Exception as error:
        raise KeepingFailed([each.session_id for each in candidates]) from error


async def _locked(uow: UnitOfWork, candidates: Sequence[Candidate], now: datetime) -> list[Candidate]:
    """Lock sessions that are over; return all, without the bots that were deleted meanwhile."""
    bots = sorted({each.bot_id for each in candidates if each.bot_id is not None})
    over = [each.session_id for each in candidates if _is_over(each, now)]
    left = await repository_keeping.lock(uow.session, bots, over)
    return [each if each.bot_id in left else each._replace(bot_id=None) for each in candidates]


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is to be kept of a session: its days from ``begin`` on and before ``end``.

    Attributes
    ----------
    is_final
        Whether these are the last that there will ever be.
    """

    candidate: Candidate
    account: Account
    begin: int
    end: int
    is_final: bool

    @property
    def timezone(self) -> str:
        return self.candidate.timezone

    @property
    def member(self) -> Member:
        return self.candidate.member(self.account.currency)

    @property
    def counting(self) -> Counting:
        of = self.candidate
        return Counting(of.session_id, of.user_id, of.bot_id, of.is_replay, of.counted_trades)

    @property
    def is_anew(self) -> bool:
        """Whether days of another zone are kept so far."""
        return self.candidate.kept_timezone not in (None, self.candidate.timezone)

    @property
    def is_to_be_summed(self) -> bool:
        return self.is_final and not self.candidate.is_summed

    @property
    def summed_days(self) -> int:
        """Of how many days the figures are that are to be summed."""
        if not self.is_to_be_summed or self.account.until is None:
            return 0
        return 1 + max(0, self.account.until - self.account.since) // DAY


def _turn(candidate: Candidate, account: Account, now: datetime) -> _Turn:
    zone = known_zone(candidate.timezone)
    until, settled = account.until, to_milliseconds(now) - _SETTLED
    if candidate.until is None or candidate.kept_timezone != candidate.timezone:
        begin = day_with(zone, account.since)
    else:
        begin = candidate.until
    if until is not None and _is_over(candidate, now):
        return _Turn(candidate, account, begin, day_with(zone, until) + 1, True)
    end = day_with(zone, settled if until is None else min(until, settled))
    return _Turn(candidate, account, begin, end, False)


def _is_over(candidate: Candidate, now: datetime) -> bool:
    if candidate.ended_at is None:
        return False
    if candidate.is_summed or candidate.mode == SessionMode.PAPER.value:
        return True
    return candidate.ended_at < now - _FINAL_AFTER and not candidate.is_followed


async def _keep(uow: UnitOfWork, candidates: Sequence[Candidate], now: datetime) -> UUID:
    accounts = await repository.accounts_by_ids(uow.session, [each.session_id for each in candidates])
    turns: list[_Turn] = []
    days = summed = 0
    for each in candidates:
        turn = _turn(each, accounts[each.session_id], now)
        days += max(0, turn.end - turn.begin)
        summed += turn.summed_days
        if turns and (days > _MOST_DAYS or summed > _MOST_SUMMED_DAYS):
            break
        turns.append(turn)
    anew = [
        Days(turn.member, turn.candidate.kept_timezone, *FOREVER, turn.candidate.is_summed)
        for turn in turns
        if turn.is_anew and turn.candidate.kept_timezone is not None
    ]
    await repository_series.subtract(uow.session, anew)
    await repository_keeping.forget(uow.session, [each.member.session_id for each in anew])
    spans = [span_of(turn.account, known_zone(turn.timezone), turn.begin, turn.end - 1) for turn in turns]
    counted = await repository_counts.count_more(uow.session, [each.counting for each in turns])
    marks = [
        (
            *(turn.account.id, turn.timezone, max(turn.begin, turn.end), turn.is_final, now),
            counted[turn.account.id],
        )
        for turn in turns
    ]
    await repository_keeping.keep(uow.session, spans, marks)
    added = [Days(turn.member, turn.timezone, turn.begin, turn.end - 1, turn.is_final) for turn in turns]
    await repository_series.add(uow.session, added)
    ending = [each.counting for each in turns if each.is_to_be_summed]
    await repository_counts.count_held(uow.session, ending)
    over = [Over(turn.account, turn.member) for turn in turns if turn.is_to_be_summed]
    if over:
        await repository_summing.add(uow.session, over)
        await note_summed(uow, [each.account.id for each in over])
        # Whoever reads by several statements waits for the commit alone.
        await lock_name(uow.session, SUMS)
    return turns[-1].account.id
