"""A login that fails takes the same time whoever it is for: it does the same work."""

from statistics import median
from time import perf_counter

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
    answers, statements = [], []
    for login, password in attempts.items():
        with counted_statements(accounts.runtime.database.engine) as executed:
            answers.append(await accounts.try_login(login, password))
        statements.append(list(executed))
    assert all(answer == answers[0] for answer in answers)
    assert refusals(answers[0]) == [("INVALID_CREDENTIALS", [])]
    assert all(sent == statements[0] for sent in statements)


async def test_a_password_of_nobody_takes_as_long_to_check_as_a_wrong_one() -> None:
    # The least cost that is allowed outside ENV=local.
    hasher = PasswordHasher(time_cost=2, memory_kib=19456)
    try:
        encoded = await hasher.hash(PASSWORD)
        times: dict[str | None, list[float]] = {encoded: [], None: [], NO_PASSWORD: []}
        for _ in range(_RUNS):
            for candidate, taken in times.items():
                began = perf_counter()
                assert not await hasher.verify(candidate, "Wrong-Horse-77")
                taken.append(perf_counter() - began)
        for candidate in (None, NO_PASSWORD):
            assert 0.5 < median(times[candidate]) / median(times[encoded]) < 2.0
    finally:
        hasher.close()
