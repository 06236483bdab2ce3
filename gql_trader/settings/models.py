"""Tables of the settings domain."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base
from gql_trader.infra.key_ring import encrypted

EXCHANGE_KEY: Final = "user_settings.exchange_key"
EXCHANGE_SECRET: Final = "user_settings.exchange_secret"  # noqa: S105 -- a purpose, not a secret
EXCHANGE_PASSWORD: Final = "user_settings.exchange_password"  # noqa: S105
TELEGRAM_TOKEN: Final = "user_settings.telegram_token"  # noqa: S105


class DefaultSettingsRow(Base):
    """The settings of users who have changed nothing: one row, or none while they are the program's own.

    ``settings`` has every field as JSON, as `fields.encode` writes it.
    """

    __tablename__ = "default_settings"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    settings: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]


class UserSettingsRow(Base):
    """What a user has changed of the default settings, and the secrets, sealed and bound to the user.

    ``settings`` has the changed fields only. A user who has changed nothing has no row, or one whose
    ``updated_at`` is null.
    """

    __tablename__ = "user_settings"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    settings: Mapped[dict[str, Any]]
    exchange_key: Mapped[bytes | None] = mapped_column(info=encrypted(EXCHANGE_KEY))
    exchange_key_masked: Mapped[str | None]
    exchange_secret: Mapped[bytes | None] = mapped_column(info=encrypted(EXCHANGE_SECRET))
    exchange_password: Mapped[bytes | None] = mapped_column(info=encrypted(EXCHANGE_PASSWORD))
    telegram_token: Mapped[bytes | None] = mapped_column(info=encrypted(TELEGRAM_TOKEN))
    updated_at: Mapped[datetime | None]


class SettingsPresetRow(Base):
    """Settings that a user keeps under a name: every field, no secrets.

    ``name_key`` is the name in lower case, so that two spellings of one name cannot both exist.
    """

    __tablename__ = "settings_presets"
    __table_args__ = (UniqueConstraint("user_id", "name_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    name_key: Mapped[str]
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class PreferencesRow(Base):
    """A user's preferences; users who never changed them have no row."""

    __tablename__ = "user_preferences"
    __table_args__ = (
        CheckConstraint("default_mode IN ('PAPER', 'LIVE')", name="default_mode"),
        CheckConstraint("default_capital > 0", name="default_capital"),
        CheckConstraint("risk_per_trade > 0 AND risk_per_trade <= 1", name="risk_per_trade"),
        CheckConstraint("max_drawdown > 0 AND max_drawdown <= 1", name="max_drawdown"),
        CheckConstraint("theme IN ('LIGHT', 'DARK', 'SYSTEM')", name="theme"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    default_mode: Mapped[str]
    default_capital: Mapped[Decimal]
    # Null: the user has not said.
    risk_per_trade: Mapped[float | None]
    max_drawdown: Mapped[float | None]
    notifications: Mapped[bool]
    theme: Mapped[str]
    timezone: Mapped[str]
    updated_at: Mapped[datetime]
