"""A messenger's service in FastAPI, on `stogram_sdk.aio`.

Run it with `stogram migrate`, then `uvicorn --app-dir examples fastapi_service:app`. It needs
`pip install fastapi 'uvicorn[standard]' 'stogram-sdk[pydantic]'`, and reads `DATABASE_URL`. What it
can do is then at /docs; `/ws` is a websocket that tells of new messages.

Several `--workers` need one `STOGRAM_SECRET_KEY`, for the tokens.
"""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from _service import (
    hash_password,
    is_password,
    is_token_of,
    make_token,
    read_token,
    status_of,
)
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BaseModel

from stogram_sdk import (
    CallType,
    ChatType,
    InvalidInput,
    MemberRole,
    MessageType,
    NotFound,
    StogramError,
    UserStatus,
    aio,
    pool_status,
    to_dict,
)
from stogram_sdk.pydantic import (
    BlockedUser,
    Call,
    Chat,
    ChatMember,
    ChatSettings,
    ChatSummary,
    Contact,
    ContactSummary,
    Folder,
    FolderSummary,
    Member,
    Message,
    Page,
    PinnedMessage,
    PoolStatus,
    Privacy,
    Profile,
    Reaction,
    ReactionCount,
    UnreadTotals,
    User,
)

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await aio.connect()
    publishing = asyncio.create_task(publish())
    yield
    publishing.cancel()
    await asyncio.wait([publishing])
    await aio.close()


app = FastAPI(title="Stogram", lifespan=lifespan)


# --- What all endpoints need ---


@app.exception_handler(StogramError)
async def explain(request: Request, error: StogramError) -> JSONResponse:
    """The text of an error is safe to show: it holds no secret, and nothing of other users."""
    status = status_of(error)
    if status == 500:
        log.error("A call failed", exc_info=error)
    return JSONResponse({"error": str(error), "field": error.field}, status)


@app.exception_handler(RequestValidationError)
async def explain_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """What is wrong, without what was given: that may be a password, or no text at all."""
    wrong = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()]
    return JSONResponse({"detail": wrong}, 422)


