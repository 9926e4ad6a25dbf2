"""A messenger's service in Flask.

Run it with `stogram migrate`, then `flask --app examples/flask_service run`. Beside it,
`flask --app examples/flask_service publish` sends scheduled messages. All read `DATABASE_URL`.
With several processes they need one `STOGRAM_SECRET_KEY`, for the tokens.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from _service import (
    hash_password,
    is_password,
    is_token_of,
    make_token,
    read_token,
    status_of,
)
from flask import Blueprint, Flask, abort, current_app, request
from flask.typing import ResponseReturnValue

import stogram_sdk as stogram
from stogram_sdk import InvalidInput, NotFound, StogramError, to_dict

api = Blueprint("api", __name__)


def create_app(database_url: str | None = None) -> Flask:
    """The service; without a URL it is on the database that the environment names."""
    stogram.connect(database_url)
    app = Flask(__name__)
    app.register_blueprint(api)
    app.register_error_handler(StogramError, explain)
    app.cli.command()(publish)
    return app


# --- What all endpoints need ---


def explain(error: StogramError) -> ResponseReturnValue:
    """The text of an error is safe to show: it holds no secret, and nothing of other users."""
    status = status_of(error)
    if status == 500:
        current_app.logger.exception("A call failed")
    return {"error": str(error), "field": error.field}, status


def me() -> str:
    """The id of the user who asks."""
    token = read_token(request.authorization.token or "") if request.authorization else None
    with suppress(InvalidInput, NotFound):
        if token and is_token_of(token, stogram.get_user(token.user_id)):
            return token.user_id
    abort(401)


def given(*names: str) -> dict[str, Any]:
    """What the request's JSON says of these arguments; those that it does not name are left out."""
    try:
        body = request.get_json()
    except RecursionError:
        raise InvalidInput("the body is nested too deeply") from None
    if not isinstance(body, dict):
        raise InvalidInput("the body must be a JSON object")
    return {name: body[name] for name in names if name in body}


def required(*names: str) -> list[Any]:
    values = given(*names)
    if missing := [name for name in names if name not in values]:
        raise InvalidInput(f"{missing[0]} is missing", field=missing[0])
    return list(values.values())


def page() -> dict[str, Any]:
    """Which page of a list is asked for; the SDK says what is wrong with it."""
    limit = request.args.get("limit", "50")
    number = int(limit) if limit.isdecimal() and len(limit) < 5 else limit
    return {"limit": number, "cursor": request.args.get("cursor")}


@api.get("/health")
def health() -> ResponseReturnValue:
    """200 when the database answers within a second, else 503."""
    stogram.check_health()
    return to_dict(stogram.pool_status())


# --- Accounts ---


@api.post("/users")
def register() -> ResponseReturnValue:
    email, username, password = required("email", "username", "password")
    account = stogram.create_user(
        email, username, password_hash=hash_password(password), **given("display_name")
    )
    return to_dict(account), 201


@api.post("/tokens")
def log_in() -> ResponseReturnValue:
    username, password = required("username", "password")
    account = stogram.find_user(username)
    if account is None or not is_password(password, account.password):
        abort(401)
    return {"token": make_token(account)}, 201


@api.get("/me")
def get_me() -> ResponseReturnValue:
    return to_dict(stogram.get_user(me()))


@api.get("/users/<username>")
@stogram.session()
def get_profile(username: str) -> ResponseReturnValue:
    """A user as the one who asks may see them; two calls over one connection."""
    viewer = me()
    account = stogram.find_user(username)
    if account is None:
        abort(404)
    (profile,) = stogram.visible_profiles(viewer, [account.id])
    return to_dict(profile)


@api.patch("/me/privacy")
def change_privacy() -> ResponseReturnValue:
    flags = given("show_online_status", "show_profile_photo", "show_last_seen")
    return to_dict(stogram.update_privacy(me(), **flags))


# --- Chats ---


@api.get("/chats")
def list_chats() -> ResponseReturnValue:
    return to_dict(stogram.list_chats(me(), **page()))


@api.post("/chats")
def create_chat() -> ResponseReturnValue:
    (kind,) = required("type")
    options = given("member_ids", "name", "description", "is_secret")
    return to_dict(stogram.create_chat(me(), kind, **options)), 201


@api.put("/private-chats/<user_id>")
def open_private_chat(user_id: str) -> ResponseReturnValue:
    chat, created = stogram.open_private_chat(me(), user_id)
    return to_dict(chat), 201 if created else 200


