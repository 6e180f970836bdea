#ifndef PYWSC_COMMON_DOCS_H
#define PYWSC_COMMON_DOCS_H

/* The docstrings of pywscore/_core.pyi, written by tests/checks/docstrings.py --write:
 * change them there. */

/* clang-format off */

#define PYWSC_DOC_TEXT_MESSAGE \
    "TextMessage(data, *, fin=True, compressed=False)\n" \
    "--\n\n" \
    "A text message, as ``str`` (RFC 6455 §5.6).\n\n" \
    "Args:\n" \
    "    data: the payload.\n" \
    "    fin: whether this is the whole message, or its last fragment.\n" \
    "    compressed: whether it came compressed."

#define PYWSC_DOC_TEXT_MESSAGE_DATA \
    "The payload."

#define PYWSC_DOC_TEXT_MESSAGE_FIN \
    "Whether this is the whole message, or its last fragment (RFC 6455 §5.4)."

#define PYWSC_DOC_TEXT_MESSAGE_COMPRESSED \
    "Whether it came compressed (RFC 7692 §6)."

#define PYWSC_DOC_BINARY_MESSAGE \
    "BinaryMessage(data, *, fin=True, compressed=False)\n" \
    "--\n\n" \
    "A binary message, as ``bytes`` (RFC 6455 §5.6).\n\n" \
    "Args:\n" \
    "    data: the payload.\n" \
    "    fin: whether this is the whole message, or its last fragment.\n" \
    "    compressed: whether it came compressed."

#define PYWSC_DOC_BINARY_MESSAGE_DATA \
    "The payload."

#define PYWSC_DOC_BINARY_MESSAGE_FIN \
    "Whether this is the whole message, or its last fragment (RFC 6455 §5.4)."

#define PYWSC_DOC_BINARY_MESSAGE_COMPRESSED \
    "Whether it came compressed (RFC 7692 §6)."

#define PYWSC_DOC_PING \
    "Ping(data)\n" \
    "--\n\n" \
    "A ping (RFC 6455 §5.5.2); its pong is queued already.\n\n" \
    "Args:\n" \
    "    data: the payload."

#define PYWSC_DOC_PING_DATA \
    "The payload, at most 125 bytes."

#define PYWSC_DOC_PONG \
    "Pong(data)\n" \
    "--\n\n" \
    "A pong (RFC 6455 §5.5.3).\n\n" \
    "Args:\n" \
    "    data: the payload."

#define PYWSC_DOC_PONG_DATA \
    "The payload, at most 125 bytes."

#define PYWSC_DOC_CLOSE \
    "Close(code, reason='')\n" \
    "--\n\n" \
    "What a close frame said (RFC 6455 §5.5.1).\n\n" \
    "Args:\n" \
    "    code: the status code; 1005 stands for an empty frame.\n" \
    "    reason: the reason."

#define PYWSC_DOC_CLOSE_CODE \
    "The status code (RFC 6455 §7.4), 1005 if there was none."

#define PYWSC_DOC_CLOSE_REASON \
    "The reason, at most 123 bytes of UTF-8."

#define PYWSC_DOC_PROTOCOL \
    "One end of a WebSocket connection, without I/O. Not instantiable itself."

#define PYWSC_DOC_PROTOCOL_RECEIVE_DATA \
    "receive_data($self, data, /)\n" \
    "--\n\n" \
    "Take bytes that came from the peer, in any pieces; ``next_event()`` reads\n" \
    "them.\n\n" \
    "Nothing is raised for what the peer sent: ``error`` has that, and\n" \
    "``data_to_send()`` what to answer (RFC 6455 §7.1.7).\n\n" \
    "Args:\n" \
    "    data: the bytes. Anything but ``bytes`` is copied."

#define PYWSC_DOC_PROTOCOL_RECEIVE_EOF \
    "receive_eof($self)\n" \
    "--\n\n" \
    "Take note that the peer ended TCP, or that it broke (RFC 6455 §7.1.4)."

#define PYWSC_DOC_PROTOCOL_NEXT_EVENT \
    "next_event($self)\n" \
    "--\n\n" \
    "The next event; None while more bytes are needed, and while a request waits\n" \
    "for its answer.\n\n" \
    "Pongs and the answer to a close frame are queued by themselves (RFC 6455 §5.5.2,\n" \
    "§5.5.1)."

#define PYWSC_DOC_PROTOCOL_EVENTS \
    "events($self)\n" \
    "--\n\n" \
    "The events until ``next_event()`` gives None, as an iterator."

#define PYWSC_DOC_PROTOCOL_SEND_TEXT \
    "send_text($self, data, /, *, fin=True, compress=None)\n" \
    "--\n\n" \
    "Queue a text message (RFC 6455 §5.6), or its first fragment.\n\n" \
    "Args:\n" \
    "    data: ``str``, or bytes that are UTF-8.\n" \
    "    fin: False for the first fragment of several (RFC 6455 §5.4).\n" \
    "    compress: True or False overrides the threshold of the compression that was\n" \
    "        agreed (RFC 7692 §6).\n\n" \
    "Raises:\n" \
    "    InvalidState: if the connection isn't open, or a message isn't finished.\n" \
    "    UnicodeError: if a whole message isn't UTF-8 (RFC 6455 §8.1)."

