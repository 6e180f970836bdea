"""What goes wrong with Redis: what may pass, and what it is called."""

from __future__ import annotations

from redis import exceptions as errors

__all__ = ["PASSING", "RedisError", "reason"]

RedisError = errors.RedisError

# What may be over when it is tried again. A replica that was promoted, or demoted, says
# so by some of them.
PASSING = (
    errors.ConnectionError,
    errors.TimeoutError,
    errors.ReadOnlyError,
    errors.BusyLoadingError,
    errors.TryAgainError,
    errors.ClusterDownError,
    errors.RedisClusterException,  # none of its nodes is there; no RedisError
    OSError,
    TimeoutError,
)


def reason(exc: BaseException) -> str:
    """What went wrong in words; those of Redis where they are best."""
    match exc:
        case errors.OutOfMemoryError():
            return "it is full (OOM: maxmemory is reached)"
        case errors.ReadOnlyError():
            return "it is a read-only replica"
        case errors.NoPermissionError():
            return f"its user lacks a permission (NOPERM): {exc}"
        case errors.ResponseError() if "can't run this command" in str(exc):
            return f"its user lacks a permission (NOPERM): {exc}"
        case errors.AuthenticationError():
            return f"it refuses the user or password: {exc}"
        case TimeoutError() | errors.TimeoutError():
            return str(exc) or "no answer in time"
    return str(exc) or type(exc).__name__
