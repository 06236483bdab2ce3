"""A login that fails takes the same time whoever it is for: it does the same work."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import process_time
from unittest.mock import patch

import argon2

from gql_trader.accounts import repository
from gql_trader.infra.passwords import NO_PASSWORD, PasswordHasher
from tests.accounts.accounts_api import PASSWORD, Accounts, refusals
from tests.factories.statements import counted_statements

_RUNS = 7


async def test_failing_logins_send_the_same_statements_and_get_the_same_answer(accounts: Accounts) -> None:
    for name in ("active", "pending", "disabled"):
        await accounts.make_user(name)
    async with accounts.runtime.unit_of_work() as uow:
        for name in ("pending", "disabled"):
            user = await repository.user_by_login(uow.session, name)
            assert user is not None
            user.status = name.upper()
    attempts = {
        "nobody": PASSWORD,
        "active": "Wrong-Horse-77",
        "pending": PASSWORD,
        "disabled": PASSWORD,
    }
    # The first login in a process also asks with what costs passwords are stored.
    await accounts.try_login("active", PASSWORD)
    answers, statements = [], []
    for login, password in attempts.items():
        with counted_statements(accounts.runtime.database.engine) as executed:
            answers.append(await accounts.try_login(login, password))
        statements.append(list(executed))
    assert all(answer == answers[0] for answer in answers)
    assert refusals(answers[0]) == [("INVALID_CREDENTIALS", [])]
    assert all(sent == statements[0] for sent in statements)


async def test_every_failing_login_takes_as_long_whatever_costs_its_hash_has(accounts: Accounts) -> None:
    await accounts.make_user("today")
    await accounts.make_user("early")
    past = PasswordHasher(time_cost=3, memory_kib=64)
    try:
        encoded = await past.hash(PASSWORD)
    finally:
        past.close()
    async with accounts.runtime.unit_of_work() as uow:
        user = await repository.user_by_login(uow.session, "early")
        assert user is not None
        user.password_hash = encoded
    computed = []
    for login in ("today", "early", "nobody"):
        with counted_hashes() as costs:
            assert refusals(await accounts.try_login(login, "Wrong-Horse-77")) == [
                ("INVALID_CREDENTIALS", [])
            ]
        computed.append(sorted(costs))
    now = accounts.runtime.settings
    both = sorted([(3, 64), (now.argon2_time_cost, now.argon2_memory_kib)])
    assert computed == [both] * 3


@contextmanager
def counted_hashes() -> Iterator[list[tuple[int, int]]]:
    """Collect passes and KiB of each password that is checked."""
    checked: list[tuple[int, int]] = []
    original = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, encoded: str, password: str) -> bool:
        costs = argon2.extract_parameters(encoded)
        checked.append((costs.time_cost, costs.memory_cost))
        return original(self, encoded, password)

    with patch.object(argon2.PasswordHasher, "verify", verify):
        yield checked


async def test_a_password_of_nobody_takes_as_long_to_check_as_a_wrong_one() -> None:
    # The least cost that is allowed outside ENV=local.
    hasher = PasswordHasher(time_cost=2, memory_kib=19456)
    try:
        encoded = await hasher.hash(PASSWORD)
        times: dict[str | None, list[float]] = {encoded: [], None: [], NO_PASSWORD: []}
        for _ in range(_RUNS):
            for candidate, taken in times.items():
                began = process_time()
                assert not await hasher.verify(candidate, "Wrong-Horse-77")
                taken.append(process_time() - began)
        for candidate in (None, NO_PASSWORD):
            assert 0.5 < median(times[candidate]) / median(times[encoded]) < 2.0
    finally:
        hasher.close()