#define PYWSC_DOC_PROTOCOL_SEND_BINARY \
    "send_binary($self, data, /, *, fin=True, compress=None)\n" \
    "--\n\n" \
    "Queue a binary message (RFC 6455 §5.6), or its first fragment.\n\n" \
    "Args:\n" \
    "    data: the payload.\n" \
    "    fin: False for the first fragment of several (RFC 6455 §5.4).\n" \
    "    compress: True or False overrides the threshold of the compression that was\n" \
    "        agreed (RFC 7692 §6).\n\n" \
    "Raises:\n" \
    "    InvalidState: if the connection isn't open, or a message isn't finished."

#define PYWSC_DOC_PROTOCOL_SEND_CONTINUATION \
    "send_continuation($self, data, /, *, fin=True)\n" \
    "--\n\n" \
    "Queue the next fragment of the message that isn't finished (RFC 6455 §5.4).\n\n" \
    "Args:\n" \
    "    data: ``str`` or bytes.\n" \
    "    fin: whether it is the last one.\n\n" \
    "Raises:\n" \
    "    InvalidState: if the connection isn't open, or there is no such message."

#define PYWSC_DOC_PROTOCOL_SEND_PING \
    "send_ping($self, data=b'', /)\n" \
    "--\n\n" \
    "Queue a ping (RFC 6455 §5.5.2).\n\n" \
    "Args:\n" \
    "    data: up to 125 bytes.\n\n" \
    "Raises:\n" \
    "    InvalidState: if the connection isn't open.\n" \
    "    ValueError: if ``data`` is longer."

#define PYWSC_DOC_PROTOCOL_SEND_PONG \
    "send_pong($self, data=b'', /)\n" \
    "--\n\n" \
    "Queue a pong that nobody asked for (RFC 6455 §5.5.3).\n\n" \
    "Args:\n" \
    "    data: up to 125 bytes.\n\n" \
    "Raises:\n" \
    "    InvalidState: if the connection isn't open.\n" \
    "    ValueError: if ``data`` is longer."

#define PYWSC_DOC_PROTOCOL_SEND_CLOSE \
    "send_close($self, code=None, reason='')\n" \
    "--\n\n" \
    "Start the closing handshake (RFC 6455 §7.1.2), unless that was done.\n\n" \
    "Args:\n" \
    "    code: 1000-1014 as far as they may be sent, or 3000-4999 (RFC 6455 §7.4);\n" \
    "        None for an empty frame.\n" \
    "    reason: up to 123 bytes of UTF-8, empty without a code.\n\n" \
    "Raises:\n" \
    "    InvalidState: during the opening handshake.\n" \
    "    ValueError: if code or reason can't be sent."

#define PYWSC_DOC_PROTOCOL_FAIL \
    "fail($self, code, reason='')\n" \
    "--\n\n" \
    "Fail the connection (RFC 6455 §7.1.7): queue a close frame, if one may still\n" \
    "be sent, and read nothing more.\n\n" \
    "Args:\n" \
    "    code: 1000-1014 as far as they may be sent, or 3000-4999 (RFC 6455 §7.4).\n" \
    "    reason: up to 123 bytes of UTF-8.\n\n" \
    "Raises:\n" \
    "    ValueError: if code or reason can't be sent."

#define PYWSC_DOC_PROTOCOL_DATA_TO_SEND \
    "data_to_send($self)\n" \
    "--\n\n" \
    "What is to be sent to the peer now, once; ``b\"\"`` for nothing."

#define PYWSC_DOC_PROTOCOL_BUFFERS_TO_SEND \
    "buffers_to_send($self)\n" \
    "--\n\n" \
    "What ``data_to_send()`` gives, as a list, with large payloads as the objects\n" \
    "that they were sent as."

#define PYWSC_DOC_PROTOCOL_IS_SERVER \
    "Whether this is the server's end."

#define PYWSC_DOC_PROTOCOL_STATE \
    "CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."

#define PYWSC_DOC_PROTOCOL_CLOSE_CODE \
    "The close code received: 1005 for none in the frame, 1006 if TCP ended\n" \
    "without a frame; None before (RFC 6455 §7.1.5)."

#define PYWSC_DOC_PROTOCOL_CLOSE_REASON \
    "The close reason received (RFC 6455 §7.1.6): empty if TCP ended without a\n" \
    "frame, None before."

#define PYWSC_DOC_PROTOCOL_CLOSE_RECEIVED \
    "The close frame received, or None."

#define PYWSC_DOC_PROTOCOL_CLOSE_RCVD \
    "``close_received``, by its name in ``websockets``."

#define PYWSC_DOC_PROTOCOL_CLOSE_SENT \
    "The close frame sent, or None."

#define PYWSC_DOC_PROTOCOL_CLOSE_RECEIVED_THEN_SENT \
    "Whether the close frame received was first, as seen from this end; None\n" \
    "unless there were both."

