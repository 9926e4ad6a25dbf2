"""What both services share: errors as HTTP, and a login with passwords and tokens."""

import base64
import hashlib
import hmac
import os
import secrets
import time
from typing import NamedTuple

from stogram_sdk import (
    AlreadyExists,
    Blocked,
    InvalidInput,
    NotAllowed,
    NotFound,
    StogramError,
    Unavailable,
    User,
)

#: The status of each error; any other is a bug, 500.
STATUS: dict[type[StogramError], int] = {
    InvalidInput: 400,
    NotAllowed: 403,
    Blocked: 403,
    NotFound: 404,
    AlreadyExists: 409,
    Unavailable: 503,
}

#: Signs the tokens. Without one in the environment they are good until the service stops.
_KEY = (os.environ.get("STOGRAM_SECRET_KEY") or secrets.token_hex()).encode()
_TOKEN_LIFETIME = 86_400


def status_of(error: StogramError) -> int:
    return STATUS.get(type(error), 500)


def hash_password(password: str) -> str:
    """It takes some 50 ms of a processor, as it should."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_scrypt(password, salt).hex()}"


def is_password(password: str, stored: str) -> bool:
    """Whether it is the one; no password fits what another service has hashed in its own way."""
    salt, _, expected = stored.partition(":")
    try:
        salted = bytes.fromhex(salt)
    except ValueError:
        return False
    return hmac.compare_digest(_scrypt(password, salted).hex(), expected)


def _scrypt(password: str, salt: bytes) -> bytes:
    if not isinstance(password, str):
        raise InvalidInput("password must be a text", field="password")
    return hashlib.scrypt(password.encode(errors="replace"), salt=salt, n=2**14, r=8, p=1)


class Token(NamedTuple):
    user_id: str
    until: str
    signature: str


def make_token(account: User) -> str:
    """What a client sends with each request: who it is, until when, and a signature.

    The hash of the password is signed too: so a new password ends the tokens.
    """
    until = str(int(time.time()) + _TOKEN_LIFETIME)
    token = Token(account.id, until, _signature(account, until))
    return base64.urlsafe_b64encode(":".join(token).encode()).decode()


def read_token(text: str) -> Token | None:
    """What the token says, which may be forged; None if it is none of ours."""
    try:
        rest, _, signature = base64.urlsafe_b64decode(text).decode().rpartition(":")
    except ValueError:
        return None
    user_id, _, until = rest.rpartition(":")
    return Token(user_id, until, signature) if until.isdecimal() else None


def is_token_of(token: Token, account: User) -> bool:
    """Whether we have made it for this account, as it is now, and it is not too old."""
    expected = _signature(account, token.until)
    is_ours = hmac.compare_digest(token.signature.encode(), expected.encode())
    return is_ours and time.time() < int(token.until)


def _signature(account: User, until: str) -> str:
    text = f"{account.id}:{until}:{account.password}"
    return hmac.new(_KEY, text.encode(), hashlib.sha256).hexdigest()
