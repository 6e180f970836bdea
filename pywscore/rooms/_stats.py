"""What hubs say of what they counted."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["HubStats"]

_HELP = {
    "up": ("gauge", "1 while messages come, 0 while the hub is cut off."),
    "rooms": ("gauge", "Rooms that this node serves."),
    "members": ("gauge", "Members of them on this node."),
    "nodes": ("gauge", "Nodes that live, this one included."),
    "published": ("counter", "Messages published by this node."),
    "received": ("counter", "Messages that came for rooms of this node."),
    "delivered": ("counter", "Messages given to members."),
    "skipped": ("counter", "Messages that members missed, who read too slowly."),
    "gaps": ("counter", "Times that messages were missing in a room."),
    "reconnects": ("counter", "Times that the hub was joined again."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStats:
    """What a hub has counted since it was made.

    Attributes:
        up: messages come.
        rooms: rooms served on this node.
        members: members of them on this node; a connection counts once for each room.
        nodes: nodes that live, this one included.
        published: messages published by this node.
        received: messages that came for rooms of this node.
        delivered: messages given to members.
        skipped: messages that members missed, who read too slowly.
        gaps: times that messages were missing in a room, for all members.
        reconnects: times that the hub was joined again.
    """

    up: bool
    rooms: int
    members: int
    nodes: int
    published: int
    received: int
    delivered: int
    skipped: int
    gaps: int
    reconnects: int

    def prometheus(self, prefix: str = "pywscore_rooms_") -> str:
        """The text that Prometheus reads, format 0.0.4.

        Args:
            prefix: what the names of all metrics begin with.
        """
        lines = []
        for field in fields(self):
            kind, text = _HELP[field.name]
            name = prefix + field.name + ("_total" if kind == "counter" else "")
            lines += [
                f"# HELP {name} {text}",
                f"# TYPE {name} {kind}",
                f"{name} {int(getattr(self, field.name))}",
            ]
        return "".join(f"{line}\n" for line in lines)
