"""C as text: what in it is code."""

import re

NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', re.DOTALL)


def code_of(text: str) -> str:
    """Without comments and strings, each character where it was."""
    return NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
