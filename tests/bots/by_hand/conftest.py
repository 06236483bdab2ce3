"""What tests of trading by hand begin with."""

from collections.abc import AsyncIterator

import pytest

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from tests.bots.by_hand.hand import Hand
from tests.factories.actors import make_access_token
from tests.factories.bots import BotDesk
from tests.factories.clock import MovableClock
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client


@pytest.fixture
async def hand(bots: BotDesk, settings: Settings, clock: MovableClock) -> AsyncIterator[Hand]:
    app = create_app(settings, bots.runtime)
    token = await make_access_token(bots.runtime, bots.trader)
    async with graphql_client(app) as client:
        first = Interval.M1.floor(to_milliseconds(clock.now()))
        header = {"authorization": f"Bearer {token}"}
        made = Hand(
            bots,
            clock,
            client.signed_in(token),
            lambda: GraphQLSocket(InProcessTransport(app), header),
            first,
        )
        await made.bars((100.0, 100.0, 100.0, 100.0))
        yield made