async def current_user(
    given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> str:
    user_id = await user_of(given.credentials)
    if user_id is None:
        raise HTTPException(401)
    return user_id


async def user_of(text: str) -> str | None:
    """The id of the user whose token this is; None if it is not a good one any more."""
    token = read_token(text)
    with suppress(InvalidInput, NotFound):
        if token and is_token_of(token, await aio.get_user(token.user_id)):
            return token.user_id
    return None


async def paging(limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
    return {"limit": limit, "cursor": cursor}


#: The id of the user who asks.
Me = Annotated[str, Depends(current_user)]
#: Which page of a list is asked for.
Paging = Annotated[dict[str, Any], Depends(paging)]


def status_for(created: bool) -> int:
    return 201 if created else 200


@app.get("/health")
async def health() -> PoolStatus:
    """200 when the database answers within a second, else 503."""
    await aio.check_health()
    return pool_status()


# --- Accounts ---

accounts = APIRouter(tags=["accounts"])


class Login(BaseModel):
    username: str
    password: str


class NewAccount(Login):
    email: str
    display_name: str | None = None


class PrivacyChange(BaseModel):
    """What is left out stays."""

    show_online_status: bool | None = None
    show_profile_photo: bool | None = None
    show_last_seen: bool | None = None


class ProfileChange(BaseModel):
    """What is left out stays."""

    display_name: str | None = None
    bio: str | None = None
    avatar: str | None = None


class NewPassword(BaseModel):
    old: str
    new: str


class NewStatus(BaseModel):
    status: UserStatus


class NewTheme(BaseModel):
    theme: str


class PushSubscription(BaseModel):
    """What the browser gives, as JSON; null ends it."""

    subscription: str | None


class Confirmation(BaseModel):
    token: str


@accounts.post("/users", status_code=201)
async def register(new: NewAccount) -> User:
    hashed = await asyncio.to_thread(hash_password, new.password)
    return await aio.create_user(
        new.email, new.username, password_hash=hashed, display_name=new.display_name
    )


@accounts.post("/tokens", status_code=201)
async def log_in(login: Login) -> dict[str, str]:
    """By the username or the e-mail address."""
    find = aio.find_user_by_email if "@" in login.username else aio.find_user
    account = await find(login.username)
    if account is None or not await asyncio.to_thread(
        is_password, login.password, account.password
    ):
        raise HTTPException(401)
    return {"token": make_token(account)}


@accounts.get("/me")
async def get_me(me: Me) -> User:
    return await aio.get_user(me)


@accounts.patch("/me")
async def update_profile(me: Me, change: ProfileChange) -> User:
    return await aio.update_profile(me, **change.model_dump(exclude_unset=True))


@accounts.delete("/me", status_code=204)
async def delete_account(me: Me) -> None:
    await aio.delete_user(me)


@accounts.put("/me/password", status_code=204)
async def change_password(me: Me, password: NewPassword) -> None:
    """It ends all tokens: whoever has one logs in again."""
    account = await aio.get_user(me)
    if not await asyncio.to_thread(is_password, password.old, account.password):
        raise HTTPException(403)
    hashed = await asyncio.to_thread(hash_password, password.new)
    await aio.set_password_hash(me, password_hash=hashed)


@accounts.put("/me/status", status_code=204)
async def set_status(me: Me, new: NewStatus) -> None:
    await aio.set_status(me, new.status)


@accounts.put("/me/theme")
async def set_theme(me: Me, new: NewTheme) -> User:
    return await aio.set_theme(me, new.theme)


@accounts.put("/me/push-subscription", status_code=204)
async def set_push_subscription(me: Me, new: PushSubscription) -> None:
    await aio.set_push_subscription(me, subscription=new.subscription)


@accounts.post("/me/confirmation", status_code=204)
async def ask_for_confirmation(me: Me) -> None:
    """A service sends the token to the address in a mail."""
    await aio.set_verification_token(me, token=secrets.token_urlsafe())


@accounts.post("/confirmations")
async def confirm_email(confirmation: Confirmation) -> User:
    account = await aio.verify_email(confirmation.token)
    if account is None:
        raise HTTPException(404)
    return account


@accounts.get("/me/privacy")
async def get_privacy(me: Me) -> Privacy:
    return await aio.get_privacy(me)


@accounts.patch("/me/privacy")
async def change_privacy(me: Me, change: PrivacyChange) -> Privacy:
    return await aio.update_privacy(me, **change.model_dump(exclude_unset=True))


@accounts.get("/users")
async def search_users(me: Me, text: str, page: Paging) -> Page[Profile]:
    return await aio.search_users(me, text, **page)


@accounts.get("/users/{username}")
async def get_profile(me: Me, username: str) -> Profile:
    """A user as the one who asks may see them; two calls over one connection."""
    async with aio.session():
        account = await aio.find_user(username)
        if account is None:
            raise HTTPException(404)
        (profile,) = await aio.visible_profiles(me, [account.id])
        return profile


# --- Chats and their members ---

chats = APIRouter(tags=["chats"])


class NewChat(BaseModel):
    type: ChatType
    member_ids: list[str] = []
    name: str | None = None
    description: str | None = None
    is_secret: bool = False


class ChatChange(BaseModel):
    """What is left out stays."""

    name: str | None = None
    description: str | None = None
    avatar: str | None = None


class NewMember(BaseModel):
    role: MemberRole = MemberRole.MEMBER


class NewOwner(BaseModel):
    user_id: str


@chats.get("/chats")
async def list_chats(me: Me, page: Paging, unread_only: bool = False) -> Page[ChatSummary]:
    return await aio.list_chats(me, unread_only=unread_only, **page)


@chats.post("/chats", status_code=201)
async def create_chat(me: Me, new: NewChat) -> Chat:
    return await aio.create_chat(me, **new.model_dump())


@chats.put("/private-chats/{user_id}")
async def open_private_chat(me: Me, user_id: str, response: Response) -> Chat:
    chat, created = await aio.open_private_chat(me, user_id)
    response.status_code = status_for(created)
    return chat


@chats.get("/chats/{chat_id}")
async def get_chat(me: Me, chat_id: str) -> ChatSummary:
    return await aio.get_chat(me, chat_id)


@chats.patch("/chats/{chat_id}")
async def update_chat(me: Me, chat_id: str, change: ChatChange) -> Chat:
    return await aio.update_chat(me, chat_id, **change.model_dump(exclude_unset=True))


@chats.delete("/chats/{chat_id}", status_code=204)
async def delete_chat(me: Me, chat_id: str) -> None:
    await aio.delete_chat(me, chat_id)


@chats.put("/chats/{chat_id}/owner")
async def transfer_ownership(me: Me, chat_id: str, new: NewOwner) -> ChatMember:
    return await aio.transfer_ownership(me, chat_id, new.user_id)


@chats.get("/chats/{chat_id}/members")
async def list_members(me: Me, chat_id: str, page: Paging) -> Page[Member]:
    return await aio.list_members(me, chat_id, **page)


@chats.put("/chats/{chat_id}/members/{user_id}")
async def add_member(me: Me, chat_id: str, user_id: str, new: NewMember) -> ChatMember:
    return await aio.add_member(me, chat_id, user_id, role=new.role)


@chats.patch("/chats/{chat_id}/members/{user_id}")
async def set_role(me: Me, chat_id: str, user_id: str, new: NewMember) -> ChatMember:
    return await aio.set_role(me, chat_id, user_id, new.role)


@chats.delete("/chats/{chat_id}/members/me", status_code=204)
async def leave_chat(me: Me, chat_id: str) -> None:
    await aio.leave_chat(me, chat_id)


@chats.delete("/chats/{chat_id}/members/{user_id}", status_code=204)
async def remove_member(me: Me, chat_id: str, user_id: str) -> None:
    await aio.remove_member(me, chat_id, user_id)


# --- Settings of chats, and what is unread ---

settings = APIRouter(tags=["settings"])


class Read(BaseModel):
    message_id: str | None = None


@settings.get("/chats/{chat_id}/settings")
async def get_chat_settings(me: Me, chat_id: str) -> ChatSettings:
    return await aio.get_chat_settings(me, chat_id)


@settings.put("/chats/{chat_id}/mute")
async def mute_chat(me: Me, chat_id: str) -> ChatSettings:
    return await aio.mute_chat(me, chat_id)


@settings.delete("/chats/{chat_id}/mute")
async def unmute_chat(me: Me, chat_id: str) -> ChatSettings:
    return await aio.unmute_chat(me, chat_id)


@settings.delete("/mutes")
async def unmute_all_chats(me: Me) -> int:
    """How many were muted."""
    return await aio.unmute_all_chats(me)


@settings.put("/chats/{chat_id}/favorite")
async def set_favorite(me: Me, chat_id: str) -> ChatSettings:
    return await aio.set_favorite(me, chat_id)


@settings.delete("/chats/{chat_id}/favorite")
async def unset_favorite(me: Me, chat_id: str) -> ChatSettings:
    return await aio.set_favorite(me, chat_id, is_favorite=False)


@settings.post("/chats/{chat_id}/favorite")
async def toggle_favorite(me: Me, chat_id: str) -> ChatSettings:
    return await aio.toggle_favorite(me, chat_id)


@settings.post("/chats/{chat_id}/recount")
async def recount_unread(me: Me, chat_id: str) -> int:
    """For the server's own clients, which read a stored number: whether it was wrong, 1 or 0."""
    return await aio.recount_unread(me, chat_id)


@settings.post("/chats/{chat_id}/read")
async def mark_read(me: Me, chat_id: str, read: Read) -> ChatSettings:
    return await aio.mark_read(me, chat_id, read.message_id)


@settings.get("/unread")
async def unread_totals(me: Me) -> UnreadTotals:
    return await aio.unread_totals(me)


# --- Folders ---

folders = APIRouter(tags=["folders"])


class NewFolder(BaseModel):
    name: str
    color: str | None = "#0088cc"
    icon: str | None = "Folder"


class FolderChange(BaseModel):
    """What is left out stays."""

    name: str | None = None
    color: str | None = None
    icon: str | None = None


@folders.get("/folders")
async def list_folders(me: Me) -> list[FolderSummary]:
    return await aio.list_folders(me)


@folders.post("/folders", status_code=201)
async def create_folder(me: Me, new: NewFolder) -> Folder:
    return await aio.create_folder(me, **new.model_dump())


@folders.put("/folders")
async def reorder_folders(me: Me, folder_ids: list[str]) -> list[Folder]:
    return await aio.reorder_folders(me, folder_ids)


@folders.patch("/folders/{folder_id}")
async def update_folder(me: Me, folder_id: str, change: FolderChange) -> Folder:
    return await aio.update_folder(me, folder_id, **change.model_dump(exclude_unset=True))


@folders.delete("/folders/{folder_id}", status_code=204)
async def delete_folder(me: Me, folder_id: str) -> None:
    await aio.delete_folder(me, folder_id)


@folders.put("/folders/{folder_id}/chats/{chat_id}")
async def move_to_folder(me: Me, folder_id: str, chat_id: str) -> ChatSettings:
    return await aio.move_to_folder(me, chat_id, folder_id)


@folders.delete("/chats/{chat_id}/folder", status_code=204)
async def remove_from_folder(me: Me, chat_id: str) -> None:
    await aio.remove_from_folder(me, chat_id)


# --- Messages ---

messages = APIRouter(tags=["messages"])


class NewMessage(BaseModel):
    """A client that gives a `message_id` may send the same request again: it is one message."""

    content: str | None = None
    type: MessageType = MessageType.TEXT
    reply_to_id: str | None = None
    is_silent: bool = False
    scheduled_for: AwareDatetime | None = None
    file_url: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    thumbnail_url: str | None = None
    duration: int | None = None
    waveform: str | None = None
    message_id: str | None = None


class NewContent(BaseModel):
    content: str


class NewTime(BaseModel):
    scheduled_for: AwareDatetime


class Forwarded(BaseModel):
    from_chat_id: str
    message_ids: list[str]


@messages.get("/chats/{chat_id}/messages")
async def list_messages(
    me: Me, chat_id: str, page: Paging, around: str | None = None
) -> Page[Message]:
    return await aio.list_messages(me, chat_id, around=around, **page)


@messages.post("/chats/{chat_id}/messages", status_code=201)
async def send_message(me: Me, chat_id: str, new: NewMessage, later: BackgroundTasks) -> Message:
    message = await aio.send_message(me, chat_id, **new.model_dump())
    later.add_task(try_to_tell, message)
    return message


@messages.post("/chats/{chat_id}/answers", status_code=201)
async def read_and_answer(me: Me, chat_id: str, new: NewMessage, later: BackgroundTasks) -> Message:
    """Both or neither; it runs again when it meets another transaction."""

    @aio.retrying
    async def unit() -> Message:
        await aio.mark_read(me, chat_id)
        return await aio.send_message(me, chat_id, **new.model_dump())

    message = await unit()
    later.add_task(try_to_tell, message)
    return message


@messages.post("/chats/{chat_id}/forwarded", status_code=201)
async def forward_messages(
    me: Me, chat_id: str, forwarded: Forwarded, later: BackgroundTasks
) -> list[Message]:
    sent = await aio.forward_messages(
        me, forwarded.from_chat_id, forwarded.message_ids, to_chat_id=chat_id
    )
    for message in sent:
        later.add_task(try_to_tell, message)
    return sent


@messages.get("/chats/{chat_id}/media")
async def list_media(
    me: Me, chat_id: str, page: Paging, type: MessageType | None = None
) -> Page[Message]:
    return await aio.list_media(me, chat_id, type=type, **page)


@messages.get("/chats/{chat_id}/messages/{message_id}")
async def get_message(me: Me, chat_id: str, message_id: str) -> Message:
    return await aio.get_message(me, chat_id, message_id)


@messages.get("/chats/{chat_id}/messages/{message_id}/replies")
async def list_replies(me: Me, chat_id: str, message_id: str, page: Paging) -> Page[Message]:
    return await aio.list_replies(me, chat_id, message_id, **page)


@messages.get("/scheduled")
async def list_scheduled(me: Me, page: Paging, chat_id: str | None = None) -> Page[Message]:
    return await aio.list_scheduled(me, chat_id, **page)


@messages.put("/chats/{chat_id}/messages/{message_id}/time")
async def reschedule_message(me: Me, chat_id: str, message_id: str, new: NewTime) -> Message:
    return await aio.reschedule_message(me, chat_id, message_id, new.scheduled_for)


@messages.patch("/chats/{chat_id}/messages/{message_id}")
async def edit_message(me: Me, chat_id: str, message_id: str, new: NewContent) -> Message:
    return await aio.edit_message(me, chat_id, message_id, new.content)


@messages.delete("/chats/{chat_id}/messages/{message_id}", status_code=204)
async def delete_message(me: Me, chat_id: str, message_id: str) -> None:
    await aio.delete_message(me, chat_id, message_id)


@messages.put("/chats/{chat_id}/pins/{message_id}")
async def pin_message(me: Me, chat_id: str, message_id: str, response: Response) -> PinnedMessage:
    pin, created = await aio.pin_message(me, chat_id, message_id)
    response.status_code = status_for(created)
    return pin


@messages.delete("/chats/{chat_id}/pins/{message_id}", status_code=204)
async def unpin_message(me: Me, chat_id: str, message_id: str) -> None:
    await aio.unpin_message(me, chat_id, message_id)


@messages.delete("/chats/{chat_id}/pins")
async def unpin_all_messages(me: Me, chat_id: str) -> int:
    """How many there were."""
    return await aio.unpin_all_messages(me, chat_id)


@messages.get("/pins")
async def list_pinned_messages(
    me: Me, page: Paging, chat_id: str | None = None
) -> Page[PinnedMessage]:
    return await aio.list_pinned_messages(me, chat_id=chat_id, **page)


@messages.get("/chats/{chat_id}/reactions")
async def list_reactions(
    me: Me, chat_id: str, message_id: Annotated[list[str], Query()]
) -> dict[str, list[ReactionCount]]:
    """Of several messages, by their ids."""
    return await aio.list_reactions(me, chat_id, message_id)


@messages.get("/chats/{chat_id}/messages/{message_id}/reactions")
async def list_message_reactions(
    me: Me, chat_id: str, message_id: str, page: Paging, emoji: str | None = None
) -> Page[Reaction]:
    return await aio.list_message_reactions(me, chat_id, message_id, emoji=emoji, **page)


@messages.put("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}")
async def add_reaction(
    me: Me, chat_id: str, message_id: str, emoji: str, response: Response
) -> Reaction:
    reaction, created = await aio.add_reaction(me, chat_id, message_id, emoji)
    response.status_code = status_for(created)
    return reaction


@messages.delete("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", status_code=204)
async def remove_reaction(me: Me, chat_id: str, message_id: str, emoji: str) -> None:
    await aio.remove_reaction(me, chat_id, message_id, emoji)


@messages.get("/mentions")
async def find_by_mention(me: Me, page: Paging) -> Page[Message]:
    """The messages that mention the one who asks."""
    return await aio.find_by_mention(me, **page)


@messages.get("/search")
async def search_messages(me: Me, text: str, page: Paging) -> Page[Message]:
    return await aio.search_messages(me, text, **page)


@messages.get("/hashtags/{hashtag}")
async def find_by_hashtag(me: Me, hashtag: str, page: Paging) -> Page[Message]:
    return await aio.find_by_hashtag(me, hashtag, **page)


# --- Calls ---

calls = APIRouter(tags=["calls"])


class NewCall(BaseModel):
    type: CallType


@calls.get("/calls")
async def list_calls(me: Me, page: Paging, chat_id: str | None = None) -> Page[Call]:
    return await aio.list_calls(me, chat_id=chat_id, **page)


@calls.post("/chats/{chat_id}/calls")
async def start_call(me: Me, chat_id: str, new: NewCall, response: Response) -> Call:
    call, started = await aio.start_call(me, chat_id, new.type)
    response.status_code = status_for(started)
    return call


@calls.post("/calls/{call_id}/answer")
async def answer_call(me: Me, call_id: str) -> Call:
    call, _ = await aio.answer_call(me, call_id)
    return call


@calls.post("/calls/{call_id}/decline")
async def decline_call(me: Me, call_id: str) -> Call:
    call, _ = await aio.decline_call(me, call_id)
    return call


@calls.post("/calls/{call_id}/end")
async def end_call(me: Me, call_id: str) -> Call:
    call, _ = await aio.end_call(me, call_id)
    return call


# --- Contacts ---

contacts = APIRouter(tags=["contacts"])


class Nickname(BaseModel):
    nickname: str | None = None


@contacts.get("/contacts")
async def list_contacts(me: Me, page: Paging) -> Page[ContactSummary]:
    return await aio.list_contacts(me, **page)


@contacts.put("/contacts/{user_id}")
async def add_contact(me: Me, user_id: str, new: Nickname, response: Response) -> Contact:
    contact, created = await aio.add_contact(me, user_id, nickname=new.nickname)
    response.status_code = status_for(created)
    return contact


@contacts.patch("/contacts/{user_id}")
async def update_contact(me: Me, user_id: str, new: Nickname) -> Contact:
    return await aio.update_contact(me, user_id, nickname=new.nickname)


@contacts.delete("/contacts/{user_id}", status_code=204)
async def remove_contact(me: Me, user_id: str) -> None:
    await aio.remove_contact(me, user_id)


# --- Blocking ---

blocking = APIRouter(tags=["blocking"])


@blocking.get("/blocked/{user_id}")
async def is_blocked(me: Me, user_id: str) -> dict[str, bool]:
    """Whether the one who asks has blocked the other, and whether either has blocked either."""
    async with aio.session():
        return {
            "is_blocked": await aio.is_blocked(me, user_id),
            "is_blocked_either": await aio.is_blocked_either(me, user_id),
        }


@blocking.get("/blocked")
async def list_blocked_users(me: Me, page: Paging) -> Page[Profile]:
    return await aio.list_blocked_users(me, **page)


@blocking.put("/blocked/{user_id}")
async def block_user(me: Me, user_id: str, response: Response) -> BlockedUser:
    block, created = await aio.block_user(me, user_id)
    response.status_code = status_for(created)
    return block


@blocking.delete("/blocked/{user_id}", status_code=204)
async def unblock_user(me: Me, user_id: str) -> None:
    await aio.unblock_user(me, user_id)


for router in (accounts, chats, settings, folders, messages, calls, contacts, blocking):
    app.include_router(router)


# --- New messages, as they come ---

#: What waits to be sent to each open websocket of a user. A service of several processes has a
#: broker here, so that a message reaches the websockets of all of them.
waiting: defaultdict[str, set[asyncio.Queue[Any]]] = defaultdict(set)


@app.websocket("/ws")
async def tell_of_new_messages(socket: WebSocket) -> None:
    """The client's first text is its token: in the address, it would be in the logs of servers."""
    await socket.accept()
    first = await socket.receive()
    user_id = await user_of(first.get("text") or "")
    if user_id is None:
        with suppress(WebSocketDisconnect):  # it may have gone without a word
            await socket.close(1008)
        return
    queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=100)
    queue.put_nowait({"user_id": user_id})

    async def send() -> None:
        while True:
            await socket.send_json(await queue.get())

    sending = asyncio.create_task(send())
    waiting[user_id].add(queue)
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        sending.cancel()
        waiting[user_id].remove(queue)
        if not waiting[user_id]:
            del waiting[user_id]


async def tell(message: Message) -> None:
    """Send the message to those whom it should reach, page by page."""
    data = to_dict(message)
    cursor = None
    while True:
        page = await aio.users_to_notify(message.chat_id, message.id, cursor=cursor)
        for queue in [queue for user_id in page for queue in waiting.get(user_id, ())]:
            with suppress(asyncio.QueueFull):  # a client that does not read loads the list later
                queue.put_nowait(data)
        cursor = page.next_cursor
        if cursor is None:
            break


async def try_to_tell(message: Message) -> None:
    """The same after the answer, when no error can be a part of that any more."""
    try:
        await tell(message)
    except StogramError as error:
        log.warning("Nobody was told of message %s: %s", message.id, error)


async def publish() -> None:
    """Send scheduled messages when it is time; any number of processes may do it at once."""
    while True:
        try:
            published = await aio.publish_scheduled()
            for message in published:
                await tell(message)
            await aio.acknowledge_published([message.id for message in published])
        except StogramError as error:
            log.warning("Scheduled messages wait: %s", error)
        await asyncio.sleep(1)
