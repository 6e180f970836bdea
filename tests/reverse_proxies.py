"""nginx, HAProxy and Caddy as docs/how-to configures them."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme
from blocks import block
from programs import free_port, program

import pywscore

NAME = "chat.example.org"


def replaced(text: str, changes: dict[str, str]) -> str:
    for what, by in changes.items():
        assert what in text
        text = text.replace(what, by)
    return text


class Proxy:
    """One of the programs, between a port of its own and two servers.

    Args:
        folder: for configuration, certificate and what the program writes.
        servers: the ports of the two.
    """

    name: str

    def __init__(self, folder: Path, servers: list[int]) -> None:
        self.folder = folder
        self.port = free_port()
        self.changes = {
            "127.0.0.1:8765": f"127.0.0.1:{servers[0]}",
            "127.0.0.1:8766": f"127.0.0.1:{servers[1]}",
        }
        self.authority = trustme.CA()
        certificate = self.authority.issue_cert(NAME)
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / "chat.pem")
        certificate.private_key_pem.write_to_path(folder / "chat.key")

    def command(self) -> list[str]:
        raise NotImplementedError

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def connect(self, path: str = "/ws", **options: Any) -> pywscore.connect:
        """Through it, as a client of the name that it has a certificate for."""
        return pywscore.connect(
            f"wss://{NAME}{path}",
            host="127.0.0.1",
            port=self.port,
            ssl=self.context,
            server_hostname=NAME,
            proxy=None,
            **options,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with (self.folder / "output").open("wb") as output:
            process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"HOME": str(self.folder)},
            )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Nginx(Proxy):
    name = "nginx"

    def command(self) -> list[str]:
        site = replaced(
            block("docs/how-to/nginx.md", "chat.conf"),
            self.changes
            | {
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "/etc/ssl/": f"{self.folder}/",
            },
        )
        folders = "".join(
            f"{name}_temp_path {self.folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {self.folder}/pid;\n"
            f"error_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{folders}{site}}}\n"
        )
        return [program("nginx"), "-e", "stderr", "-c", str(self.folder / "nginx.conf")]


class Haproxy(Proxy):
    name = "haproxy"

    def command(self) -> list[str]:
        text = replaced(
            block("docs/how-to/haproxy.md", "haproxy.cfg"),
            self.changes
            | {
                "bind :443": f"bind 127.0.0.1:{self.port}",
                "/etc/haproxy/": f"{self.folder}/",
            },
        )
        (self.folder / "haproxy.cfg").write_text(text)
        return [program("haproxy"), "-db", "-f", str(self.folder / "haproxy.cfg")]


class Caddy(Proxy):
    name = "caddy"

    def command(self) -> list[str]:
        pem = self.folder / "chat.pem"
        site = replaced(
            block("docs/how-to/caddy.md", "Caddyfile"),
            # Certificates of the test's in place of those that Caddy would get.
            self.changes
            | {
                f"{NAME} {{": f"{NAME}:{self.port} {{\n\tbind 127.0.0.1\n"
                f"\ttls {pem} {self.folder}/chat.key"
            },
        )
        (self.folder / "Caddyfile").write_text(
            f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"
        )
        place = str(self.folder / "Caddyfile")
        return [program("caddy"), "run", "--adapter", "caddyfile", "--config", place]
