"""What both services share: errors as HTTP, and a login with passwords and tokens."""

import base64
import hashlib
import hmac
import os
import secrets
import time

from stogram_sdk import (
    AlreadyExists,
    Blocked,
    InvalidInput,
    NotAllowed,
    NotFound,
    StogramError,
    Unavailable,
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


def make_token(user_id: str) -> str:
    """What a client sends with each request: who it is, until when, and a signature."""
    text = f"{user_id}:{int(time.time()) + _TOKEN_LIFETIME}"
    return base64.urlsafe_b64encode(f"{text}:{_signature(text)}".encode()).decode()


def user_of(token: str) -> str | None:
    """The id of the user who has the token; None if it is not one of ours, or too old."""
    try:
        text, _, signature = base64.urlsafe_b64decode(token).decode().rpartition(":")
        user_id, _, until = text.rpartition(":")
        is_ours = hmac.compare_digest(signature.encode(), _signature(text).encode())
        return user_id if is_ours and time.time() < int(until) else None
    except ValueError:
        return None


def _signature(text: str) -> str:
    return hmac.new(_KEY, text.encode(), hashlib.sha256).hexdigest()
