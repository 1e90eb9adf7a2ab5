"""No exception of the client or of urllib3 is left to chance: a new one fails here until somebody has placed it."""

import importlib
import inspect
import pkgutil
import ssl
from http.client import HTTPException
from types import ModuleType

import airflow_client.client.exceptions
import pytest
import urllib3.exceptions

from bridge.edges.airflow import transport
from bridge.edges.airflow.wire import Kind

# Placed by their base class on purpose: an answer's status, or a wrong use of the typed calls that are not used.
BY_BASE = {
    "ApiException",
    "ApiTypeError",
    "ApiValueError",
    "ApiAttributeError",
    "ApiKeyError",
    "BadRequestException",
    "NotFoundException",
    "UnauthorizedException",
    "ForbiddenException",
    "ServiceException",
    "ConflictException",
    "UnprocessableEntityException",
}


def exceptions(module: ModuleType) -> list[type[Exception]]:
    """Every exception class of a module, but no warnings."""
    classes = [item for _, item in inspect.getmembers(module, inspect.isclass) if item.__module__ == module.__name__]
    return [item for item in classes if issubclass(item, Exception) and not issubclass(item, Warning)]


@pytest.mark.parametrize("module", [urllib3.exceptions, airflow_client.client.exceptions])
def test_every_exception_has_its_place(module: ModuleType) -> None:
    """Each class is listed itself, or is named here as one that its base class places."""
    found = exceptions(module)
    assert len(found) >= 13
    assert [item.__name__ for item in found if item not in transport.KINDS and item.__name__ not in BY_BASE] == []


def test_no_other_module_of_urllib3_defines_exceptions() -> None:
    """If one did, it would have to be placed as well."""
    strangers = []
    for info in pkgutil.walk_packages(urllib3.__path__, "urllib3."):
        if ".contrib" in info.name or ".http2" in info.name:  # neither is used: no SOCKS, no HTTP/2
            continue
        module = importlib.import_module(info.name)
        if module is not urllib3.exceptions:
            strangers += [item for item in exceptions(module) if item not in transport.KINDS]
    assert {item.__name__ for item in strangers} == {"CertificateError"}  # always wrapped in SSLError


@pytest.mark.parametrize("kind", sorted(transport.KINDS, key=lambda item: item.__name__))
def test_every_listed_exception_is_caught(kind: type[BaseException]) -> None:
    """What is placed is also caught, so `fire` cannot raise it."""
    assert issubclass(kind, transport._CAUGHT)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")), Kind.UNKNOWN),
        (urllib3.exceptions.ProtocolError("x", FileNotFoundError(2, "no such file")), Kind.MISFIT),
        (urllib3.exceptions.ProxyError("x", urllib3.exceptions.NewConnectionError(None, "x")), Kind.NOTHING_SENT),  # type: ignore[arg-type]
        (urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, "verify failed")), Kind.MISFIT),
        (urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "EOF")), Kind.UNKNOWN),
        (HTTPException("x"), Kind.UNKNOWN),
        (OSError(5, "x"), Kind.UNKNOWN),
    ],
)
def test_what_an_error_wraps_decides(error: BaseException, kind: Kind) -> None:
    """The wrapped error tells more than the wrapping one."""
    assert transport._kind(transport._causes(error), is_sending=False) is kind


def test_importing_the_bridge_does_not_import_the_client() -> None:
    """It takes a second and 26 MB, which a command that calls no Airflow must not pay."""
    import subprocess
    import sys

    libraries = ("airflow_client", "urllib3", "httpx")
    code = f"import sys, bridge.edges.airflow; print([name for name in {libraries} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
