"""Batch loaders of the notifications domain."""

from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.gql.context import Context
from gql_trader.notifications import choices, repository
from gql_trader.notifications.choices import Choice
from gql_trader.notifications.types import DeviceRecord, NotificationRecord, WebhookRecord


class NotificationLoaders:
    """Notifications, devices, webhooks and choices; one statement a batch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.notification: DataLoader[UUID, NotificationRecord | None] = DataLoader(self._notifications)
        self.device: DataLoader[UUID, DeviceRecord | None] = DataLoader(self._devices)
        self.devices_of_user: DataLoader[UUID, list[DeviceRecord]] = DataLoader(self._devices_of_users)
        self.webhooks_of_user: DataLoader[UUID, list[WebhookRecord]] = DataLoader(self._webhooks_of_users)
        self.choices_of_user: DataLoader[UUID, list[Choice]] = DataLoader(self._choices_of_users)

    async def _notifications(self, ids: Sequence[UUID]) -> list[NotificationRecord | None]:
        async with self._context.uow() as uow:
            viewer = self._context.viewer.user_id
            found = await repository.notifications_by_ids(uow.session, viewer, ids)
        return [found.get(key) for key in ids]

    async def _devices(self, ids: Sequence[UUID]) -> list[DeviceRecord | None]:
        async with self._context.uow() as uow:
            found = await repository.devices_by_ids(uow.session, ids)
        return [found.get(key) for key in ids]

    async def _devices_of_users(self, user_ids: Sequence[UUID]) -> list[list[DeviceRecord]]:
        async with self._context.uow() as uow:
            found = await repository.devices_of(uow.session, user_ids)
        return [found[user_id] for user_id in user_ids]

    async def _webhooks_of_users(self, user_ids: Sequence[UUID]) -> list[list[WebhookRecord]]:
        async with self._context.uow() as uow:
            found = await repository.webhooks_of(uow.session, user_ids)
        return [found[user_id] for user_id in user_ids]

    async def _choices_of_users(self, user_ids: Sequence[UUID]) -> list[list[Choice]]:
        async with self._context.uow() as uow:
            found = await choices.choices_of(uow, user_ids)
        return [found[user_id] for user_id in user_ids]
