"""The one door to servers: whatever a network library raises becomes a sentence with its cause.

A request goes in, an open response comes out, or an AmuletError. Requests go through the session of
huggingface_hub, with the user's proxies and certificates. What is asked for is not known here.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from amulet_local.errors import AmuletError, NotUsableError, UsageError, cause
from amulet_local.system import paths
from models.cards import printable
from models.hub import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    constants,
    get_session,
    get_token,
    hf_raise_for_status,
)

if TYPE_CHECKING:
    from huggingface_hub.errors import Response

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TRY_AGAIN = "then try again: what has already been fetched is kept."
_LONGEST_PAUSE = 60  # seconds; a server that wants a longer one is told of instead

_PASSING = (408, 429, 500, 502, 503, 504)
_HINTS = {
    401: "it requires you to log in: set HF_TOKEN to a token that it accepts",
    403: "you do not have access: see whether its page has terms to accept, or set HF_TOKEN",
    404: "check the name",
    407: (
        "the proxy requires a name and a password: set them in its variable, as "
        "http://name:password@host:port"
    ),
    408: "the server timed out: try again",
    410: "it is no longer there: look for another source",
    429: "too many requests in a short time: wait a while, then try again",
    451: "it is unavailable for legal reasons: look for another source",
}


class BrokenOffError(NotUsableError):
    """Something that may pass: another try can do. pause: seconds that the server asks to wait."""

    pause = 1


@contextmanager
def reaching(name: str) -> Iterator[None]:
    """Around whatever talks to a server. name: of what is fetched, for the sentence.

    Raises AmuletError, and nothing else. BrokenOffError where another try may do.
    """
    try:
        yield
    except AmuletError:
        raise
    except Exception as error:  # a library's and a server's: what they raise has no bounds
        raise _explained(printable(name), error) from None


def require_session() -> None:
    """Have the session made, which reads the user's variables.

    Raises UsageError where a proxy or certificate that they name cannot be used.
    """
    try:
        _require_an_end(os.environ.get("SSL_CERT_FILE", ""))
        get_session()
    except ImportError:
        which = next((v for v in _set(_PROXIES) if "socks" in os.environ[v]), "a setting")
        raise UsageError(
            f"{which} names a SOCKS proxy, which needs the package socksio; install it "
            "with: pip install socksio"
        ) from None
    except OSError as error:
        reason = printable(cause(error))
        which = next((v for v in _CERTIFICATES if os.environ.get(v)), "")
        what = f"{which} names, {printable(os.environ[which])}," if which else "the system has"
        raise UsageError(
            f"the certificates that {what} cannot be used ({reason}); fix or unset that."
        ) from None
    except Exception as error:
        raise UsageError(
            f"the proxy in {_named(_PROXIES)} cannot be used ({printable(str(error))}); fix or "
            "unset it."
        ) from None


def _require_an_end(path: str) -> None:
    """Raises OSError where what a library will read whole is a pipe or a device, in which it might
    wait or read without end."""
    if paths.exists(path) and not (paths.is_file(path) or paths.is_dir(path) or path == os.devnull):
        raise OSError(errno.EINVAL, "it is not a regular file", path)


def require_token() -> None:
    """Raises UsageError where the user's token for the hub cannot be read or sent."""
    try:
        _require_an_end(constants.HF_TOKEN_PATH)
        (get_token() or "").encode("ascii")
    except (OSError, ValueError) as error:
        reason = cause(error) if isinstance(error, OSError) else "it is not plain text"
        where = "HF_TOKEN" if os.environ.get("HF_TOKEN") else printable(constants.HF_TOKEN_PATH)
        raise UsageError(
            f"the token in {where} cannot be used ({reason}); fix or remove it."
        ) from None


@contextmanager
def response_to(name: str, url: str, headers: Mapping[str, str]) -> Iterator[Response]:
    """The open response to a GET, redirects followed, its contents not yet read; any status."""
    require_session()
    with reaching(name):
        stream = get_session().stream(
            "GET",
            url,
            headers=dict(headers),
            follow_redirects=True,
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        )
        response = stream.__enter__()
    try:
        yield response
    finally:
        with suppress(Exception):  # its end is no news
            stream.__exit__(None, None, None)


def blocks(name: str, response: Response) -> Iterator[bytes]:
    """A response's contents as they come, unpacked where the server packed them."""
    contents = response.iter_bytes()
    while True:
        with reaching(name):
            block = next(contents, None)
        if block is None:
            return
        yield block


