"""Typed identifiers. Keys are UUIDv7, so that they sort by creation time."""

import base64
import os
import time
from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
AssetId = NewType("AssetId", UUID)
MarketId = NewType("MarketId", UUID)
SeriesId = NewType("SeriesId", UUID)
CandleSyncId = NewType("CandleSyncId", UUID)
StrategyId = NewType("StrategyId", UUID)
ExchangeKeyId = NewType("ExchangeKeyId", UUID)
BacktestId = NewType("BacktestId", UUID)
BotId = NewType("BotId", UUID)
TradingSessionId = NewType("TradingSessionId", UUID)
OptimizationId = NewType("OptimizationId", UUID)


def uuid7() -> UUID:
    """Return a new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def global_id(type_name: str, key: UUID) -> str:
    """Return the opaque id by which the API knows an object, whatever its type."""
    return base64.b64encode(f"{type_name}:{key}".encode()).decode()