#define PYWSC_DOC_PROTOCOL_CLOSE_RCVD_THEN_SENT \
    "``close_received_then_sent``, by its name in ``websockets``."

#define PYWSC_DOC_PROTOCOL_CLOSE_EXCEPTION \
    "ConnectionClosedOK or ConnectionClosedError: what to raise once the\n" \
    "connection is closed."

#define PYWSC_DOC_PROTOCOL_CLOSE_EXC \
    "``close_exception``, by its name in ``websockets``."

#define PYWSC_DOC_PROTOCOL_CLOSE_EXPECTED \
    "Nothing more is to be received: TCP should be ended, by a server at once, by\n" \
    "a client once the server did or took too long (RFC 6455 §7.1.1)."

#define PYWSC_DOC_PROTOCOL_HANDSHAKE_EXCEPTION \
    "Why the opening handshake failed, or None (RFC 6455 §4)."

#define PYWSC_DOC_PROTOCOL_HANDSHAKE_EXC \
    "``handshake_exception``, by its name in ``websockets``."

#define PYWSC_DOC_PROTOCOL_ERROR \
    "What failed the connection from this end (ProtocolError, PayloadTooBig,\n" \
    "UnicodeDecodeError ...), or None."

#define PYWSC_DOC_PROTOCOL_SUBPROTOCOL \
    "The agreed subprotocol, or None (RFC 6455 §1.9)."

#define PYWSC_DOC_PROTOCOL_COMPRESSION \
    "The agreed permessage-deflate parameters (RFC 7692 §7.1), None before or\n" \
    "without it."

#define PYWSC_DOC_PROTOCOL_EXTENSIONS \
    "The agreed extensions: ``compression`` or nothing."

#define PYWSC_DOC_PROTOCOL_MAX_SIZE \
    "Bytes in a received message after decompression, None for no limit."

#define PYWSC_DOC_SERVER_PROTOCOL \
    "ServerProtocol(*, max_size=1048576, compression=None, max_line=8192, max_header_line=8192, max_head=32768, max_headers=128, any_request=False)\n" \
    "--\n\n" \
    "The server's end of a connection, without I/O.\n\n" \
    "A request that doesn't ask for WebSocket as RFC 6455 §4.2.1 wants it is refused at\n" \
    "once (handshake_exception), without an event. With ``any_request`` it gives a\n" \
    "Request event like others, unless its head can't be read: health checks and pages\n" \
    "are answered with ``respond()``. ``handshake_exception`` is set then, and\n" \
    "``accept()``, ``build_response()`` and a 101 raise it.\n\n" \
    "Args:\n" \
    "    max_size: bytes in a received message after decompression; None for no limit.\n" \
    "    compression: what to accept of permessage-deflate; None for nothing.\n" \
    "    max_line: bytes in the request's first line.\n" \
    "    max_header_line: bytes in one of its header lines.\n" \
    "    max_head: bytes in all of its head.\n" \
    "    max_headers: number of its header lines.\n" \
    "    any_request: give an event for requests of other kinds, too.\n\n" \
    "Raises:\n" \
    "    ValueError: if a limit is out of range."

#define PYWSC_DOC_SERVER_PROTOCOL_ACCEPT \
    "accept($self, *, subprotocol=None, headers=())\n" \
    "--\n\n" \
    "Queue the 101 (RFC 6455 §4.2.2) for the request that ``next_event()`` gave;\n" \
    "the connection is open then.\n\n" \
    "Args:\n" \
    "    subprotocol: one that the request offers, or None.\n" \
    "    headers: more header lines.\n\n" \
    "Raises:\n" \
    "    InvalidState: if no request waits for an answer.\n" \
    "    InvalidHandshake: ``handshake_exception``, if there is one.\n" \
    "    ValueError: if the subprotocol wasn't offered, or a header can't be sent."

#define PYWSC_DOC_SERVER_PROTOCOL_BUILD_RESPONSE \
    "build_response($self, *, subprotocol=None, headers=())\n" \
    "--\n\n" \
    "The 101 that ``accept()`` would queue, to be changed and given to\n" \
    "``respond()``.\n\n" \
    "Args:\n" \
    "    subprotocol: one that the request offers, or None.\n" \
    "    headers: more header lines.\n\n" \
    "Raises:\n" \
    "    InvalidState: if no request waits for an answer.\n" \
    "    InvalidHandshake: ``handshake_exception``, if there is one.\n" \
    "    ValueError: if the subprotocol wasn't offered, or a header can't be sent."

#define PYWSC_DOC_SERVER_PROTOCOL_RESPOND \
    "respond($self, response, /)\n" \
    "--\n\n" \
    "Queue any response; status 101 opens the connection, another ends it.\n\n" \
    "Args:\n" \
    "    response: it.\n\n" \
    "Raises:\n" \
    "    InvalidState: if no request waits for an answer.\n" \
    "    InvalidHandshake: ``handshake_exception``, if there is one and the status is\n" \
    "        101.\n" \
    "    ValueError: if the response can't be sent, a 101 with a subprotocol that\n" \
    "        wasn't offered, for instance."

