"""A certificate for one run."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

# For OPENSSL_CONF: what ssl.SSLContext can't be told before Python 3.15.
SETTINGS = """\
openssl_conf = settings
[settings]
ssl_conf = contexts
[contexts]
system_default = all
[all]
Ciphersuites = TLS_AES_128_GCM_SHA256
"""


@contextlib.contextmanager
def certificate() -> Iterator[Path]:
    """A folder with ``certificate.pem`` and ``key.pem`` (ECDSA, P-256), the
    ``authority.pem`` of who trusts it, and ``openssl.cnf`` for AES-128-GCM."""
    try:
        trustme = importlib.import_module("trustme")
    except ImportError:
        raise SystemExit("TLS needs trustme: pip install trustme") from None
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(folder / "certificate.pem"), append=number > 0)
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        issued.private_key_pem.write_to_path(str(folder / "key.pem"))
        (folder / "openssl.cnf").write_text(SETTINGS)
        yield folder
