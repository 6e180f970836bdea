"""Servers that are measured, beside those of ``pywscore.cli._bench.servers``, which
says what they are. The ``_broadcast`` ones send every message to all connections.
"""