#define PYWSC_DOC_SERVER_PROTOCOL_REJECT \
    "reject($self, status, body='', *, headers=())\n" \
    "--\n\n" \
    "Refuse the request with a text (RFC 6455 §4.2.2); that ends the connection.\n\n" \
    "Args:\n" \
    "    status: HTTP's status code, but 101.\n" \
    "    body: the text.\n" \
    "    headers: more header lines.\n\n" \
    "Raises:\n" \
    "    InvalidState: if no request waits for an answer.\n" \
    "    ValueError: if the status or a header can't be sent."

#define PYWSC_DOC_SERVER_PROTOCOL_OFFERED_SUBPROTOCOLS \
    "The subprotocols that the request offers, preferred first (RFC 6455 §4.2.1,\n" \
    "item 8); none once it is answered."

#define PYWSC_DOC_SERVER_PROTOCOL_ORIGIN \
    "The request's Origin (RFC 6455 §10.2), or None; None once it is answered."

#define PYWSC_DOC_SERVER_PROTOCOL_REFUSAL \
    "While a request waits that ``handshake_exception`` is about: the status and\n" \
    "the sentence to refuse it with; else None."

#define PYWSC_DOC_CLIENT_PROTOCOL \
    "ClientProtocol(*, target, headers, subprotocols=(), max_size=1048576, compression=None, max_line=8192, max_header_line=8192, max_head=32768, max_headers=128)\n" \
    "--\n\n" \
    "The client's end of a connection, without I/O; its request is queued at once (RFC\n" \
    "6455 §4.1).\n\n" \
    "Args:\n" \
    "    target: what to ask for, a path with a query.\n" \
    "    headers: header lines, Host first; those of the handshake are added.\n" \
    "    subprotocols: what to offer, the preferred one first.\n" \
    "    max_size: bytes in a received message after decompression; None for no limit.\n" \
    "    compression: what to offer of permessage-deflate; None for nothing.\n" \
    "    max_line: bytes in the response's first line.\n" \
    "    max_header_line: bytes in one of its header lines.\n" \
    "    max_head: bytes in all of its head.\n" \
    "    max_headers: number of its header lines.\n\n" \
    "Raises:\n" \
    "    ValueError: if a header, a subprotocol or a limit can't be used."

#define PYWSC_DOC_CLIENT_PROTOCOL_REQUEST \
    "The request that was queued."

#define PYWSC_DOC_RECEIVE_BUFFER \
    "ReceiveBuffer(size=262144)\n" \
    "--\n\n" \
    "The memory that all connections of one event loop receive into.\n\n" \
    "Args:\n" \
    "    size: in bytes."

#define PYWSC_DOC_TIMERS \
    "Timers(loop)\n" \
    "--\n\n" \
    "The timers of all connections of one event loop; at most one of the loop's own is\n" \
    "set for them.\n\n" \
    "Args:\n" \
    "    loop: it."

#define PYWSC_DOC_WAITER \
    "What a task waits on: asyncio's future protocol, woken in place."

#define PYWSC_DOC_STEPPER \
    "Stepper(coroutine, /)\n" \
    "--\n\n" \
    "The coroutine of a task, which steps another one. The task sleeps on while that\n" \
    "one waits for nothing but ``Waiter`` objects; whatever else happens in it, the task\n" \
    "does. Other attributes are the other coroutine's.\n\n" \
    "Args:\n" \
    "    coroutine: the other one."

#define PYWSC_DOC_CONNECTION \
    "Connection(protocol, loop, receive_buffer, timers, max_queue, write_limit, ping_interval, ping_timeout, idle_timeout, rate_limit=None)\n" \
    "--\n\n" \
    "The hot path of an asyncio connection: a BufferedProtocol, the receive queue, and\n" \
    "the awaitables of recv() and send(). pywscore.asyncio.Connection derives from it.\n\n" \
    "Hooks (methods named ``_on_...``) are called between calls into the core, never in\n" \
    "the middle of one; they may do anything. An exception in one fails the connection\n" \
    "with 1011 and is given to the loop's exception handler.\n\n" \
    "Args:\n" \
    "    protocol: the connection without I/O.\n" \
    "    loop: the running event loop.\n" \
    "    receive_buffer: the loop's.\n" \
    "    timers: the loop's.\n" \
    "    max_queue: (high, low) in messages, None for no limit.\n" \
    "    write_limit: (high, low) in bytes.\n" \
    "    ping_interval: in seconds, None for never; as the next two.\n" \
    "    ping_timeout: how long a pong may take.\n" \
    "    idle_timeout: how long there may be no message.\n" \
    "    rate_limit: messages and bytes that may come in a second, None for any number;\n" \
    "        seconds of both that may come at once; True to close with 1008 who sends\n" \
    "        more, False to stop reading. None for no limit."

#define PYWSC_DOC_CONNECTION_PROTOCOL \
    "The connection without I/O."