@api.get("/chats/<chat_id>/members")
def list_members(chat_id: str) -> ResponseReturnValue:
    return to_dict(stogram.list_members(me(), chat_id, **page()))


@api.put("/chats/<chat_id>/members/<user_id>")
def add_member(chat_id: str, user_id: str) -> ResponseReturnValue:
    return to_dict(stogram.add_member(me(), chat_id, user_id, **given("role")))


@api.delete("/chats/<chat_id>/members/<user_id>")
def remove_member(chat_id: str, user_id: str) -> ResponseReturnValue:
    stogram.remove_member(me(), chat_id, user_id)
    return "", 204


@api.put("/chats/<chat_id>/mute")
def mute_chat(chat_id: str) -> ResponseReturnValue:
    return to_dict(stogram.mute_chat(me(), chat_id))


# --- Messages ---


@api.get("/chats/<chat_id>/messages")
def list_messages(chat_id: str) -> ResponseReturnValue:
    return to_dict(stogram.list_messages(me(), chat_id, **page()))


def new_message() -> dict[str, Any]:
    """A client that gives a `message_id` may send the same request again: it is one message."""
    new = given(
        *("content", "type", "reply_to_id", "is_silent", "scheduled_for", "message_id"),
        *("file_url", "file_name", "file_size", "thumbnail_url", "duration", "waveform"),
    )
    if "scheduled_for" in new:
        new["scheduled_for"] = moment(new["scheduled_for"])
    return new


def moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise InvalidInput("scheduled_for must be an ISO 8601 time") from None


@api.post("/chats/<chat_id>/messages")
def send_message(chat_id: str) -> ResponseReturnValue:
    return to_dict(stogram.send_message(me(), chat_id, **new_message())), 201


@api.post("/chats/<chat_id>/answers")
@stogram.retrying
def read_and_answer(chat_id: str) -> ResponseReturnValue:
    """Both or neither; it runs again when it meets another transaction."""
    stogram.mark_read(me(), chat_id)
    return to_dict(stogram.send_message(me(), chat_id, **new_message())), 201


@api.patch("/chats/<chat_id>/messages/<message_id>")
def edit_message(chat_id: str, message_id: str) -> ResponseReturnValue:
    return to_dict(stogram.edit_message(me(), chat_id, message_id, *required("content")))


@api.delete("/chats/<chat_id>/messages/<message_id>")
def delete_message(chat_id: str, message_id: str) -> ResponseReturnValue:
    stogram.delete_message(me(), chat_id, message_id)
    return "", 204


@api.post("/chats/<chat_id>/read")
def mark_read(chat_id: str) -> ResponseReturnValue:
    return to_dict(stogram.mark_read(me(), chat_id, **given("message_id")))


@api.get("/unread")
def unread_totals() -> ResponseReturnValue:
    return to_dict(stogram.unread_totals(me()))


@api.put("/chats/<chat_id>/pins/<message_id>")
def pin_message(chat_id: str, message_id: str) -> ResponseReturnValue:
    pin, created = stogram.pin_message(me(), chat_id, message_id)
    return to_dict(pin), 201 if created else 200


@api.get("/search")
def search_messages() -> ResponseReturnValue:
    text = request.args.get("text", "")
    return to_dict(stogram.search_messages(me(), text, **page()))


# --- Blocking ---


@api.get("/blocked")
def list_blocked_users() -> ResponseReturnValue:
    return to_dict(stogram.list_blocked_users(me(), **page()))


@api.put("/blocked/<user_id>")
def block_user(user_id: str) -> ResponseReturnValue:
    block, created = stogram.block_user(me(), user_id)
    return to_dict(block), 201 if created else 200


@api.delete("/blocked/<user_id>")
def unblock_user(user_id: str) -> ResponseReturnValue:
    stogram.unblock_user(me(), user_id)
    return "", 204


# --- Beside the requests ---


def publish() -> None:
    """Send scheduled messages when it is time, and tell their readers."""
    while True:
        published = stogram.publish_scheduled()
        for message in published:
            for user_id in readers_of(message):
                print(f"For {user_id}: {message.content}", flush=True)  # your push service
        stogram.acknowledge_published([message.id for message in published])
        time.sleep(1)


def readers_of(message: stogram.Message) -> Iterator[str]:
    """Whom to tell of the message, page by page: a channel may have a million members."""
    page = stogram.users_to_notify(message.chat_id, message.id)
    yield from page
    while page.next_cursor:
        page = stogram.users_to_notify(message.chat_id, message.id, cursor=page.next_cursor)
        yield from page
