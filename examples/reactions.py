"""Reactions: an emoji under a message says more than "I have read it".

Run it with `python examples/reactions.py`.
"""

from _people import new_user

from stogram_sdk import (
    ChatType,
    add_reaction,
    connect,
    create_chat,
    list_message_reactions,
    list_messages,
    list_reactions,
    migrate,
    remove_reaction,
    send_message,
)

connect()
migrate()

anna, ivan, maria = new_user("Anna"), new_user("Ivan"), new_user("Maria")
group = create_chat(anna.id, ChatType.GROUP, member_ids=[ivan.id, maria.id], name="Choir")
news = send_message(anna.id, group.id, "We sing in Vienna!")

reaction, is_new = add_reaction(ivan.id, group.id, news.id, "🎉")
_, is_new_again = add_reaction(ivan.id, group.id, news.id, "🎉")
print(f"{reaction.user.display_name}: {reaction.emoji} new {is_new}; once more: new {is_new_again}")
add_reaction(maria.id, group.id, news.id, "🎉")
add_reaction(maria.id, group.id, news.id, "👍")

# Messages come with the sums, as the one who asks may show them.
for message in list_messages(maria.id, group.id):
    print(f"{message.sender.display_name}: {message.content}")
    for emoji, total, is_mine in message.reactions:
        print(f"  {emoji} {total}{' with mine' if is_mine else ''}")

# For messages that are on the screen already, and for one of them: who it was.
print("Anna sees:", list_reactions(anna.id, group.id, [news.id])[news.id])
those = list_message_reactions(anna.id, group.id, news.id, emoji="🎉")
print("🎉 by", [row.user.display_name for row in those])

remove_reaction(maria.id, group.id, news.id, "👍")
print("Left:", [count.emoji for count in list_reactions(anna.id, group.id, [news.id])[news.id]])
