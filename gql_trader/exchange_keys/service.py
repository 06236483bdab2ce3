"""Rules of exchange keys: who keeps them, what is kept, and what is written down of a verification."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.core.actor import Actor
from gql_trader.core.errors import Conflict, DomainError, InvalidInput, InvalidState, NotFound
from gql_trader.core.ids import ExchangeKeyId, uuid7
from gql_trader.core.masking import mask
from gql_trader.exchange_keys import repository
from gql_trader.exchange_keys.credentials import check_credentials, seal, unseal
from gql_trader.exchange_keys.models import ExchangeKeyRow
from gql_trader.exchange_keys.types import (
    ExchangeKeyRecord,
    ExchangeKeyStatus,
    GivenCredentials,
    NewExchangeKey,
    OpenedKey,
    Verdict,
    Verification,
)
from gql_trader.infra.exchange.records import KnownExchange
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork

MAXIMUM_LABEL = 100

record = repository.record


async def add_key(
    uow: UnitOfWork,
    keys: KeyRing,
    known: Mapping[str, KnownExchange],
    actor: Actor,
    new: NewExchangeKey,
) -> ExchangeKeyRecord:
    """Keep a key of the actor's, unverified.

    Parameters
    ----------
    known
        The exchanges that there are.

    Raises
    ------
    InvalidInput, DomainErrors
        If a field was refused; all of the credentials' are named together.
    Conflict
        If the actor has a key to this exchange.
    """
    exchange = _known(known, new.exchange)
    label = _label(new.label)
    credentials = check_credentials(exchange, new.credentials)
    key_id, now = uuid7(), uow.clock.now()
    row = await uow.session.scalar(
        insert(ExchangeKeyRow)
        .values(
            id=key_id,
            user_id=actor.user_id,
            exchange=exchange.id,
            label=label,
            api_key_masked=mask(credentials.api_key),
            credentials=seal(keys, key_id, credentials),
            version=1,
            status=ExchangeKeyStatus.UNVERIFIED.value,
            permissions=[],
            permissions_complete=False,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=[ExchangeKeyRow.user_id, ExchangeKeyRow.exchange])
        .returning(ExchangeKeyRow)
    )
    if row is None:
        raise Conflict(f"You have a key to {exchange.name}; rotate it, or delete it first.", ("exchange",))
    _record(uow, AuditAction.EXCHANGE_KEY_ADDED, actor, row)
    return record(row)


async def rotate_key(
    uow: UnitOfWork,
    keys: KeyRing,
    known: Mapping[str, KnownExchange],
    actor: Actor,
    key_id: UUID,
    given: GivenCredentials,
) -> ExchangeKeyRecord:
    """Put other credentials in a key's place; it stays the same object, unverified.

    Raises
    ------
    NotFound
        If it is not the actor's.
    DomainErrors
        For every field that was refused.
    """
    row = await repository.key_of(uow.session, actor.user_id, key_id, lock=True)
    if row is None:
        raise _not_found()
    credentials = check_credentials(_known(known, row.exchange), given)
    row.api_key_masked = mask(credentials.api_key)
    row.credentials = seal(keys, key_id, credentials)
    row.version += 1
    row.status = ExchangeKeyStatus.UNVERIFIED.value
    row.permissions, row.permissions_complete = [], False
    row.verified_at, row.rotated_at = None, uow.clock.now()
    _record(uow, AuditAction.EXCHANGE_KEY_ROTATED, actor, row)
    await uow.session.flush()
    return record(row)


async def delete_key(uow: UnitOfWork, actor: Actor, key_id: UUID) -> ExchangeKeyId:
    """Forget a key and its secrets; return its id.

    Raises
    ------
    NotFound
        If it is not the actor's.
    InvalidState
        If something trades with it.
    """
    try:
        row = await uow.session.scalar(
            delete(ExchangeKeyRow)
            .where(ExchangeKeyRow.id == key_id, ExchangeKeyRow.user_id == actor.user_id)
            .returning(ExchangeKeyRow)
        )
    except IntegrityError:
        # Whatever trades with it refers to it.
        raise InvalidState("Something trades with this key; stop that first.", ("id",)) from None
    if row is None:
        raise _not_found()
    _record(uow, AuditAction.EXCHANGE_KEY_DELETED, actor, row)
    return ExchangeKeyId(row.id)


async def open_key(uow: UnitOfWork, keys: KeyRing, user_id: UUID, key_id: UUID) -> OpenedKey:
    """Return a user's key with its secrets.

    Raises
    ------
    NotFound
        If it is not theirs.
    """
    row = await repository.key_of(uow.session, user_id, key_id)
    if row is None:
        raise _not_found()
    return OpenedKey(record(row), unseal(keys, row.id, row.credentials))


async def note_verdict(uow: UnitOfWork, asked: ExchangeKeyRecord, verdict: Verdict) -> Verification:
    """Write down what an exchange said of a key, unless it is another one by now.

    Raises
    ------
    NotFound
        If the key was deleted meanwhile.
    """
    now = uow.clock.now()
    written = None
    if verdict.status is not None:
        values: dict[str, Any] = {
            "status": verdict.status.value,
            "permissions": sorted(verdict.permissions),
            "permissions_complete": verdict.permissions_complete,
            "last_used_at": now,
            "verified_at": now,
        }
        written = await uow.session.scalar(
            update(ExchangeKeyRow)
            .where(ExchangeKeyRow.id == asked.id, ExchangeKeyRow.version == asked.version)
            .values(values)
            .returning(ExchangeKeyRow)
        )
    row = written or await repository.key_of(uow.session, asked.user_id, asked.id)
    if row is None:
        raise _not_found()
    return Verification(record(row), verdict, superseded=row.version != asked.version)


def _known(known: Mapping[str, KnownExchange], exchange: str) -> KnownExchange:
    found = known.get(exchange.strip().lower())
    if found is None:
        like = get_close_matches(exchange.strip().lower(), known, n=3)
        hint = f" Did you mean {', '.join(like)}?" if like else " The query exchanges lists those there are."
        raise InvalidInput(f"There is no such exchange.{hint}", ("exchange",))
    return found


def _label(label: str | None) -> str | None:
    text = (label or "").strip()
    if len(text) > MAXIMUM_LABEL or not text.isprintable():
        raise InvalidInput(f"A label has at most {MAXIMUM_LABEL} printable characters.", ("label",))
    return text or None


def _record(uow: UnitOfWork, action: AuditAction, actor: Actor, row: ExchangeKeyRow) -> None:
    record_event(
        uow,
        action,
        actor_id=actor.user_id,
        target_id=actor.user_id,
        exchangeKeyId=str(row.id),
        exchange=row.exchange,
    )


def _not_found() -> DomainError:
    return NotFound("There is no such exchange key.", ("id",))
