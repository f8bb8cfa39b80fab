"""What a failed conversation with a model hub comes down to, in one line."""

import errno
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

ELSEWHERE = "use --model pocket, which comes with dsfactory, or --model FOLDER with a diffusers pipeline"
"""What is left where no hub answers."""

AGAIN = "run the command again, finished files are kept"


class HubBusyError(Exception):
    """The hub answers, but not with what was asked for, however often it is asked.

    Attributes:
        status: of HTTP.
        retry_after: seconds that the hub wants to be left alone, if it said so.
    """

    def __init__(self, status: int, retry_after: float | None) -> None:
        super().__init__(f"status {status}")
        self.status, self.retry_after = status, retry_after


class NotTheHubError(Exception):
    """Something else answers at the hub's address, such as the login page of a network."""


class GaveUpError(Exception):
    """The network failed as often as it was tried; the cause says how."""


def explain(error: BaseException, name: str, hub_id: str, revision: str | None) -> str:
    """One line for what was raised while a model was asked for or fetched: what happened and what to do.

    Args:
        error: as the libraries raise it; its causes count too.
        name: what the user calls the model.
        hub_id: what the hub calls it.
        revision: the branch, tag or commit that was asked for.
    """
    chain = _chain(error)
    for item in chain:
        if line := _by_answer(item, name, hub_id, revision) or _by_disk(item, name):
            return line
    for item in chain:
        if line := _by_network(item, name, " ".join(str(link) for link in chain)):
            return line
    return f"fetching model {name} failed ({_first_line(error)}): {AGAIN}, or {ELSEWHERE}"


def _by_answer(error: BaseException, name: str, hub_id: str, revision: str | None) -> str | None:
    """What the hub itself says."""
    from huggingface_hub.errors import (
        DisabledRepoError,
        FileMetadataError,
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"https://huggingface.co/{hub_id}"
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"model {name} is not on this machine, and HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids asking the "
            f"hub: unset it, or {ELSEWHERE}"
        )
    if isinstance(error, HubBusyError):
        return _busy(error, name)
    if isinstance(error, (NotTheHubError, FileMetadataError)):
        return (
            f"what answers at {_endpoint()} is not the model hub (the login page of this network, or a proxy?): open "
            "any web page in a browser to log in, or correct HF_ENDPOINT, then run the command again"
        )
    if not isinstance(error, HfHubHTTPError):
        return None
    status, sent = error.response.status_code, "authorization" in error.response.request.headers
    if isinstance(error, GatedRepoError):
        if sent:
            return (
                f"model {name} is not open to your account: agree to its terms at {page} and wait until that is "
                "granted, or log in as someone else with 'hf auth login'"
            )
        return f"model {name} wants you to agree to its terms: do so at {page}, then run 'hf auth login'"
    if isinstance(error, RevisionNotFoundError):
        return f"model {name} has no revision {revision!r}: leave generate.revision out, or see {page}/tree/main"
    if isinstance(error, DisabledRepoError):
        return f"the hub has switched model {name} off: {ELSEWHERE}"
    told = f"{error.server_message or ''} {error.response.headers.get('x-error-message', '')}".lower()
    if status == 401 and sent and ("credential" in told or "x-error-code" not in error.response.headers):
        return "the hub refuses your token: make a new one and run 'hf auth login', or unset HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return f"the hub has no model {hub_id} (or it is private: run 'hf auth login'): {ELSEWHERE}"
    if status == 407:
        return "the proxy wants a name and a password: give them in HTTPS_PROXY (http://NAME:PASSWORD@HOST:PORT)"
    return f"the hub, or a proxy before it, refuses to give model {name} (status {status}): {ELSEWHERE}"


def _busy(error: HubBusyError, name: str) -> str:
    if error.status == 429:
        wait = f"in {_duration(error.retry_after)}" if error.retry_after else "in some minutes"
        return (
            f"the hub limits how often it may be asked, and has had enough for now: run the command again {wait}, "
            "finished files are kept; 'hf auth login' raises the limit"
        )
    return f"the hub is out of order (status {error.status}) and did not give model {name}: later, {AGAIN}"


def _by_disk(error: BaseException, name: str) -> str | None:
    """What the machine's own disk says."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left while fetching model {name}: free some, or set HF_HOME to another disk"
    if isinstance(error, ssl.SSLError):  # whose numbers mean other things
        return None
    if isinstance(error, OSError) and number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        where = error.filename or _cache()
        return f"the model cache cannot be written at {where} ({error.strerror}): set HF_HOME to a folder of yours"
    return None


def _by_network(error: BaseException, name: str, said: str) -> str | None:
    """What went wrong between here and the hub.

    Args:
        error: one link of the chain.
        name: the model.
        said: the texts of the whole chain.
    """
    import httpx2

    if isinstance(error, httpx2.ProxyError):
        return f"the proxy that HTTPS_PROXY names refuses ({_first_line(error)}): correct it, or unset it"
    if isinstance(error, httpx2.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            f"the certificate of {_endpoint()} is not trusted here (a proxy that reads along?): set SSL_CERT_FILE to "
            "a file with the certificates of your network"
        )
    if isinstance(error, httpx2.ConnectError) and ("SSL" in said or "TLS" in said):
        return f"{_endpoint()} does not speak TLS as it should: correct HF_ENDPOINT, or the proxy settings"
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        via = " through the proxy of HTTPS_PROXY" if _proxied() else ""
        return f"model {name} is not on this machine and the model hub cannot be reached{via}: {ELSEWHERE}"
    if isinstance(error, (httpx2.TimeoutException,)):
        return f"the hub went silent while model {name} was fetched: {AGAIN}"
    if isinstance(error, httpx2.TransportError):
        return f"the connection to the hub broke off while model {name} was fetched: {AGAIN}"
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return f"a file of model {name} arrived with a wrong size (does a proxy change it?): {AGAIN}"
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what caused it, the first cause first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain[::-1]


def _first_line(error: BaseException) -> str:
    text: Any = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _duration(seconds: float) -> str:
    return f"{round(seconds)} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _endpoint() -> str:
    """The hub's address without what it may carry of a name and a password."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _proxied() -> bool:
    return any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))
