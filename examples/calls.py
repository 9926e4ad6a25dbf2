"""Calls: the states of a call; sound and picture go another way.

Run it with `python examples/calls.py`.
"""

from _people import new_user

from stogram_sdk import (
    CallType,
    answer_call,
    connect,
    decline_call,
    end_call,
    list_calls,
    migrate,
    open_private_chat,
    start_call,
)

connect()
migrate()

anna, ivan = new_user("Anna"), new_user("Ivan")
chat, is_new = open_private_chat(anna.id, ivan.id)

call, is_new = start_call(anna.id, chat.id, CallType.VIDEO)
print(f"{call.initiator.display_name} calls: {call.status}")

# Ivan has two devices, and both buttons are pressed.
call, on_phone = answer_call(ivan.id, call.id)
call, on_tablet = answer_call(ivan.id, call.id)
call, declined = decline_call(ivan.id, call.id)
print(f"Phone has it: {on_phone}; tablet has it: {on_tablet}; declined: {declined}")

# Both hang up, and it has ended once.
for user in (anna, ivan):
    call, has_ended = end_call(user.id, call.id)
    print(f"{call.status}: by this side {has_ended}")

missed, is_new = start_call(ivan.id, chat.id, CallType.AUDIO)
end_call(ivan.id, missed.id)
for call in list_calls(anna.id):
    print(f"  {call.initiator.display_name}, {call.type}: {call.status}")