#define PYWSC_DOC_CONNECTION_LOOP \
    "The event loop that it belongs to."

#define PYWSC_DOC_CONNECTION_TRANSPORT \
    "asyncio's transport, or the engine's; None before there is one."

#define PYWSC_DOC_CONNECTION_STATE \
    "CONNECTING, OPEN, CLOSING or CLOSED (RFC 6455 §4.1, §7.1)."

#define PYWSC_DOC_CONNECTION_CONNECTION_MADE \
    "connection_made($self, transport)\n" \
    "--\n\n" \
    "Called by the transport, as what follows: TCP, and TLS on it, is there.\n\n" \
    "Args:\n" \
    "    transport: it."

#define PYWSC_DOC_CONNECTION_GET_BUFFER \
    "get_buffer($self, sizehint)\n" \
    "--\n\n" \
    "The memory to receive into, for the transport.\n\n" \
    "Args:\n" \
    "    sizehint: no matter."

#define PYWSC_DOC_CONNECTION_BUFFER_UPDATED \
    "buffer_updated($self, nbytes)\n" \
    "--\n\n" \
    "The transport has received something.\n\n" \
    "Args:\n" \
    "    nbytes: how much of the buffer is filled."

#define PYWSC_DOC_CONNECTION_EOF_RECEIVED \
    "eof_received($self)\n" \
    "--\n\n" \
    "The peer has ended its side; whether ours stays open."

#define PYWSC_DOC_CONNECTION_CONNECTION_LOST \
    "connection_lost($self, exc)\n" \
    "--\n\n" \
    "TCP is gone.\n\n" \
    "Args:\n" \
    "    exc: why; None if it was closed."

#define PYWSC_DOC_CONNECTION_PAUSE_WRITING \
    "pause_writing($self)\n" \
    "--\n\n" \
    "The transport has more to send than its high-water mark."

#define PYWSC_DOC_CONNECTION_RESUME_WRITING \
    "resume_writing($self)\n" \
    "--\n\n" \
    "The transport has less to send than its low-water mark."

#define PYWSC_DOC_CONNECTION_RECV \
    "Receive the next message: ``str`` for text, ``bytes`` for binary (RFC 6455\n" \
    "§5.6).\n\n" \
    "Cancelling it loses no message.\n\n" \
    "Args:\n" \
    "    decode: True for ``str`` also from binary messages, False for ``bytes`` also\n" \
    "        from text messages.\n\n" \
    "Returns:\n" \
    "    The message.\n\n" \
    "Raises:\n" \
    "    ConnectionClosed: once the connection is closed and all messages were\n" \
    "        received; with ``decode=True`` also if a binary message isn't UTF-8,\n" \
    "        which closes it with 1007.\n" \
    "    ConcurrencyError: if another task receives at the same time."

#define PYWSC_DOC_CONNECTION_SEND \
    "Send a message: ``str`` as text, bytes-like as binary (RFC 6455 §5.6), an\n" \
    "iterable or asynchronous iterable of either as fragments (RFC 6455 §5.4).\n\n" \
    "Waits while output is above the high-water mark of ``write_limit``.\n\n" \
    "Args:\n" \
    "    message: it, or its fragments.\n" \
    "    text: True for a text message of UTF-8 bytes, False for a binary message of\n" \
    "        an encoded ``str``.\n" \
    "    compress: True or False overrides the threshold of the compression that was\n" \
    "        agreed (RFC 7692 §6).\n\n" \
    "Raises:\n" \
    "    ConnectionClosed: if the connection isn't open.\n" \
    "    TypeError: for messages of other types.\n" \
    "    UnicodeError: if a text message isn't UTF-8 (RFC 6455 §8.1)."

#define PYWSC_DOC_CONNECTION_SEND_NOWAIT \
    "send_nowait($self, message, *, text=None, compress=None)\n" \
    "--\n\n" \
    "Queue a message at once (RFC 6455 §5.6).\n\n" \
    "Args:\n" \
    "    message: ``str`` for text, bytes-like for binary.\n" \
    "    text: True for a text message of UTF-8 bytes, False for a binary message of\n" \
    "        an encoded ``str``.\n" \
    "    compress: True or False overrides the threshold of the compression that was\n" \
    "        agreed (RFC 7692 §6).\n\n" \
    "Returns:\n" \
    "    Whether output isn't above the high-water mark of ``write_limit``. Who goes\n" \
    "    on otherwise has to bound what is queued; ``drain()``, or ``on_drained`` of\n" \
    "    a listener, says when there is room again.\n\n" \
    "Raises:\n" \
    "    ConnectionClosed: if the connection isn't open.\n" \
    "    ConcurrencyError: while a message is sent in fragments.\n" \
    "    TypeError: for messages of other types.\n" \
    "    UnicodeError: if a text message isn't UTF-8 (RFC 6455 §8.1).\n" \
    "    RuntimeError: in another thread than the loop's."

#define PYWSC_DOC_CONNECTION_DRAIN \
    "Wait until output is below the low-water mark of ``write_limit``, if it was\n" \
    "above the high one.\n\n" \
    "Raises:\n" \
    "    ConnectionClosed: if the connection ends before."

