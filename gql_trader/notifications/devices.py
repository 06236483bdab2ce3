"""Rules of devices: a token belongs to whoever registered it last, and is never shown."""

import re
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from gql_trader.core.actor import Actor
from gql_trader.core.errors import InvalidInput, NotFound
from gql_trader.core.ids import uuid7
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.tokens import token_digest
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications.models import DEVICE_TOKEN, DeviceRow
from gql_trader.notifications.repository import device_record
from gql_trader.notifications.types import MAXIMUM_DEVICES, DevicePlatform, DeviceRecord

_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)


async def register(
    uow: UnitOfWork, keys: KeyRing, actor: Actor, token: str, platform: DevicePlatform
) -> DeviceRecord:
    """Let a device take the actor's push messages; registering it again only notes the platform.

    A token that another user has registered becomes the actor's, under another id: what waits to be sent
    to the other user's device does not reach it any more.

    Raises
    ------
    InvalidInput
        If the token is malformed.
    """
    if not _TOKEN.fullmatch(token):
        raise InvalidInput("A token has 1 to 4096 characters, without spaces.", ("token",))
    digest, now = token_digest(token), uow.clock.now()
    # Of two users who register one token at once, the second comes to see the first.
    await uow.session.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest[:8], signed=True))))
    await uow.session.execute(
        delete(DeviceRow).where(DeviceRow.token_hash == digest, DeviceRow.user_id != actor.user_id)
    )
    key = uuid7()
    row = await uow.session.scalar(
        insert(DeviceRow)
        .values(
            id=key,
            user_id=actor.user_id,
            platform=platform.value,
            token=keys.encrypt(DEVICE_TOKEN, key, token.encode()),
            token_hash=digest,
            created_at=now,
            registered_at=now,
        )
        .on_conflict_do_update(
            index_elements=[DeviceRow.token_hash],
            set_={"platform": platform.value, "registered_at": now},
        )
        .returning(DeviceRow)
    )
    assert row is not None
    await _drop_surplus(uow, actor.user_id)
    return device_record(row)


async def unregister(uow: UnitOfWork, actor: Actor, device_id: UUID) -> None:
    """Send nothing more to one of the actor's devices.

    Raises
    ------
    NotFound
        If it is not one of theirs.
    """
    deleted = await uow.session.scalar(
        delete(DeviceRow)
        .where(DeviceRow.id == device_id, DeviceRow.user_id == actor.user_id)
        .returning(DeviceRow.id)
    )
    if deleted is None:
        raise NotFound("There is no such device.", ("id",))


async def _drop_surplus(uow: UnitOfWork, user_id: UUID) -> None:
    # Apps that are installed anew get new tokens and tell nobody about the old ones.
    surplus = (
        select(DeviceRow.id)
        .where(DeviceRow.user_id == user_id)
        .order_by(DeviceRow.registered_at.desc(), DeviceRow.id.desc())
        .offset(MAXIMUM_DEVICES)
    )
    await uow.session.execute(
        delete(DeviceRow).where(DeviceRow.id.in_(surplus)).execution_options(synchronize_session=False)
    )
