"""Tells software from people among those who load images of mails and follow links, by what it says. Pure."""

import re

APPLE, GMAIL, YAHOO, SCANNER = "apple_proxy", "gmail_proxy", "yahoo_proxy", "scanner"

_PROXIES = (("googleimageproxy", GMAIL), ("ggpht.com", GMAIL), ("yahoomailproxy", YAHOO))
_APPLE = frozenset({"mozilla/5.0", "mozilla/5.0 (macintosh)"})
"""What Mail Privacy Protection says of itself: no browser says so little."""
_SCANNER = re.compile(
    r"bot\b|bot/|crawl|spider|preview|scan|prefetch|facebookexternalhit|whatsapp/|skypeuripreview"
    r"|headlesschrome|phantomjs|barracuda|proofpoint|mimecast|messagelabs|symantec|fireeye|trellix|forcepoint"
    r"|ironport|zscaler|cloudmark|sophos|fortinet|existence discovery|ms-office|safelinks"
    r"|curl/|wget/|python|aiohttp|httpx|okhttp|go-http-client|java/|libwww|apache-httpclient|axios"
    r"|node-fetch|undici|guzzle|winhttp|postman|ruby"
)


def robot_of(user_agent: str) -> str:
    """Name the software behind a `User-Agent`; empty for what looks like a person's browser or mail program.

    A proxy of a mail service loads images for its users, often before or without their seeing the mail.

    >>> robot_of("Mozilla/5.0"), robot_of("curl/8.5"), robot_of("Mozilla/5.0 (X11; rv:128.0) Firefox/128.0")
    ('apple_proxy', 'scanner', '')
    """
    said = user_agent.strip().lower()
    if said in _APPLE:
        return APPLE
    for sign, name in _PROXIES:
        if sign in said:
            return name
    return SCANNER if not said or _SCANNER.search(said) else ""
