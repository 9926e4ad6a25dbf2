"""What every service would write for itself."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

PAGE = 50


def now() -> datetime:
    """As the columns hold it: UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def random_id() -> str:
    return str(uuid.uuid4())


def hashtags_in(content: str) -> list[str]:
    return re.findall(r"#(\w+)", content.lower())


def mentions_in(content: str) -> list[str]:
    return re.findall(r"@(\w+)", content.lower())
