"""HTTP Basic authentication."""

from base64 import b64encode


def basic_login(user: str, password: str) -> dict[str, str]:
    """Build the header that names user and password (RFC 7617)."""
    return {"authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
