"""Privacy: what others see of a user.

Run it with `python examples/privacy.py`.
"""

from _people import new_user

from stogram_sdk import (
    User,
    UserStatus,
    block_user,
    connect,
    get_privacy,
    migrate,
    set_status,
    update_privacy,
    update_profile,
    visible_profiles,
)

connect()
migrate()

anna, ivan, maria = new_user("Anna"), new_user("Ivan"), new_user("Maria")

update_profile(ivan.id, avatar="/uploads/ivan.jpg")
set_status(ivan.id, UserStatus.ONLINE)

print("At first all is shown:", get_privacy(ivan.id))
print("After a change:", update_privacy(ivan.id, show_last_seen=False, show_online_status=False))


def show(viewer: User) -> None:
    (profile,) = visible_profiles(viewer.id, [ivan.id])
    seen = [profile.avatar, profile.status, profile.last_seen and "a time"]
    print(f"  {viewer.display_name}: photo {seen[0]}, status {seen[1]}, last seen {seen[2]}")


# One statement for any number of people; what is hidden is None.
print("What each sees of Ivan:")
show(anna)
show(ivan)
block_user(ivan.id, maria.id)
show(maria)

profiles = visible_profiles(anna.id, [maria.id, "no-such-id", ivan.id])
print("In the order asked for, unknown ids left out:", [row.display_name for row in profiles])
