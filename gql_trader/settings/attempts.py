"""A structured event for every attempt to change settings: who, what, how it ended; never a value."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from gql_trader.core.errors import DomainError, DomainErrors
from gql_trader.settings.fields import BY_NAME
from gql_trader.settings.rules import SECRET_PATHS
from gql_trader.settings.types import SettingsChange

_log = structlog.get_logger(__name__)

EVENT = "settings_update"


@dataclass(slots=True)
class Attempt:
    """What an attempt came to; filled in by whoever makes it. Unless it is, something broke."""

    outcome: str = "failed"
    given: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    def came_to(self, changed: Iterable[str], *, preview: bool = False) -> None:
        """Say which fields differ now, or would."""
        self.changed = list(changed)
        self.outcome = "previewed" if preview else "saved" if self.changed else "unchanged"

    def refused(self, codes: Iterable[str]) -> None:
        """Say that it was refused, and with which codes."""
        self.outcome = "refused"
        self.codes = sorted(set(codes))


@contextmanager
def attempted(action: str, user_id: UUID | None, given: Iterable[str] = ()) -> Iterator[Attempt]:
    """Write an event once the block has ended; put it around the unit of work, so that it knows.

    Parameters
    ----------
    action
        Name of the mutation or command.
    user_id
        Who tries; None: nobody who is signed in.
    given
        Names of the fields that are to be changed, in the API's spelling; may be set in the block, where
        finding them out may fail.
    """
    attempt = Attempt(given=list(given))
    try:
        yield attempt
    except DomainErrors as errors:
        attempt.refused(error.code.value for error in errors.errors)
        raise
    except DomainError as error:
        attempt.refused([error.code.value])
        raise
    finally:
        write = {"failed": _log.error, "refused": _log.warning}.get(attempt.outcome, _log.info)
        write(
            EVENT,
            action=action,
            user_id=str(user_id) if user_id else None,
            given=sorted(attempt.given),
            changed=attempt.changed,
            outcome=attempt.outcome,
            **({"codes": attempt.codes} if attempt.codes else {}),
        )


def names_given(change: SettingsChange) -> list[str]:
    """Return the names of the fields that a change is about, in the API's spelling."""
    paths = [BY_NAME[name].path for name in change.values] + [SECRET_PATHS[each] for each in change.secrets]
    return [".".join(path) for path in paths]
