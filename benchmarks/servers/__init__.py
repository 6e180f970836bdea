"""Echo servers, one module per library: ``python -m benchmarks.servers NAME``.

Each has ``async def serve(compression: bool) -> int``, which listens on a free port of
the loopback interface and returns it.
"""
