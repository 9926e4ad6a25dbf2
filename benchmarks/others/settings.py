"""What changes one column of ChatSettings, for who names columns as the table does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class SettingsByColumn(ABC):
    @abstractmethod
    def _set(self, user_id: str, chat_id: str, **changes: Any) -> Any:
        """The row after the changes; made if there is none."""

    def mute_chat(self, user_id: str, chat_id: str) -> Any:
        return self._set(user_id, chat_id, isMuted=True)

    def set_favorite(self, user_id: str, chat_id: str, is_favorite: bool) -> Any:
        return self._set(user_id, chat_id, isFavorite=is_favorite)

    def move_to_folder(self, user_id: str, chat_id: str, folder_id: str) -> Any:
        return self._set(user_id, chat_id, folderId=folder_id)
