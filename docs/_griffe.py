"""What the reference shows of classes: of a stub, `__new__` has the arguments and the
last overload the docstring; a method without a docstring has that of its base."""

from typing import Any

import griffe


class AsWritten(griffe.Extension):
    def on_class(self, *, cls: griffe.Class, **others: Any) -> None:
        for name, overloads in cls.overloads.items():
            if name not in cls.members:
                cls.members[name] = overloads[-1]
        new = cls.members.get("__new__")
        if isinstance(new, griffe.Function) and "__init__" not in cls.members:
            del cls.members["__new__"]
            new.name = "__init__"
            cls.members["__init__"] = new
        for name, member in cls.members.items():
            if not (name.startswith("_") or member.is_alias or member.docstring):
                member.docstring = _inherited(cls, name)


def _inherited(cls: griffe.Class, name: str) -> griffe.Docstring | None:
    found = (base.members[name] for base in cls.mro() if name in base.members)
    return next((each.docstring for each in found if each.docstring), None)
