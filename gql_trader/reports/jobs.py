"""Work of the reports domain by the clock."""

from uuid import UUID

import structlog

from gql_trader.reports import keeping
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_KEPT_AT_ONCE = 500


async def keep_days(runtime: Runtime) -> None:
    """Keep the days of sessions that are over; any worker may, at any time, and one at a time does.

    One session's trouble keeps no other waiting.
    """
    after: UUID | None = None
    limit = _KEPT_AT_ONCE
    while True:
        try:
            async with runtime.unit_of_work() as uow:
                after = await keeping.keep(uow, after, limit)
        except keeping.KeepingFailed as error:
            if len(error.session_ids) > 1:
                limit = len(error.session_ids) // 2
                continue
            _log.exception("days_not_kept", session_id=str(error.session_ids[0]))
            after = error.session_ids[0]
        else:
            if after is None:
                return
            limit = min(2 * limit, _KEPT_AT_ONCE)
