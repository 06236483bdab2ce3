"""A structured event for every attempt to change settings: who, what, how it ended; never a value."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from gql_trader.core.errors import DomainError, DomainErrors
from gql_trader.settings.fields import BY_NAME
from gql_trader.settings.rules import SECRET_PATHS
from gql_trader.settings.types import Difference, SettingsChange

_log = structlog.get_logger(__name__)

EVENT = "settings_update"


@dataclass(slots=True)
class Attempt:
    """What an attempt came to; filled in by whoever makes it."""

    changed: list[str] = field(default_factory=list)
    previewed: bool = False

    def came_to(self, differences: Iterable[Difference], *, preview: bool = False) -> None:
        """Take over what differs now, or would."""
        self.changed = [".".join(each.path) for each in differences]
        self.previewed = preview


@contextmanager
def attempted(action: str, user_id: UUID, given: Iterable[str]) -> Iterator[Attempt]:
    """Write an event once the block has ended; put it around the unit of work, so that it knows.

    Parameters
    ----------
    action
        Name of the mutation or command.
    user_id
        Who tries.
    given
        Names of the fields that are to be changed, in the API's spelling.
    """
    attempt = Attempt()
    known = {"action": action, "user_id": str(user_id), "given": sorted(given)}
    try:
        yield attempt
    except DomainErrors as errors:
        codes = sorted({error.code.value for error in errors.errors})
        _log.warning(EVENT, outcome="refused", codes=codes, changed=[], **known)
        raise
    except DomainError as error:
        _log.warning(EVENT, outcome="refused", codes=[error.code.value], changed=[], **known)
        raise
    except BaseException:
        _log.error(EVENT, outcome="failed", changed=[], **known)
        raise
    done = "saved" if attempt.changed else "unchanged"
    outcome = "previewed" if attempt.previewed else done
    _log.info(EVENT, outcome=outcome, changed=attempt.changed, **known)


def names_given(change: SettingsChange) -> list[str]:
    """Return the names of the fields that a change is about, in the API's spelling."""
    paths = [BY_NAME[name].path for name in change.values] + [SECRET_PATHS[each] for each in change.secrets]
    return [".".join(path) for path in paths]
