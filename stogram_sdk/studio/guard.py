"""Who may come in, and from where.

The address that the command prints holds a token. Whoever opens it gets a cookie, and the token
leaves the address at once. Without either nothing is shown.

=========================== ====================================================================
a page of another site ...  and what it meets
=========================== ====================================================================
posts a form here           the cookie is not sent along, the `Origin` is not ours, and the form
                            has no token of its own
has its name lead here      the `Host` must be an address, `localhost` or the host that was
                            asked for: none that somebody else's DNS answers for
shows this one in a frame   no page may be shown in one
reads it by a script        the cookie is not sent along, and no header allows it
has a link here lead on     no page leads back to an address of another site
=========================== ====================================================================
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from base64 import b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, redirect, request, session

# What Flask-Admin has written into its pages: a filter is chosen, and a row is deleted.
_HANDLERS = "'unsafe-hashes' " + " ".join(
    f"'sha256-{b64encode(sha256(handler).digest()).decode()}'"
    for handler in (
        b"return false;",
        b"return faHelpers.safeConfirm('Are you sure you want to delete this record?');",
    )
)
#: Scripts, styles and forms are those of this application alone. What users have uploaded is not
#: fetched: whoever looks at a row gives nobody their address.
POLICY = "; ".join(
    (
        *(
            "default-src 'none'",
            f"script-src 'self' {_HANDLERS}",
            "style-src 'self' 'unsafe-inline'",
        ),
        *("img-src 'self' data:", "font-src 'self'", "connect-src 'self'", "form-action 'self'"),
        *("frame-ancestors 'none'", "base-uri 'none'"),
    )
)
#: Where a page leads back to: a path, which a browser cannot take for the name of a host.
_BACK = re.compile(r"/(?![/\\])[^\x00-\x1f]*")
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer" browsers would not tell the origin of our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def put_guard(app: Flask, *, token: str, host: str, write: bool) -> None:
    """Let in only those who know the token."""
    app.secret_key = secrets.token_bytes(32)
    app.config.update(
        # Cookies do not tell one port from another.
        SESSION_COOKIE_NAME=f"stogram_studio_{secrets.token_hex(4)}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        MAX_CONTENT_LENGTH=1_000_000,
        MAX_FORM_MEMORY_SIZE=1_000_000,
    )

    @app.before_request
    def let_in() -> Any:
        if not _is_ours(request.host, host):
            abort(400, "This address is not one that the studio answers to.")
        if request.method not in ("GET", "HEAD") and not (write and _is_from_here()):
            abort(403, "Nothing can be changed here: start it with --write, and use its own forms.")
        if not _BACK.fullmatch(request.values.get("url", "/")):
            abort(400, "`url` must be the path of a page of the studio.")
        given = request.args.get("token")
        if session.get("is_in"):
            return None if given is None else redirect(_without_token())
        is_right = hmac.compare_digest((given or "").encode(), token.encode())
        if request.method != "GET" or not is_right:
            abort(403, "Open the address that `stogram studio` has printed: it holds a token.")
        session["is_in"] = True
        return redirect(_without_token())

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response


def _without_token() -> str:
    """The address of this request, as it may stay in the history of a browser."""
    others = request.args.copy()
    others.pop("token")
    query = urlencode(list(others.items(multi=True)))
    return f"{request.path}?{query}" if query else request.path


def _is_ours(given: str, host: str) -> bool:
    name = urlsplit(f"//{given}").hostname or ""
    if name in ("localhost", host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_from_here() -> bool:
    """Whether a page of this application has sent the form."""
    return request.headers.get("Origin") == request.host_url.rstrip("/")