#define PYWSC_DOC_CONNECTION_FLUSH \
    "flush($self)\n" \
    "--\n\n" \
    "Hand what is queued to the transport; while messages are taken, once they\n" \
    "are.\n\n" \
    "Raises:\n" \
    "    RuntimeError: in another thread than the loop's."

#define PYWSC_DOC_CONNECTION_WRITE_PAUSED \
    "Output went above the high-water mark of ``write_limit`` and isn't below the\n" \
    "low one yet."

#define PYWSC_DOC_CONNECTION_READ_PAUSED \
    "Reading stopped because more messages wait than ``max_queue`` allows."

#define PYWSC_DOC_CONNECTION_MESSAGES_QUEUED \
    "Messages received and not taken yet."

#define PYWSC_DOC_CONNECTION_MESSAGES_RECEIVED \
    "Whole messages received so far."

#define PYWSC_DOC_CONNECTION_MESSAGES_SENT \
    "Whole messages queued for sending so far."

#define PYWSC_DOC_CONNECTION_BROADCASTS_SKIPPED \
    "Messages that ``broadcast()`` left out because this peer reads too slowly."

#define PYWSC_DOC_MESSAGE_STREAM \
    "Another library's interface over a connection: what is done per message.\n\n" \
    "A subclass opens it with _open_stream(), and has these coroutine methods for all\n" \
    "that is unusual: ``_receive_slow(timeout=None)`` and ``_next_slow()`` while the\n" \
    "stream isn't open, is closing or closed, has a receive() waiting, or with limits of\n" \
    "time; ``_receive_end()`` and ``_next_end()`` once the connection has ended and all\n" \
    "messages were received, to give the last one or to raise; ``_send_str_slow(...)``\n" \
    "and ``_send_bytes_slow(...)`` with arguments other than one message of the right\n" \
    "type; ``_send_lost()``, to raise, when the connection was lost while a message\n" \
    "waited for room."

#define PYWSC_DOC_MESSAGE_STREAM_RECEIVE \
    "Wait for a message. Cancelling it loses none.\n\n" \
    "Args:\n" \
    "    timeout: in seconds; by default the receive timeout of the object.\n\n" \
    "Returns:\n" \
    "    A message as aiohttp's; of type CLOSE, CLOSING, CLOSED or ERROR when the\n" \
    "        connection\n" \
    "    ends.\n\n" \
    "Raises:\n" \
    "    TimeoutError: after ``timeout``; the connection stays open.\n" \
    "    RuntimeError: before ``prepare()``, and while another task receives."

#define PYWSC_DOC_MESSAGE_STREAM_SEND_STR \
    "Send a text message (RFC 6455 §5.6). Waits while much output waits.\n\n" \
    "Args:\n" \
    "    data: the message.\n" \
    "    compress: False sends it uncompressed, a number above 0 compressed, if\n" \
    "        compression was agreed on; by default as agreed (RFC 7692 §6).\n\n" \
    "Raises:\n" \
    "    ClientConnectionResetError: if the connection is closing or lost.\n" \
    "    RuntimeError: before ``prepare()``.\n" \
    "    TypeError: if ``data`` isn't ``str``."

#define PYWSC_DOC_MESSAGE_STREAM_SEND_BYTES \
    "Send a binary message (RFC 6455 §5.6); see ``send_str()``.\n\n" \
    "Args:\n" \
    "    data: ``bytes``, a ``bytearray`` or a ``memoryview``.\n" \
    "    compress: as of ``send_str()``.\n\n" \
    "Raises:\n" \
    "    ClientConnectionResetError: if the connection is closing or lost.\n" \
    "    RuntimeError: before ``prepare()``.\n" \
    "    TypeError: if ``data`` is something else."

#define PYWSC_DOC_ENGINE \
    "Engine(loop)\n" \
    "--\n\n" \
    "Sockets in C, watched by an event loop as one descriptor.\n\n" \
    "Args:\n" \
    "    loop: it."

#define PYWSC_DOC_ENGINE_FILENO \
    "fileno($self)\n" \
    "--\n\n" \
    "What the loop watches for reading, with ``ready()`` as its callback."

#define PYWSC_DOC_ENGINE_READY \
    "ready($self)\n" \
    "--\n\n" \
    "Handle what is ready."

#define PYWSC_DOC_ENGINE_LISTEN \
    "listen($self, fd, accepted, /)\n" \
    "--\n\n" \
    "Accept from a listening socket, which stays the caller's.\n\n" \
    "Args:\n" \
    "    fd: the socket.\n" \
    "    accepted: called with a descriptor and 0, or with -1 and an errno when there\n" \
    "        are no resources."

#define PYWSC_DOC_ENGINE_FORGET \
    "forget($self)\n" \
    "--\n\n" \
    "In a child after ``fork()``: what is shared with the parent isn't touched."

