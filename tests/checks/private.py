"""Who touches private fields of public structs: those behind a comment that begins with
"Private", up to one that begins with "Public".

What an object is, is known by its name: as whatever struct some file of the same folder
declares it, it is one everywhere in there.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from c_source import code_of

STRUCT = re.compile(r"^struct (wsc_\w+) \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
PRIVATE = re.compile(r"/\* Private(.*?)(?=/\* Public|\Z)", re.DOTALL)
FIELD = re.compile(r"(\w+)(?:\[\w+\])*;")
DECLARED = re.compile(r"\bstruct (wsc_\w+) (?:\*(?:const )?)?(\w+)\b")
# Each field of a chain.
USED = re.compile(r"\b(\w+)(?=(?:\.|->)(\w+))")


def private_fields(headers: Path) -> dict[str, set[str]]:
    fields: dict[str, set[str]] = defaultdict(set)
    for header in headers.glob("*.h"):
        for struct, body in STRUCT.findall(header.read_text()):
            for part in PRIVATE.findall(body):
                fields[struct] |= set(FIELD.findall(code_of("/*" + part)))
    return fields


def touched(root: Path, *folders: str) -> Iterator[str]:
    fields = private_fields(root / "csrc/include/wsc")
    for folder in folders:
        files = sorted((root / folder).rglob("*.[ch]"))
        code = {file: code_of(file.read_text()) for file in files}
        structs: dict[str, set[str]] = defaultdict(set)
        for text in code.values():
            for struct, name in DECLARED.findall(text):
                structs[name].add(struct)
        for file, text in code.items():
            for match in USED.finditer(text):
                for struct in structs[match[1]]:
                    if match[2] in fields[struct]:
                        place = file.relative_to(root).as_posix()
                        line = text.count("\n", 0, match.start()) + 1
                        yield f"{place}:{line}: {match[2]} of {struct} is private"
