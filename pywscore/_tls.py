"""TLS settings for the engine carrier."""

from __future__ import annotations

import dataclasses
import os
import ssl
import threading
import weakref
from typing import Literal, Self

from . import _core

__all__ = ["TLSContext", "TLSObject"]

Path = str | os.PathLike[str]
Version = Literal["1.2", "1.3"]
Demand = Literal["none", "optional", "required"]
_VERIFY: dict[Demand, int] = {"none": 0, "optional": 1, "required": 2}
# One for all contexts, since they may have each other's names. Nobody waits for it to
# connect.
_changing = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True)
class _Settings:
    """The arguments of server() and client(); ``ca`` is for what the peer shows."""

    server: bool
    certificate: Path | None
    key: Path | None
    password: str | None
    ca: Path | None
    verify: Demand
    check_hostname: bool
    ciphers: str | None
    minimum_version: Version

    def asks_less_than(self, other: _Settings) -> bool:
        """Or for other certificates of the peer."""
        return (self.ca, self.verify) != (
            other.ca,
            other.verify,
        ) or self.minimum_version < other.minimum_version


class TLSContext:
    """TLS by OpenSSL in C, for ``ssl=`` of ``serve()`` and ``connect()``.

    Made with ``TLSContext.server()`` or ``TLSContext.client()``. At least TLS 1.2;
    no renegotiation, no early data.
    """

    def __init__(self, settings: _Settings) -> None:
        self.is_server = settings.server
        self._settings = settings
        self._names: list[tuple[str, TLSContext]] = []
        # Those that have it among their names.
        self._owners: weakref.WeakSet[TLSContext] = weakref.WeakSet()
        # What new connections use. Those that are open keep theirs.
        self._current = _read(settings)

    @classmethod
    def server(
        cls,
        certificate: Path,
        key: Path | None = None,
        *,
        password: str | None = None,
        client_ca: Path | None = None,
        client_certificates: Demand | None = None,
        ciphers: str | None = None,
        minimum_version: Version = "1.2",
    ) -> Self:
        """Settings of a server.

        Args:
            certificate: PEM file with the certificate and those between it and its
                authority.
            key: PEM file with the key; by default in the same file.
            password: of the key.
            client_ca: PEM file of the authorities of clients' certificates.
            client_certificates: whether clients need one; by default they do with
                ``client_ca``.
            ciphers: for TLS 1.2, as OpenSSL writes them.
            minimum_version: the oldest version of TLS.

        Raises:
            OSError: if a file can't be read.
            ValueError: if a file or setting can't be used.
        """
        if client_certificates is None:
            client_certificates = "none" if client_ca is None else "required"
        if client_certificates != "none" and client_ca is None:
            raise ValueError("client certificates need client_ca")
        return cls(
            _Settings(
                server=True,
                certificate=certificate,
                key=key,
                password=password,
                ca=client_ca,
                verify=client_certificates,
                check_hostname=False,
                ciphers=ciphers,
                minimum_version=minimum_version,
            )
        )

    @classmethod
    def client(
        cls,
        *,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        password: str | None = None,
        verify: bool = True,
        check_hostname: bool = True,
        ciphers: str | None = None,
        minimum_version: Version = "1.2",
    ) -> Self:
        """Settings of a client.

        Args:
            ca: PEM file of the authorities to trust; by default those of
                ``ssl.get_default_verify_paths()``, as in Python's ``ssl``.
            certificate: PEM file of the client's certificate.
            key: PEM file with its key; by default in the same file.
            password: of the key.
            verify: False trusts anybody; for tests only.
            check_hostname: False takes a certificate for any name.
            ciphers: for TLS 1.2, as OpenSSL writes them.
            minimum_version: the oldest version of TLS.

        Raises:
            OSError: if a file can't be read.
            ValueError: if a file or setting can't be used.
        """
        return cls(
            _Settings(
                server=False,
                certificate=certificate,
                key=key,
                password=password,
                ca=ca,
                verify="required" if verify else "none",
                check_hostname=verify and check_hostname,
                ciphers=ciphers,
                minimum_version=minimum_version,
            )
        )

    def add_certificate(self, name: str, context: TLSContext) -> None:
        """Serve clients that ask for ``name`` with the certificate of ``context``.

        Args:
            name: a host name, or ``*.`` and a domain for its subdomains.
            context: made with ``TLSContext.server()``. What is asked of clients is
                settled before they say a name, so it has to ask for the same client
                certificates, and for no newer version of TLS.

        Raises:
            ValueError: if ``context`` is none for that.
        """
        if not (self.is_server and context.is_server) or context is self:
            raise ValueError("add_certificate() takes another server's context")
        if self._settings.asks_less_than(context._settings):
            raise ValueError(
                "the context of a name has to ask for the same client certificates, "
                "and for no newer version of TLS"
            )
        with _changing:
            self._current.add_name(name, context._current)
            self._names.append((name, context))
            context._owners.add(self)

    def reload(self) -> None:
        """Read all files again, for new connections. On an error nothing changes.

        The files of contexts given to ``add_certificate()`` are read again, too. One
        that was given to it itself takes effect for its name.
        """
        with _changing:
            made: dict[TLSContext, _core.TLSContext] = {}
            self._read_again(made)
            for context, current in made.items():
                context._current = current
            # Who serves one of them for a name, and isn't read again itself.
            for context, current in made.items():
                for owner in context._owners - made.keys():
                    for name, served in owner._names:
                        if served is context:
                            owner._current.add_name(name, current)

    def _read_again(self, made: dict[TLSContext, _core.TLSContext]) -> None:
        made[self] = _read(self._settings)
        for name, context in self._names:
            if context not in made:
                context._read_again(made)
            made[self].add_name(name, made[context])