#define PYWSC_DOC_ENGINE_ACCEPTOR_ACCEPT \
    "accept($self, on, /)\n" \
    "--\n\n" \
    "Stop or go on accepting.\n\n" \
    "Args:\n" \
    "    on: go on."

#define PYWSC_DOC_ENGINE_ACCEPTOR_CLOSE \
    "close($self)\n" \
    "--\n\n" \
    "Stop for good; the socket stays the caller's."

#define PYWSC_DOC_TLS_CONTEXT \
    "TLSContext(server)\n" \
    "--\n\n" \
    "OpenSSL's settings. Once connections use them nothing but ``add_name()`` may be\n" \
    "called, by any thread. ValueError says what is wrong with an argument.\n\n" \
    "Args:\n" \
    "    server: for a server's connections."

#define PYWSC_DOC_HISTOGRAM \
    "Histogram()\n" \
    "--\n\n" \
    "Durations in whole nanoseconds, with three significant digits and a bounded size:\n" \
    "below 2048 a value has a bucket of its own, above it shares one whose width is at\n" \
    "most 1/1024 of it."

#define PYWSC_DOC_HISTOGRAM_COUNT \
    "How many there are."

#define PYWSC_DOC_HISTOGRAM_MIN \
    "The smallest one, exact; 0 if there is none."

#define PYWSC_DOC_HISTOGRAM_MAX \
    "The largest one, exact; 0 if there is none."

#define PYWSC_DOC_HISTOGRAM_MEAN \
    "Of all, exact; 0 if there is none."

#define PYWSC_DOC_HISTOGRAM_ADD \
    "add($self, value, /)\n" \
    "--\n\n" \
    "Count a duration.\n\n" \
    "Args:\n" \
    "    value: in nanoseconds.\n\n" \
    "Raises:\n" \
    "    OverflowError: if it is negative, or has more than 64 bits."

#define PYWSC_DOC_HISTOGRAM_MERGE \
    "merge($self, other, /)\n" \
    "--\n\n" \
    "Count all that another one has counted.\n\n" \
    "Args:\n" \
    "    other: it."

#define PYWSC_DOC_HISTOGRAM_PERCENTILE \
    "percentile($self, percent, /)\n" \
    "--\n\n" \
    "The duration that so many do not pass: the nearest rank, and the largest\n" \
    "value of its bucket.\n\n" \
    "Args:\n" \
    "    percent: 0 to 100.\n\n" \
    "Raises:\n" \
    "    ValueError: if it isn't."

#define PYWSC_DOC_LOAD \
    "Load(*, address, port, target, payload, tls, server_name, headers, subprotocols, compression, text, connections, first_room, room_size, depth, rate, messages, duration, ramp, opening_max, timeout, handshakes, spin, max_size)\n" \
    "--\n\n" \
    "A load on a server from one thread: csrc/include/wsc/load.h, which explains what\n" \
    "the arguments do. Times are in seconds.\n\n" \
    "Args:\n" \
    "    address: in digits.\n" \
    "    port: of TCP.\n" \
    "    target: of the request; ``{room}`` and ``{connection}`` are replaced.\n" \
    "    payload: of each message.\n" \
    "    tls: its settings, or None.\n" \
    "    server_name: for TLS.\n" \
    "    headers: of the request, Host among them.\n" \
    "    subprotocols: to offer.\n" \
    "    compression: whether permessage-deflate is offered.\n" \
    "    text: whether messages are text, not binary.\n" \
    "    connections: how many.\n" \
    "    first_room: the number of the first room.\n" \
    "    room_size: connections in a room; ``connections`` is a multiple.\n" \
    "    depth: messages of a room that are on their way at most.\n" \
    "    rate: messages a second; 0 for a closed loop.\n" \
    "    messages: to be sent; 0 for any number.\n" \
    "    duration: of sending; 0 for any.\n" \
    "    ramp: connections that are opened a second; 0 for any number.\n" \
    "    opening_max: connections that are opened at the same time at most.\n" \
    "    timeout: to open a connection, and to be answered.\n" \
    "    handshakes: open and drop connections in the place of sending.\n" \
    "    spin: don't sleep.\n" \
    "    max_size: bytes of a message that is received, at most.\n\n" \
    "Raises:\n" \
    "    ValueError: if an argument is out of range.\n" \
    "    OSError: if the system has no descriptors left."

#define PYWSC_DOC_LOAD_RUN \
    "run($self, seconds, /)\n" \
    "--\n\n" \
    "Work for some time, or until a phase has ended, without the GIL. The phase\n" \
    "is 0 while connections open, 1 when they are ready for ``start()``, 2 running, 3\n" \
    "waiting for what is on its way, 4 closing, 5 over.\n\n" \
    "Args:\n" \
    "    seconds: for how long at most.\n\n" \
    "Raises:\n" \
    "    RuntimeError: in this and all other methods, if another thread runs it."

#define PYWSC_DOC_LOAD_START \
    "start($self)\n" \
    "--\n\n" \
    "In phase 1: begin to send, from now on."

#define PYWSC_DOC_LOAD_STOP \
    "stop($self)\n" \
    "--\n\n" \
    "Before its time: send no more, close the connections."

