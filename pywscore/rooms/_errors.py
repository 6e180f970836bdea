"""What goes wrong with rooms."""

from __future__ import annotations

__all__ = ["HubClosed", "HubError", "LimitError", "PublishError"]


class HubError(Exception):
    """The hub can't work: its Redis isn't there, is too old, or refuses what is
    needed; ``__cause__`` has more. No message has a password in it."""


class HubClosed(HubError):
    """The hub isn't open: trying again is no use."""


class PublishError(HubError):
    """Redis didn't acknowledge a message.

    It wasn't delivered to anybody as far as this node knows. If the connection broke
    after it was sent, Redis may have it all the same: publishing it again with the same
    ``idempotency_key`` makes it one.
    """


class LimitError(HubError):
    """One of the limits of the hub or of a room."""
