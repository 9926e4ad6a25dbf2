"""Blocking: a user does not want to hear from another.

Run it with `python examples/blocking.py`.
"""

from _people import new_user

from stogram_sdk import (
    Blocked,
    ChatType,
    block_user,
    blocked_among,
    connect,
    create_chat,
    is_blocked,
    is_blocked_either,
    list_blocked_users,
    list_messages,
    migrate,
    open_private_chat,
    send_message,
    unblock_user,
    unread_totals,
)

connect()
migrate()

anna, ivan, maria = new_user("Anna"), new_user("Ivan"), new_user("Maria")
private, _ = open_private_chat(anna.id, ivan.id)
group = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id, maria.id], name="Choir")
send_message(maria.id, group.id, "Rehearsal at seven!")

block, is_new = block_user(anna.id, ivan.id)
same_block, is_new_again = block_user(anna.id, ivan.id)
print(f"Anna blocks Ivan: new {is_new}; once more: new {is_new_again}")
print("One and the same block:", block.id == same_block.id)
print("Anna has blocked Ivan:", is_blocked(anna.id, ivan.id))
print("Ivan has blocked Anna:", is_blocked(ivan.id, anna.id))
print("One of the two has:", is_blocked_either(ivan.id, anna.id))

# In the private chat neither can write.
for sender, name in ((ivan, "Ivan"), (anna, "Anna")):
    try:
        send_message(sender.id, private.id, "Hello?")
    except Blocked as error:
        print(f"{name} writes to the other: {error}")

# In a group the messages stay visible, but are not unread for a member who has blocked the sender.
send_message(ivan.id, group.id, "I shall be late.")
print("In the group Anna sees:", [row.content for row in list_messages(anna.id, group.id)])
print(f"Unread: Anna {unread_totals(anna.id).all}, Maria {unread_totals(maria.id).all}")

# For a list of people, one statement.
print("Blocked among the two:", blocked_among(anna.id, [ivan.id, maria.id]) == {ivan.id})
print("Anna's list:", [profile.display_name for profile in list_blocked_users(anna.id)])

unblock_user(anna.id, ivan.id)
print("Unblocked. Unread for Anna now:", unread_totals(anna.id).all)
