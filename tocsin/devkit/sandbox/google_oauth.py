"""Stands in for Google's OAuth endpoint: access tokens for assertions signed by a service account."""

import secrets
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tocsin.devkit.sandbox.wire import Reply, Request, form_of, json_reply

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFE_S = 3599


class Tokens:
    """Access tokens given for assertions signed with the service account's key."""

    def __init__(self, key: RSAPublicKey, token_uri: str, clock_ms: Callable[[], int]) -> None:
        self._key = key
        self._audiences = [GOOGLE_AUDIENCE, token_uri]
        self._clock_ms = clock_ms
        self._live: dict[str, int] = {}

    def grant(self, request: Request) -> Reply:
        """Answer `POST /token`."""
        form = form_of(request.body.decode("latin-1"))
        if request.method != "POST":
            return json_reply({"error": "invalid_request"}, 405)
        if form.get("grant_type") != [GRANT]:
            return json_reply(
                {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400
            )
        problem = self._problem(form.get("assertion", [""])[0])
        if problem:
            return json_reply({"error": "invalid_grant", "error_description": problem}, 400)
        token = f"ya29.{secrets.token_urlsafe(40)}"
        now_ms = self._clock_ms()
        self._live = {known: ends for known, ends in self._live.items() if ends > now_ms}
        self._live[token] = now_ms + TOKEN_LIFE_S * 1000
        return json_reply({"access_token": token, "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"})

    def _problem(self, assertion: str) -> str:
        """Say what is wrong with an assertion, empty if nothing."""
        options: Any = {"require": ["iss", "aud", "iat", "exp"]}
        try:
            claims = jwt.decode(assertion, self._key, ["RS256"], audience=self._audiences, options=options)
        except jwt.InvalidSignatureError:
            return "Invalid JWT Signature."
        except jwt.InvalidTokenError as error:
            return f"Invalid JWT: {error}"
        if claims["exp"] - claims["iat"] > 3600:
            return "Invalid JWT: Token must be a short-lived token (60 minutes)."
        if SCOPE not in str(claims.get("scope", "")).split():
            return "Invalid OAuth scope or ID token audience provided."
        return ""

    def knows(self, token: str) -> bool:
        """Say whether a token was given here and still lives."""
        return self._live.get(token, 0) > self._clock_ms()
