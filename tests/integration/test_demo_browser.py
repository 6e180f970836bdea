"""The chat page of the demo in a real browser."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import DESKTOP, MARKS, PHONE, chromium, free_port, shots_folder

pytestmark = MARKS


@contextmanager
def demo(port: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pywscore", "demo", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "Chat on" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_two_people_chat(tmp_path: Path) -> None:
    async def scenario() -> None:
        with demo(free_port()) as url:
            async with chromium(tmp_path) as browser:
                # Joining by the form, and by the address.
                ann = await browser.open(url)
                await ann.screenshot(shots / "join.png")
                await ann.click("#name")
                await ann.write("Ann")
                await ann.click("#room")
                await ann.write("tea")
                await ann.enter()
                await ann.wait_online()
                assert await ann.text("#room-title") == "# tea"
                await ann.say("Good morning!")

                # History on joining, and the list of people on both sides.
                bob = await browser.open(f"{url}/?room=tea&name=Bob")
                await bob.wait_online()
                await bob.sees("Good morning!")
                assert await bob.users() == ["Bob", "Ann"]
                await ann.sees("Bob joined")
                assert await ann.users() == ["Ann", "Bob"]

                # A second Ann is told apart; she is in the same room.
                twin = await browser.open(f"{url}/?room=tea&name=Ann")
                await twin.wait_online()
                assert await twin.text("#my-name") == "Ann (2)"

                # Another room hears nothing of it.
                eve = await browser.open(f"{url}/?room=coffee&name=Eve")
                await eve.wait_online()
                await bob.say("Hello <b>Ann</b> & all")
                await ann.sees("Hello <b>Ann</b> & all")
                assert await ann.evaluate("document.querySelector('.bubble b')") is None
                assert await eve.users() == ["Eve"]
                assert "Hello" not in await eve.text("#log")

                # Who is typing, until the message is there.
                await bob.click("#text")
                await bob.write("Is there any more")
                await ann.sees("Bob is typing…", "#typing")
                await ann.say("Shall I put the kettle on?")
                await ann.screenshot(shots / "desktop.png")
                await ann.resize(DESKTOP, dark=True)
                await ann.screenshot(shots / "desktop-dark.png")
                await bob.write(" cake?")
                await bob.enter()
                await ann.sees("Is there any more cake?")
                await ann.wait_for("!document.getElementById('typing').innerText")

                # Leaving.
                await twin.click("#leave")
                await twin.wait_for("!document.getElementById('welcome').hidden")
                await ann.sees("Ann (2) left")
                assert await ann.users() == ["Ann", "Bob"]

                # A reload joins again, with the name remembered.
                await ann.call("Page.reload")
                await ann.sees("Is there any more cake?")
                await ann.wait_online()
                assert await ann.text("#my-name") == "Ann"

                await ann.resize(PHONE)
                await ann.screenshot(shots / "phone.png")
                await ann.click("#people-toggle")
                await ann.wait_for("document.querySelector('.people').offsetWidth > 0")
                await ann.screenshot(shots / "phone-people.png")
                assert browser.console == []

    shots = shots_folder(tmp_path)
    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_reconnects_after_the_server_restarts(tmp_path: Path) -> None:
    async def scenario() -> None:
        port = free_port()
        async with chromium(tmp_path) as browser:
            with demo(port) as url:
                ann = await browser.open(f"{url}/?room=tea&name=Ann")
                await ann.say("Before")
            await ann.wait_for(
                "document.getElementById('state').dataset.state === 'waiting'"
            )
            await ann.sees("Reconnecting in", "#state")
            await ann.screenshot(shots / "reconnecting.png")
            # What is being written stays.
            await ann.click("#text")
            await ann.write("After")
            await ann.enter()
            await ann.sees("Not connected", "#problem")
            with demo(port):
                await ann.wait_online()
                await ann.sees("You are back")
                await ann.sees("Before")
                assert await ann.evaluate("document.getElementById('text').value")
                await ann.enter()
                await ann.sees("After")

    shots = shots_folder(tmp_path)
    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_title_counts_what_is_unread(tmp_path: Path) -> None:
    async def scenario() -> None:
        with demo(free_port()) as url:
            async with chromium(tmp_path) as browser:
                ann = await browser.open(f"{url}/?room=tea&name=Ann")
                bob = await browser.open(f"{url}/?room=tea&name=Bob")
                await ann.wait_online()
                # Headless pages are never hidden: pretend to be.
                await ann.evaluate(
                    "Object.defineProperty(document, 'hidden',"
                    " { configurable: true, get: () => true })"
                )
                await bob.say("One")
                await bob.say("Two")
                await ann.wait_for("document.title === '(2) tea · pywscore chat'")
                await ann.evaluate(
                    "delete document.hidden;"
                    " document.dispatchEvent(new Event('visibilitychange'))"
                )
                await ann.wait_for("document.title === 'tea · pywscore chat'")

    asyncio.run(asyncio.wait_for(scenario(), 120))
