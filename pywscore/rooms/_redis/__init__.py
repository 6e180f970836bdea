"""The broker over redis-py's asyncio client, which nothing else imports."""

from .broker import RedisBroker
from .target import Target

__all__ = ["RedisBroker", "Target"]
