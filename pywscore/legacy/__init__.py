"""The names of ``websockets.legacy``, for today's classes and functions.

What the old ones had besides (``extra_headers=``, ``ws.open``, ``ws.path``, a handler's
``path``) isn't there.
"""
