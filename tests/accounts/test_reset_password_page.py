"""The page for choosing another password, which the link in the mail leads to."""

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest

from gql_trader.app import create_app
from gql_trader.notifications.jobs import deliver_outbox
from tests.accounts.accounts_api import Accounts
from tests.chromium import chromium, find_chromium
from tests.factories.mail_server import MailServer, text_of
from tests.graphql_client import graphql_client, serve

NEW = "Another-Horse-8"


async def test_the_page_runs_its_own_script_and_nothing_else(accounts: Accounts) -> None:
    page: httpx.Response = await accounts.client.http.get("/reset-password")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    [script] = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_there_is_no_page_where_another_one_is_set(accounts: Accounts) -> None:
    elsewhere = accounts.runtime.settings.model_copy(update={"password_reset_url": "https://app.example/new"})
    async with graphql_client(create_app(elsewhere, accounts.runtime)) as client:
        assert (await client.http.get("/reset-password")).status_code == 404


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
async def test_a_browser_chooses_another_password(
    accounts: Accounts, mail: MailServer, tmp_path: Path
) -> None:
    await accounts.make_user("ada")
    await accounts.mutate("requestPasswordReset", "message", email="ada@example.com")
    await deliver_outbox({"runtime": accounts.runtime})
    link = re.search(r"/reset-password#token=\S+", text_of(await mail.next()))
    assert link is not None
    executable = find_chromium()
    assert executable is not None
    async with serve(accounts.app) as server, chromium(executable, tmp_path / "profile") as page:
        await page.open(f"http://{server.address}{link[0]}")
        await page.until("location.pathname === '/reset-password' && document.readyState === 'complete'")
        assert await page.evaluate("location.hash") == ""
        await page.evaluate(
            f"for (const id of ['first', 'second']) document.getElementById(id).value = '{NEW}';"
            "document.querySelector('button').click()"
        )
        answer = "document.getElementById('answer').textContent"
        await page.until(f"{answer} !== '' && {answer} !== '…'")
        assert await page.evaluate(answer) == "The password was changed; log in with it."
        assert [each for each in page.problems if "favicon" not in each and "404" not in each] == []
    assert await accounts.log_in("ada", NEW)
