"""What was sent is not repeated in errors, which end in other people's logs."""

import pytest

from tests.accounts.accounts_api import PASSWORD, Accounts

LOGIN = "mutation($input: LoginInput!) { login(input: $input) { accessToken } }"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"login": "ada", "password": PASSWORD, "remember": True}, "unknown field 'remember'"),
        ({"password": PASSWORD}, "required field 'login'"),
        (f"ada {PASSWORD}", "to be an object."),
    ],
)
async def test_a_malformed_input_is_not_repeated(accounts: Accounts, given: object, message: str) -> None:
    answer = await accounts.client.execute(LOGIN, {"input": given})
    assert answer.codes == ["BAD_USER_INPUT"]
    assert message in answer.errors[0]["message"]
    assert PASSWORD not in str(answer.body)


async def test_a_malformed_literal_is_not_repeated(accounts: Accounts) -> None:
    text = f'mutation {{ login(input: {{password: "{PASSWORD}", remember: true}}) {{ accessToken }} }}'
    answer = await accounts.client.execute(text)
    assert set(answer.codes) == {"GRAPHQL_VALIDATION_FAILED"}
    assert PASSWORD not in str(answer.body)