def unpackable(packing: str) -> bool:
    """Whether contents that came packed like this can be unpacked. Raises as require_session."""
    require_session()
    known = get_session().headers.get("Accept-Encoding", "")
    return {each.strip() for each in packing.split(",")} <= {e.strip() for e in known.split(",")}


def require_success(name: str, response: Response) -> None:
    """Raises NotUsableError with what the hub means by a status that brings no contents."""
    with reaching(name):
        hf_raise_for_status(response)
    if response.status_code not in (200, 206):
        raise refused(name, response)


def refused(name: str, response: Response) -> NotUsableError:
    """What a status that brings no contents means, anywhere."""
    status = response.status_code
    if status >= 500:
        fault = "the server has a problem: try again later"
    else:
        fault = "check the name" if status >= 400 else "look for another source"
    hint = _HINTS.get(status, fault)
    pause = response.headers.get("Retry-After", "")
    seconds = int(pause) if re.fullmatch("[0-9]{1,9}", pause) else 0
    if seconds and status in _PASSING:
        hint = f"the server asks you to wait {seconds:,} seconds: try again then"
    text = f"{printable(name)} cannot be fetched (status {status}); {hint}."
    if status not in _PASSING or seconds > _LONGEST_PAUSE:
        return NotUsableError(text)
    error = BrokenOffError(text)
    error.pause = max(error.pause, seconds)
    return error


# -- what went wrong ------------------------------------------------------------------------------


def _explained(name: str, error: Exception) -> AmuletError:
    if isinstance(error, GatedRepoError):
        return NotUsableError(
            f"{name} requires accepting its terms; do so on its page, then set HF_TOKEN or run: "
            "hf auth login"
        )
    if isinstance(error, RepositoryNotFoundError):
        return NotUsableError(
            f"{name} does not exist or is private; check the name, or set HF_TOKEN."
        )
    if isinstance(error, RevisionNotFoundError):
        return NotUsableError(f"{name} has no such revision; check the address.")
    if isinstance(error, HfHubHTTPError):
        return refused(name, error.response)
    if isinstance(error, HFValidationError):
        return UsageError(f"{name} is not a repository name; write it as hf:owner/repository.")
    if isinstance(error, OfflineModeIsEnabled):
        return NotUsableError(f"HF_HUB_OFFLINE is set; unset it to fetch {name}.")
    return _unreached(name, error)


def _unreached(name: str, error: Exception) -> AmuletError:
    """By the names of the HTTP library's errors: huggingface_hub has changed that library before,
    and its successor kept them."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    reason = printable(str(error)) or type(error).__name__
    if kinds & {"InvalidURL", "UnsupportedProtocol", "LocalProtocolError", "UnicodeError"}:
        which = "it" if "://" in name else "HF_ENDPOINT"
        return UsageError(f"the address of {name} cannot be used ({reason}); check {which}.")
    if "TooManyRedirects" in kinds:
        return NotUsableError(f"the address of {name} redirects in a loop; look for another.")
    if "DecodingError" in kinds:
        return NotUsableError(
            f"{name} is compressed in a way that cannot be read ({reason}); look for another "
            "source."
        )
    if "ProxyError" in kinds:
        hint = _HINTS[407] if "407" in reason else f"check {_named(_PROXIES)}"
        return NotUsableError(f"{name} cannot be fetched: the proxy refused ({reason}); {hint}.")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotUsableError(
            f"{name} was not fetched: its server's certificate is not trusted ({reason}); check "
            "the clock, and if your network uses its own certificates, set SSL_CERT_FILE to them."
        )
    if "TimeoutException" in kinds:
        return BrokenOffError(
            f"{name} cannot be fetched (its server did not answer in time); {_check_network()}"
        )
    if kinds & {"TransportError", "RequestError", "HTTPError", "OSError"}:
        return BrokenOffError(f"{name} cannot be fetched ({reason}); {_check_network()}")
    return NotUsableError(
        f"the server's answer about {name} makes no sense ({type(error).__name__}: {reason}); "
        "check the address, HF_ENDPOINT and whether your network requires a login."
    )


def _check_network() -> str:
    proxies = f" and {_named(_PROXIES)}" if _set(_PROXIES) else ""
    return f"check the network{proxies}, {_TRY_AGAIN}"


def _named(variables: Iterable[str]) -> str:
    return ", ".join(_set(variables)) or "the system's settings"


def _set(variables: Iterable[str]) -> list[str]:
    """Those of some variables that are set, in upper or lower case."""
    names = (name for each in variables for name in (each, each.lower()))
    return [name for name in names if os.environ.get(name)]
