"""What the doctor says of mail."""

import pytest

from gql_trader.cli import doctor
from gql_trader.config import Environment, Settings
from tests.factories.mail_server import MailServer


async def finding(settings: Settings, **changes: object) -> tuple[str, bool]:
    return await doctor._outcome(doctor._mail, Settings.model_construct(**{**dict(settings), **changes}))


async def test_a_mail_server_that_answers_is_healthy(settings: Settings, mail: MailServer) -> None:
    told = f"127.0.0.1:{mail.port} takes mails from gql_trader <trader@trader.example>"
    assert await finding(settings) == (told, True)


async def test_a_mail_server_that_is_away_is_not(settings: Settings) -> None:
    told, healthy = await finding(settings, smtp_port=9)
    assert not healthy
    assert told.startswith("127.0.0.1:9: ")


@pytest.mark.parametrize(
    ("env", "healthy", "says"),
    [(Environment.LOCAL, True, "shown in the worker's log"), (Environment.PRODUCTION, False, "mails wait")],
)
async def test_no_mail_server_is_unhealthy_unless_local(
    settings: Settings, env: Environment, healthy: bool, says: str
) -> None:
    told, good = await finding(settings, smtp_host="", env=env)
    assert good is healthy
    assert says in told
