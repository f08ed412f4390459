"""Names the notifications that share their dedup keys, and how long a key is kept."""

from collections.abc import Mapping

from tocsin.catalog.spec import NotificationSpec


def dedup_scope(name: str, notice: NotificationSpec) -> str:
    """Name the notifications that share their dedup keys. No notification has a colon in its name."""
    scope = notice.dedup.scope if notice.dedup else "notification"
    return {"notification": name, "category": f"category:{notice.category}", "user": "user:"}[scope]


def dedup_windows(notices: Mapping[str, NotificationSpec]) -> dict[str, int]:
    """List the longest window of each dedup scope: so long any notification may ask for a key."""
    windows: dict[str, int] = {}
    for name, notice in notices.items():
        scope = dedup_scope(name, notice)
        windows[scope] = max(windows.get(scope, 0), notice.dedup.window_ms if notice.dedup else 0)
    return windows
