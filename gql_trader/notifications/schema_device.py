"""Devices as the API shows them, and what registers them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.notifications import devices
from gql_trader.notifications.loaders import NotificationLoaders
from gql_trader.notifications.schema_enums import DevicePlatform
from gql_trader.notifications.types import MAXIMUM_DEVICES, DeviceRecord

OWNER = "the user whose device it is, and administrators"


@visible(OWNER)
@strawberry.type(description="A device that takes push messages. Its token is never shown.")
class Device(Node):
    """A device."""

    platform: DevicePlatform = strawberry.field(description="What it runs.")
    created_at: datetime = strawberry.field(description="When it was first registered for this user.")

    @classmethod
    def from_record(cls, device: DeviceRecord) -> "Device":
        """Return the GraphQL object of a device."""
        return cls(id=encode_id("Device", device.id), platform=device.platform, created_at=device.created_at)


@strawberry.input(description="A device that is to take push messages.")
class RegisterDeviceInput:
    """Input of registerDevice."""

    token: str = strawberry.field(
        description="The registration token that Firebase Cloud Messaging gave the app on this device."
    )
    platform: DevicePlatform | None = strawberry.field(
        default=DevicePlatform.IOS, description="What the device runs; null: iOS."
    )


@visible(OWNER)
@strawberry.type(description="Result of `registerDevice`.")
class RegisterDevicePayload:
    """Payload of registerDevice."""

    device: Device | None = strawberry.field(default=None, description="The device, now yours.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not registered; empty on success."
    )


@strawberry.input(description="A device that is to take no more push messages.")
class UnregisterDeviceInput:
    """Input of unregisterDevice."""

    id: strawberry.ID = strawberry.field(description="The device.")


@visible(OWNER)
@strawberry.type(description="Result of `unregisterDevice`.")
class UnregisterDevicePayload:
    """Payload of unregisterDevice."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Id of what is gone.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it is still registered; empty on success."
    )


@strawberry.type
class DeviceMutation:
    """Mutations of devices."""

    @mutation(
        RegisterDevicePayload,
        Role.VIEWER,
        "Let a device take your push messages. Call it at each start of the app: a token that is known "
        "stays the same device, and one that somebody else had registered becomes yours. Of more than "
        f"{MAXIMUM_DEVICES} devices the one registered longest ago is dropped.",
    )
    async def register_device(
        self,
        info: Info,
        input: Annotated[RegisterDeviceInput, strawberry.argument(description="The device.")],
    ) -> RegisterDevicePayload:
        context = info.context
        async with context.uow() as uow:
            device = await devices.register(
                uow, context.services.keys, context.viewer, input.token, input.platform or DevicePlatform.IOS
            )
        return RegisterDevicePayload(device=Device.from_record(device))

    @mutation(UnregisterDevicePayload, Role.VIEWER, "Send no more push messages to one of your devices.")
    async def unregister_device(
        self,
        info: Info,
        input: Annotated[UnregisterDeviceInput, strawberry.argument(description="The device.")],
    ) -> UnregisterDevicePayload:
        key = decode_id(input.id, "Device")
        async with info.context.uow() as uow:
            await devices.unregister(uow, info.context.viewer, key)
        return UnregisterDevicePayload(deleted_id=encode_id("Device", key))


async def devices_of_user(info: Info, user_id: UUID) -> list[Device]:
    """Return a user's devices for ``User.devices``."""
    found = await info.context.loaders(NotificationLoaders).devices_of_user.load(user_id)
    return [Device.from_record(each) for each in found]


async def resolve_device_nodes(info: Info, ids: Sequence[UUID]) -> list[Device | None]:
    """Return devices for ``node``: the viewer's."""
    viewer = info.context.viewer
    found = await info.context.loaders(NotificationLoaders).device.load_many(list(ids))
    return [
        Device.from_record(each) if each is not None and each.user_id == viewer.user_id else None
        for each in found
    ]