def _read(settings: _Settings) -> _core.TLSContext:
    if not hasattr(_core, "TLSContext"):
        raise ValueError("TLSContext needs the engine, which isn't available here")
    made = _core.TLSContext(settings.server)
    if settings.certificate is not None:
        chain = _readable(settings.certificate)
        key = chain if settings.key is None else _readable(settings.key)
        made.certificate(chain, key, settings.password)
    if settings.ca is not None:
        made.trust(os.fsdecode(_readable(settings.ca)), None)
    elif not settings.server and settings.verify != "none":
        made.trust(*_authorities())
    made.verify(_VERIFY[settings.verify], settings.check_hostname)
    if settings.ciphers is not None:
        made.ciphers(settings.ciphers)
    if settings.minimum_version == "1.3":
        made.only_1_3()
    elif settings.minimum_version != "1.2":
        raise ValueError("minimum_version must be '1.2' or '1.3'")
    return made


def _authorities() -> tuple[str | None, str | None]:
    """File and folders of those that Python trusts: our OpenSSL, a wheel's for
    instance, may have been built to look elsewhere (docs/adr/0021-authorities.md)."""
    paths = ssl.get_default_verify_paths()
    # Folders may be several here, of which paths.capath knows nothing.
    folders = os.environ.get(paths.openssl_capath_env, paths.openssl_capath)
    return paths.cafile, folders or None


def _failure(
    reason: str, library: str | None, ended: bool, code: int, verified: str | None
) -> ssl.SSLError:
    """What the engine says of a failure (``struct wsc_tls_failure``), as Python's
    ``ssl`` would raise it."""
    # Names of OpenSSL's codes: its text of them, but for those that it has renamed.
    name = reason.replace("ssl/tls", "sslv3").upper().replace(" ", "_")
    text = reason if verified is None else f"{reason}: {verified}"
    if library is not None:
        text = f"[{library}: {name}] {text}"
    made: ssl.SSLError
    if ended:
        made = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, text)
    elif verified is None:
        made = ssl.SSLError(ssl.SSL_ERROR_SSL, text)
    else:
        made = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, text)
        made.verify_code = code
        made.verify_message = verified
    made.library = library  # type: ignore[assignment]
    made.reason = None if ended else name  # type: ignore[assignment]
    return made


def _readable(path: Path) -> bytes:
    # OpenSSL's own errors about files don't name them.
    with open(path, "rb"):
        return os.fsencode(path)


@dataclasses.dataclass(frozen=True, slots=True)
class TLSObject:
    """What a TLS handshake agreed on: ``get_extra_info("ssl_object")``.

    It has those methods of ``ssl.SSLObject`` that ask about it.
    """

    server_side: bool
    session_reused: bool
    _cipher: tuple[str, str, int]
    _alpn: str | None
    _certificate: bytes

    def cipher(self) -> tuple[str, str, int]:
        """Name of the cipher, version of TLS, number of secret bits."""
        return self._cipher

    def version(self) -> str:
        """For example ``TLSv1.3``."""
        return self._cipher[1]

    def selected_alpn_protocol(self) -> str | None:
        """``http/1.1``, or None without ALPN."""
        return self._alpn

    def compression(self) -> None:
        """None: there is none."""

    def getpeercert(self, binary_form: bool = False) -> bytes | None:
        """The peer's certificate as DER, or None if it has sent none.

        Raises:
            ValueError: without ``binary_form=True``: Python's dicts of certificates
                can't be made outside of its own ``ssl``.
        """
        if not self._certificate:
            return None
        if not binary_form:
            raise ValueError("only getpeercert(binary_form=True) is supported")
        return self._certificate
