"""Whose tests run over pywscore, and which of them may fail, each with its reason.

Of amqtt, fastapi_websocket_rpc and strawberry-graphql no archive has the tests that
they are released with: programs of ours over these libraries stand in for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

AUTO = ("-o", "asyncio_mode=auto")

PRIVATE = "looks at attributes that aren't public, or replaces them"
SENTENCE = "another sentence"
HOOK = "the log names the hook that failed"
QUIET = "what websockets has deprecated is there without a warning"
WINDOWS = "windows of 12 bits, unless compress=15"
AT_ONCE = "a close frame is answered when it comes, and sending fails from then on"
GOODBYE = "a close frame of 1000 or 1011, where uvicorn's own class sends none"
HALF = "a transport's write_eof() is found out by the next packet, not by send()"
NEWER = "websockets 17 does the same"
HANDSHAKEN = "there is no connection without a handshake"


@dataclass(frozen=True)
class Suite:
    """The tests of a project.

    Attributes:
        source: its name and version, as ``sources.unpacked()`` takes them; None for
            programs of this folder.
        plugin: a module of this folder that puts ours in the place of theirs.
        files: the tests, patterns below the source.
        which: pytest's expression for the tests that are meant; "" for all.
        options: more arguments for pytest.
        beside: another source that is imported before what is installed.
        accepted: names of tests that fail, without parameters, and why that is right.
    """

    source: str | None
    plugin: str
    files: tuple[str, ...]
    which: str = ""
    options: tuple[str, ...] = ()
    beside: str | None = None
    accepted: dict[str, str] = field(default_factory=dict)


WEBSOCKETS = "python-websockets=15.0.1-1"  # the archives of later ones have no tests

SUITES = {
    "aiohttp": Suite(
        "aiohttp==3.14.5",
        "instead_of_aiohttp",
        (
            "tests/test_web_websocket_functional.py",
            "tests/test_client_ws_functional.py",
        ),
        accepted={
            "test_abnormal_closure_when_server_does_not_receive": AT_ONCE,
            "test_close_releases_parser": PRIVATE,
            "test_close_timeout": PRIVATE,
            "test_close_websocket_while_ping_inflight": PRIVATE,
            "test_concurrent_close_multiple_tasks": "CLOSING, as with one task",
            "test_heartbeat_connection_closed": PRIVATE,
            "test_heartbeat_does_not_timeout_while_receiving_large_frame": PRIVATE,
            "test_heartbeat_no_pong_concurrent_receive": PRIVATE,
            "test_recv_protocol_error": SENTENCE,
            "test_send_recv_compress": WINDOWS,
            "test_send_recv_compress_wbits": WINDOWS,
            "test_stalled_parser_outlives_connection_lost": PRIVATE,
            "test_stashed_frames_survive_connection_loss": PRIVATE,
        },
    ),
    "uvicorn": Suite(
        "uvicorn==0.54.0",
        "instead_of_uvicorn",
        ("tests/protocols/test_websocket.py",),
        "sansio",
        accepted={
            "test_asgi_return_value": GOODBYE,
            "test_close_gives_up_when_the_peer_never_replies": "the time is measured "
            "by a clock of all connections, not by a timer of each",
            "test_close_resumes_reads_paused_on_an_unconsumed_message": "reading goes "
            "on until --ws-max-queue messages wait",
            "test_close_transport_on_asgi_return": GOODBYE,
            "test_duplicate_handshake": GOODBYE,
        },
    ),
    "websockets": Suite(
        WEBSOCKETS,
        "instead_of_websockets",
        (
            "tests/asyncio/test_client.py",
            "tests/asyncio/test_router.py",
            "tests/asyncio/test_server.py",
            "tests/test_datastructures.py",
            "tests/test_exceptions.py",
            "tests/test_headers.py",
        ),
        accepted={
            "test_async_process_request_raises_exception": HOOK,
            "test_async_process_response_raises_exception": HOOK,
            "test_bad_credentials": SENTENCE,
            "test_bad_list_of_credentials": SENTENCE,
            "test_connection_closed_attributes_deprecation": QUIET,
            "test_connection_closed_attributes_deprecation_defaults": QUIET,
            "test_connection_closed_during_handshake": SENTENCE,
            "test_cross_origin_redirect": SENTENCE,
            "test_cross_origin_redirect_with_explicit_host_port": SENTENCE,
            "test_handshake_fails": "a hook can't break the handshake",
            "test_invalid_subprotocol": SENTENCE,
            "test_junk_handshake": "answered with 400; another sentence",
            "test_payload_too_big_with_message": QUIET,
            "test_process_request_raises_exception": HOOK,
            "test_process_response_raises_exception": HOOK,
            "test_str": "PayloadTooBig gets the limit, not what is left of it",
            "test_unsupported_proxy": SENTENCE,
        },
    ),
    "websockets-uri": Suite(
        "websockets==16.0",
        "instead_of_websockets",
        ("tests/test_uri.py",),
        accepted={
            "test_parse_user_info": NEWER,
            "test_parse_valid_uris": NEWER,
        },
    ),
    "websockets-connection": Suite(
        WEBSOCKETS,
        "websockets_facing_ours",
        ("tests/asyncio/test_connection.py",),
        accepted={
            "test_broadcast_reports_connection_failing_to_send": HALF,
            "test_broadcast_skips_connection_failing_to_send": HALF,
            "test_close_during_send": "the peer's answer to 1011 is waited for",
            "test_close_timeout": HANDSHAKEN,
            "test_disable_keepalive": PRIVATE,
            "test_keepalive": PRIVATE,
            "test_keepalive_ignores_timeout": PRIVATE,
            "test_keepalive_reports_errors": PRIVATE,
            "test_keepalive_terminates_while_sleeping": PRIVATE,
            "test_keepalive_terminates_while_waiting_for_pong": PRIVATE,
            "test_keepalive_times_out": PRIVATE,
            "test_local_address": PRIVATE,
            "test_max_queue": HANDSHAKEN,
            "test_max_queue_none": HANDSHAKEN,
            "test_max_queue_tuple": HANDSHAKEN,
            "test_ping": PRIVATE,
            "test_recv_during_recv": SENTENCE,
            "test_recv_during_recv_streaming": SENTENCE,
            "test_recv_non_utf8_text": SENTENCE,
            "test_recv_streaming_cancellation_while_receiving": "the connection stays "
            "usable: recv() drops the rest, recv_streaming() goes on with it",
            "test_recv_streaming_during_recv": SENTENCE,
            "test_recv_streaming_during_recv_streaming": SENTENCE,
            "test_recv_streaming_non_utf8_text": SENTENCE,
            "test_remote_address": PRIVATE,
            "test_request": HANDSHAKEN,
            "test_response": HANDSHAKEN,
            "test_unexpected_failure_in_data_received": PRIVATE,
            "test_unexpected_failure_in_send_context": PRIVATE,
            "test_write_limit": HANDSHAKEN,
            "test_write_limits": HANDSHAKEN,
            "test_writing_in_data_received_fails": HALF,
            "test_writing_in_send_context_fails": HALF,
        },
    ),
    "gql": Suite(
        "gql==4.4.0",
        "instead_of_all",
        ("tests/test_aiohttp_websocket_*.py", "tests/test_websocket_*.py"),
        options=("-p", "pytest_asyncio"),
        accepted={"test_subscribe_on_closing_transport": PRIVATE},
    ),
    "engineio": Suite(
        "python_engineio==4.15.1",
        "instead_of_all",
        (
            "tests/async/test_aiohttp.py",
            "tests/async/test_asgi.py",
            "tests/async/test_client.py",
            "tests/async/test_server.py",
            "tests/async/test_socket.py",
        ),
        options=AUTO,
        accepted={"test_static_file_routing": "the archive lacks the files for it"},
    ),
    "socketio": Suite(
        "python_socketio==5.18.1",
        "instead_of_all",
        ("tests/async/test_[clnps]*.py",),
        options=AUTO,
    ),
    "aiocoap": Suite(
        "aiocoap=0.4.14-1",
        "instead_of_websockets",
        ("tests/test_server.py",),
        # A request can go out before the server's settings came: in blocks, of which
        # aiocoap keeps the first for a while, and the test minds what is kept.
        "TestServerWS and not test_replacing_resource",
        ("-n", "0"),  # the ports are fixed
    ),
    "openai": Suite(
        "openai==3.57.0",
        "instead_of_websockets_client",
        (
            "tests/lib/test_azure_websocket_redirects.py",
            "tests/lib/test_beta_realtime_*.py",
            "tests/lib/test_generated_websocket_compression.py",
            "tests/lib/test_realtime_[!ce]*.py",
            "tests/lib/test_websocket_redirects.py",
        ),
        options=AUTO,
        beside=WEBSOCKETS,  # openai doesn't support later ones
        accepted={
            "test_async_azure_guard_is_preserved": PRIVATE,
            "test_async_websocket_reconnect_redirects": PRIVATE,
            "test_async_websocket_redirects": PRIVATE,
            "test_later_cross_origin_redirect_is_rejected": PRIVATE,
        },
    ),
    "programs": Suite(None, "instead_of_all", ("programs/test_*.py",), options=AUTO),
}
