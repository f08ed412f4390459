"""The page of a link that does not lead on by itself: it says where it goes, and leaves the choice."""

from urllib.parse import quote, urlsplit

from jinja2 import Environment

from tocsin.gateway.endpoints import Answer
from tocsin.model.domains import ascii_url

STYLE = b"""
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1.25rem; }
a { overflow-wrap: anywhere; }
"""
_SAFE = ":/%#?=@[]!$&'()*+,;~"
_PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ title }}</title>
<link rel="stylesheet" href="{{ base }}/c/page.css">
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% if url %}
<p>It comes from a message of long ago. It leads to <strong>{{ host }}</strong>:</p>
<p><a href="{{ url }}" rel="noreferrer nofollow">{{ url }}</a></p>
{% else %}
<p>It may have been cut off where the message was copied. Open it again from the message itself.</p>
{% endif %}
</main>
</body>
</html>
""")


def location(url: str) -> str:
    """Spell an address for the header `Location`: ASCII, and without anything that ends a header."""
    return quote(ascii_url(url), safe=_SAFE)


def expired(url: str, base: str) -> Answer:
    """Show where an old link leads."""
    host = urlsplit(location(url)).hostname or ""
    return _page(410, _PAGE.render(title="This link has expired", url=location(url), host=host, base=base))


def unknown(base: str) -> Answer:
    """Say that a link is none of ours."""
    return _page(404, _PAGE.render(title="This link does not work", url="", base=base))


def _page(status: int, text: str) -> Answer:
    return Answer(status, text.encode(), media_type="text/html; charset=utf-8")
