"""Present a key to its exchange: between two transactions, never inside one."""

import asyncio
from uuid import UUID

from gql_trader.exchange_keys import service
from gql_trader.exchange_keys.types import ExchangeKeyStatus, OpenedKey, Verdict, Verification
from gql_trader.infra.exchange.errors import CredentialsRefused, ExchangeFailure, PermissionMissing
from gql_trader.infra.exchange.exchanges import Exchanges
from gql_trader.infra.exchange.pacing import IMPATIENT
from gql_trader.infra.exchange.records import ExchangePermission
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWorkFactory

LONGEST = 20.0
"""Seconds that asking an exchange about a key takes, at most: whoever asked waits for no longer than 30."""


async def verify(
    new_uow: UnitOfWorkFactory, exchanges: Exchanges, keys: KeyRing, user_id: UUID, key_id: UUID
) -> Verification:
    """Ask the exchange about a user's key and write down what it says.

    An exchange that cannot be asked changes nothing.

    Raises
    ------
    NotFound
        If the key is not the user's, or was deleted meanwhile.
    """
    async with new_uow() as uow:
        opened = await service.open_key(uow, keys, user_id, key_id)
    verdict = await ask(exchanges, opened)
    async with new_uow() as uow:
        return await service.note_verdict(uow, opened.record, verdict)


async def ask(exchanges: Exchanges, opened: OpenedKey) -> Verdict:
    """Return what the exchange says of a key, within `LONGEST` seconds."""
    try:
        # It takes several requests, each of which may be asked again.
        async with (
            asyncio.timeout(LONGEST),
            exchanges.client(opened.record.exchange, opened.credentials, IMPATIENT) as client,
        ):
            told = await client.permissions()
    except TimeoutError:
        return Verdict(None, problem="The exchange did not answer in time; try again later.")
    except (CredentialsRefused, PermissionMissing) as refusal:
        # A key that may not even read the balance is of no use here.
        return Verdict(ExchangeKeyStatus.INVALID, problem=refusal.message)
    except ExchangeFailure as failure:
        return Verdict(None, problem=failure.message)
    return Verdict(ExchangeKeyStatus.VALID, told.allowed, told.complete)


def warnings(verification: Verification) -> list[str]:
    """Return what the key's user should know of a verification, as sentences."""
    verdict = verification.verdict
    if verification.superseded:
        return ["The key was rotated while it was verified; verify it again."]
    if verdict.status is None:
        return [f"The key is kept, but could not be verified. {verdict.problem}"]
    found = [verdict.problem] if verdict.problem else []
    if ExchangePermission.WITHDRAW in verdict.permissions:
        found.append(
            "This key can withdraw funds. Nothing here needs that: whoever gets hold of it can empty the "
            "account. Take the permission away at the exchange, and verify again."
        )
    if verdict.status is ExchangeKeyStatus.VALID and not verdict.permissions_complete:
        found.append(
            "The exchange does not tell what this key may do. Make sure yourself that it cannot withdraw."
        )
    return found
