"""Asyncio: the same functions, awaited.

Run it with `python examples/asyncio_calls.py`.
"""

import asyncio

from _people import new_user

from stogram_sdk import ChatType, Message, NotFound, aio


@aio.retrying
async def open_shop(owner_id: str, member_ids: list[str]) -> str:
    """A chat and its first message: both or neither, and once more after a conflict."""
    chat = await aio.create_chat(owner_id, ChatType.GROUP, member_ids=member_ids, name="Shop")
    await aio.send_message(owner_id, chat.id, "We are open.")
    return chat.id


async def main() -> None:
    await aio.connect()
    await aio.migrate()
    # A plain function, with queries of its own or without, runs in a thread of the package.
    anna, ivan = [await aio.run(new_user, name) for name in ("Anna", "Ivan")]
    chat_id = await open_shop(anna.id, [ivan.id])

    # Each of these tasks takes a connection for as long as its call lasts.
    orders = (aio.send_message(ivan.id, chat_id, f"Order {number}") for number in range(20))
    print("Sent at once:", len(await asyncio.gather(*orders)))

    # One connection for what belongs together.
    async with aio.session():
        totals = await aio.unread_totals(anna.id)
        page = await aio.list_messages(anna.id, chat_id, limit=5)
    print(f"Unread for Anna: {totals.all}; the latest {len(page)} are loaded")

    # All or nothing.
    try:
        async with aio.transaction():
            await aio.send_message(anna.id, chat_id, "We are closed.")
            await aio.mark_read(anna.id, "no such chat")
    except NotFound as error:
        print("Nothing of it was sent:", error.entity)

    # What takes too long would be ended at the server: all of the call, or nothing.
    async with asyncio.timeout(5):
        await aio.send_message(anna.id, chat_id, "We close at six.")
    print("Messages in the end:", await aio.run(count, chat_id))
    await aio.close()


def count(chat_id: str) -> int:
    return Message.select().where(Message.chat == chat_id).count()


asyncio.run(main())
