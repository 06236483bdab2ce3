"""Tables of exchange keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.exchange_keys.types import CREDENTIALS
from gql_trader.infra.database import Base
from gql_trader.infra.key_ring import encrypted


class ExchangeKeyRow(Base):
    """A user's key to an exchange; one for each exchange.

    ``credentials`` is JSON, sealed and bound to the row: the key, its secret, passphrase and account.
    ``version`` counts rotations: what was asked of the exchange with one version is not written down for
    another.
    """

    __tablename__ = "exchange_keys"
    __table_args__ = (
        UniqueConstraint("user_id", "exchange"),
        CheckConstraint("status IN ('UNVERIFIED', 'VALID', 'INVALID')", name="status"),
        CheckConstraint("permissions <@ ARRAY['READ', 'TRADE', 'WITHDRAW', 'TRANSFER']", name="permissions"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    exchange: Mapped[str]
    label: Mapped[str | None]
    api_key_masked: Mapped[str]
    credentials: Mapped[bytes] = mapped_column(info=encrypted(CREDENTIALS))
    version: Mapped[int]
    status: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    permissions_complete: Mapped[bool]
    last_used_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
