"""A service of ten operations, made like the example of the README; see `tests.support.service`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse

import stogram_sdk as sdk


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    sdk.connect()
    yield
    sdk.close()


api = FastAPI(lifespan=lifespan)


@api.exception_handler(sdk.StogramError)
def explain_error(request: Request, error: sdk.StogramError) -> JSONResponse:
    codes = {sdk.Unavailable: 503, sdk.DatabaseError: 500, sdk.NotFound: 404}
    return JSONResponse({"error": str(error)}, codes.get(type(error), 400))


def user_id(x_user_id: Annotated[str, Header()]) -> str:
    return x_user_id


Me = Annotated[str, Depends(user_id)]


@api.get("/chats")
@sdk.session()
def get_chats(me: Me) -> dict[str, Any]:
    lines = [{"id": line.chat.id, "unread": line.unread_count} for line in sdk.list_chats(me)]
    return {"chats": lines, "unread": sdk.unread_totals(me).all}


@api.get("/chats/{chat_id}/messages")
def get_messages(me: Me, chat_id: str) -> list[str]:
    return [message.id for message in sdk.list_messages(me, chat_id)]


@api.post("/chats/{chat_id}/messages")
def post_message(me: Me, chat_id: str, text: str) -> str:
    return sdk.send_message(me, chat_id, text).id


@api.put("/chats/{chat_id}/messages/{message_id}")
def put_message(me: Me, chat_id: str, message_id: str, text: str) -> str:
    return sdk.send_message(me, chat_id, text, message_id=message_id).id


@api.post("/chats/{chat_id}/read")
def read_chat(me: Me, chat_id: str) -> int:
    return sdk.mark_read(me, chat_id).unread_count


@api.post("/chats/{chat_id}/mute")
def mute_chat(me: Me, chat_id: str) -> bool:
    return sdk.mute_chat(me, chat_id).is_muted


@api.post("/chats/{chat_id}/answer")
def answer(me: Me, chat_id: str, text: str) -> int:
    @sdk.retrying
    def unit() -> int:
        sdk.mark_read(me, chat_id)
        sdk.send_message(me, chat_id, text)
        return sdk.mark_read(me, chat_id).unread_count

    return unit()


@api.get("/search")
def search(me: Me, text: str) -> list[str]:
    return [message.id for message in sdk.search_messages(me, text)]


@api.get("/members/{chat_id}")
def get_members(me: Me, chat_id: str) -> list[str]:
    return [member.profile.id for member in sdk.list_members(me, chat_id)]


@api.get("/me")
def get_me(me: Me) -> str:
    return sdk.get_user(me).username
