"""Push messages: one to each device; a device whose token is none any more is forgotten."""

from uuid import UUID

import structlog
from sqlalchemy import delete, select

from gql_trader.core.ids import global_id
from gql_trader.infra.delivery import NotDeliveredError, TargetGoneError
from gql_trader.infra.outbox import OutboxMessage
from gql_trader.infra.push import PushMessage
from gql_trader.notifications import repository
from gql_trader.notifications.models import DEVICE_TOKEN, DeviceRow
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def send(runtime: Runtime, message: OutboxMessage) -> bool:
    """Send a notification to a device; return False if it is not needed any more.

    Raises
    ------
    NotDeliveredError, RefusedError
        If Firebase did not take it.
    """
    assert message.user_id is not None
    key = UUID(message.payload["notification_id"])
    async with runtime.unit_of_work() as uow:
        found = await repository.deliverable(uow.session, message.user_id, key)
        device = await uow.session.scalar(
            select(DeviceRow).where(DeviceRow.id == message.target_id, DeviceRow.user_id == message.user_id)
        )
    if found is None or device is None:
        return False
    if runtime.push is None:
        raise NotDeliveredError("push messages are not set up")
    token = runtime.keys.decrypt(DEVICE_TOKEN, device.id, device.token).decode()
    data = {"id": global_id("Notification", found.id), "kind": found.kind.value, **found.payload}
    try:
        await runtime.push.send(token, PushMessage(str(found.id), found.title, found.body, data))
    except TargetGoneError as error:
        _log.info("device_forgotten", device_id=str(device.id), reason=str(error))
        async with runtime.unit_of_work() as uow:
            await uow.session.execute(delete(DeviceRow).where(DeviceRow.id == device.id))
        return False
    return True