#define PYWSC_DOC_LOAD_FIGURES \
    "figures($self)\n" \
    "--\n\n" \
    "What was counted, by the names of ``struct wsc_load_figures``; moments are\n" \
    "nanoseconds of ``time.monotonic_ns()``."

#define PYWSC_DOC_LOAD_FAULTS \
    "faults($self)\n" \
    "--\n\n" \
    "Why connections failed: kind and number as in ``enum wsc_load_fault_kind``,\n" \
    "how many, and a text, perhaps the peer's."

#define PYWSC_DOC_LOAD_LATENCIES \
    "latencies($self)\n" \
    "--\n\n" \
    "A copy: from when messages were sent, or with ``rate`` were to be sent, until\n" \
    "they were received."

#define PYWSC_DOC_LOAD_OPENINGS \
    "openings($self)\n" \
    "--\n\n" \
    "A copy: of opening a connection."

#define PYWSC_DOC_ENGINE_TRANSPORT \
    "EngineTransport(engine, fd, connection, tls=None, server_hostname=None)\n" \
    "--\n\n" \
    "A connected socket as the transport of a connection, with the methods of\n" \
    "``asyncio.Transport``. It owns ``fd``, unless OSError is raised.\n\n" \
    "Args:\n" \
    "    engine: the loop's.\n" \
    "    fd: the socket.\n" \
    "    connection: whose it is.\n" \
    "    tls: settings, None for plain TCP.\n" \
    "    server_hostname: what to ask the server for, and to look for in its certificate."

#define PYWSC_DOC_ENGINE_TRANSPORT_GET_PROTOCOL \
    "get_protocol($self)\n" \
    "--\n\n" \
    "The connection; None after its end."

#define PYWSC_DOC_APPLY_MASK \
    "apply_mask($module, data, masking_key, /)\n" \
    "--\n\n" \
    "Mask or unmask a payload (RFC 6455 §5.3).\n\n" \
    "Args:\n" \
    "    data: the payload.\n" \
    "    masking_key: 4 bytes.\n\n" \
    "Returns:\n" \
    "    The other of the two, as long as ``data``.\n\n" \
    "Raises:\n" \
    "    ValueError: if ``masking_key`` isn't of 4 bytes."

#define PYWSC_DOC_IS_VALID_UTF8 \
    "is_valid_utf8($module, data, /)\n" \
    "--\n\n" \
    "Whether bytes are UTF-8 (RFC 3629), as text messages have to be (RFC 6455 §8.1).\n\n" \
    "Args:\n" \
    "    data: the bytes."

#define PYWSC_DOC_ACCEPT_KEY \
    "accept_key($module, key, /)\n" \
    "--\n\n" \
    "The Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2).\n\n" \
    "Args:\n" \
    "    key: 16 bytes in base64.\n\n" \
    "Raises:\n" \
    "    ValueError: if it isn't that."

#define PYWSC_DOC_READ_RESPONSE \
    "read_response($module, data, /)\n" \
    "--\n\n" \
    "The response whose head data begins with, and how many bytes the head has; None\n" \
    "while it isn't complete.\n\n" \
    "Args:\n" \
    "    data: what came so far.\n\n" \
    "Raises:\n" \
    "    ValueError: if it isn't a response of HTTP/1, or longer than the limits."

#define PYWSC_DOC_READ_PROXY_HEADER \
    "read_proxy_header($module, data, /)\n" \
    "--\n\n" \
    "What the header of the PROXY protocol says that data begins with, and how many\n" \
    "bytes it has; None while it isn't complete.\n\n" \
    "Args:\n" \
    "    data: what came so far.\n\n" \
    "Returns:\n" \
    "    The client's address as its kind (1 IPv4, 2 IPv6, 3 Unix), its bytes and port;\n" \
    "    None in its place if the proxy doesn't say.\n\n" \
    "Raises:\n" \
    "    ValueError: if it isn't one, or longer than 8 KiB."

#define PYWSC_DOC_BROADCAST \
    "broadcast($module, connections, message, text, compress, close_slow, report_slow, hold, /)\n" \
    "--\n\n" \
    "What ``pywscore.broadcast()`` is made of: send a message to those of the\n" \
    "connections that are open. Those above their high-water mark are left out and\n" \
    "counted.\n\n" \
    "Args:\n" \
    "    connections: all of this thread's loop.\n" \
    "    message: it.\n" \
    "    text: as of ``send()``.\n" \
    "    compress: as of ``send()``.\n" \
    "    close_slow: close those that are left out, with 1008.\n" \
    "    report_slow: mention them in what is returned.\n" \
    "    hold: it is to leave with what is sent next.\n\n" \
    "Returns:\n" \
    "    What went wrong with which connection, None if nothing did; None for the\n" \
    "        exception\n" \
    "    says that it was left out.\n\n" \
    "Raises:\n" \
    "    RuntimeError: for a connection of another thread.\n" \
    "    TypeError: for something else than a connection."

/* clang-format on */

#endif
