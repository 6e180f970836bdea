"""RFC 6455 §5.2, §7.4.1 against our numbers, and those of another implementation."""

import websockets

from pywscore import CloseCode, Opcode, State


def test_names_and_numbers_are_those_of_websockets() -> None:
    for ours, theirs in (
        (State, websockets.State),
        (Opcode, websockets.Opcode),
        (CloseCode, websockets.CloseCode),
    ):
        assert {member.name: member.value for member in ours} == {
            member.name: member.value for member in theirs
        }


def test_control_opcodes() -> None:
    # RFC 6455 §5.5: the most significant bit of the opcode is 1
    assert [opcode.name for opcode in Opcode if opcode.is_control] == [
        "CLOSE",
        "PING",
        "PONG",
    ]
