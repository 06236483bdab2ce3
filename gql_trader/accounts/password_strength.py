"""How hard a password is to guess."""

from collections.abc import Sequence

_LEAST_SCORE = 3
# What comes after is not looked at: by then a password is strong or made to waste our time.
_CONSIDERED = 72


def is_hard_to_guess(password: str, personal: Sequence[str] = ()) -> bool:
    """Return whether a password withstands an offline attack on a slow hash for a while.

    That is zxcvbn's score 3 or 4: more than 10**8 guesses (Wheeler, USENIX Security 2016).

    Parameters
    ----------
    personal
        What an attacker would try first, such as the user's name.
    """
    # Its word lists take 0.1 s to load; only processes that check passwords need them.
    from zxcvbn import zxcvbn

    result = zxcvbn(password[:_CONSIDERED], user_inputs=[text[:_CONSIDERED] for text in personal])
    return int(result["score"]) >= _LEAST_SCORE
