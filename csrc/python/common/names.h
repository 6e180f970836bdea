/* What the module state has, a name a line: state.h and state.c make of each list what
 * they need. */
#ifndef PYWSC_NAMES_H
#define PYWSC_NAMES_H

/* Types of ours: a field of the state. */
#define PYWSC_STATE_TYPES(TYPE)                                                        \
    TYPE(coroutine_method)                                                             \
    TYPE(text_message)                                                                 \
    TYPE(binary_message)                                                               \
    TYPE(ping)                                                                         \
    TYPE(pong)                                                                         \
    TYPE(close)                                                                        \
    TYPE(protocol)                                                                     \
    TYPE(server_protocol)                                                              \
    TYPE(client_protocol)                                                              \
    TYPE(events)                                                                       \
    TYPE(receive_buffer)                                                               \
    TYPE(timers)                                                                       \
    TYPE(waiter)                                                                       \
    TYPE(stepper)                                                                      \
    TYPE(connection)                                                                   \
    TYPE(operation)                                                                    \
    TYPE(message_stream)                                                               \
    TYPE(engine)                                                                       \
    TYPE(engine_transport)                                                             \
    TYPE(engine_acceptor)                                                              \
    TYPE(tls_context)                                                                  \
    TYPE(histogram)                                                                    \
    TYPE(load)

/* Python classes and functions: PYWSC_CONNECTION_CLOSED_OK and so on. */
#define PYWSC_STATE_OBJECTS(OBJECT)                                                    \
    OBJECT(CONNECTION_CLOSED_OK, "pywscore.exceptions", "ConnectionClosedOK")          \
    OBJECT(CONNECTION_CLOSED_ERROR, "pywscore.exceptions", "ConnectionClosedError")    \
    OBJECT(PROTOCOL_ERROR, "pywscore.exceptions", "ProtocolError")                     \
    OBJECT(PAYLOAD_TOO_BIG, "pywscore.exceptions", "PayloadTooBig")                    \
    OBJECT(INVALID_STATE, "pywscore.exceptions", "InvalidState")                       \
    OBJECT(CONCURRENCY_ERROR, "pywscore.exceptions", "ConcurrencyError")               \
    OBJECT(INVALID_HANDSHAKE, "pywscore.exceptions", "InvalidHandshake")               \
    OBJECT(INVALID_MESSAGE, "pywscore.exceptions", "InvalidMessage")                   \
    OBJECT(REQUEST_LINE_TOO_LONG, "pywscore.exceptions", "RequestLineTooLong")         \
    OBJECT(STATUS_LINE_TOO_LONG, "pywscore.exceptions", "StatusLineTooLong")           \
    OBJECT(INVALID_METHOD, "pywscore.exceptions", "InvalidMethod")                     \
    OBJECT(INVALID_PROTOCOL, "pywscore.exceptions", "InvalidProtocol")                 \
    OBJECT(INVALID_STATUS, "pywscore.exceptions", "InvalidStatus")                     \
    OBJECT(INVALID_HEADER, "pywscore.exceptions", "InvalidHeader")                     \
    OBJECT(INVALID_HEADER_VALUE, "pywscore.exceptions", "InvalidHeaderValue")          \
    OBJECT(INVALID_UPGRADE, "pywscore.exceptions", "InvalidUpgrade")                   \
    OBJECT(NEGOTIATION_ERROR, "pywscore.exceptions", "NegotiationError")               \
    OBJECT(DUPLICATE_PARAMETER, "pywscore.exceptions", "DuplicateParameter")           \
    OBJECT(INVALID_PARAMETER_NAME, "pywscore.exceptions", "InvalidParameterName")      \
    OBJECT(INVALID_PARAMETER_VALUE, "pywscore.exceptions", "InvalidParameterValue")    \
    OBJECT(DESCRIBE_CLOSE, "pywscore.exceptions", "describe_close")                    \
    OBJECT(STATE, "pywscore.enums", "State")                                           \
    OBJECT(HEADERS, "pywscore.http", "Headers")                                        \
    OBJECT(REQUEST, "pywscore.http", "Request")                                        \
    OBJECT(RESPONSE, "pywscore.http", "Response")                                      \
    OBJECT(PER_MESSAGE_DEFLATE, "pywscore.extensions", "PerMessageDeflate")            \
    OBJECT(INIT_SUBCLASS, "pywscore._overrides", "init_subclass")                      \
    OBJECT(CANCELLED_ERROR, "asyncio", "CancelledError")                               \
    OBJECT(INVALID_STATE_ERROR, "asyncio", "InvalidStateError")                        \
    PYWSC_TASK_OBJECTS(OBJECT)

#if PY_VERSION_HEX < 0x030C0000
/* A dict by loop. */
#define PYWSC_TASK_OBJECTS(OBJECT)                                                     \
    OBJECT(CURRENT_TASK, "asyncio.tasks", "_current_tasks")
#else
#define PYWSC_TASK_OBJECTS(OBJECT)                                                     \
    OBJECT(CURRENT_TASK, "asyncio", "current_task")                                    \
    OBJECT(ENTER_TASK, "asyncio.tasks", "_enter_task")                                 \
    OBJECT(LEAVE_TASK, "asyncio.tasks", "_leave_task")
#endif

/* Interned strings: PYWSC_NAME_WRITE and so on. Those from GET on are of nearly every
 * handshake. */
#define PYWSC_STATE_NAMES(NAME)                                                        \
    NAME(FLUSH, "flush")                                                               \
    NAME(WRITE, "write")                                                               \
    NAME(TIME, "time")                                                                 \
    NAME(CALL_AT, "call_at")                                                           \
    NAME(CANCEL, "cancel")                                                             \
    NAME(FIRED, "_fired")                                                              \
    NAME(GET_WRITE_BUFFER_SIZE, "get_write_buffer_size")                               \
    NAME(CALL_SOON, "call_soon")                                                       \
    NAME(CONTEXT, "context")                                                           \
    NAME(FUTURE_BLOCKING, "_asyncio_future_blocking")                                  \
    NAME(ADD_DONE_CALLBACK, "add_done_callback")                                       \
    NAME(GET_LOOP, "get_loop")                                                         \
    NAME(PAUSE_READING, "pause_reading")                                               \
    NAME(RESUME_READING, "resume_reading")                                             \
    NAME(CALL_EXCEPTION_HANDLER, "call_exception_handler")                             \
    NAME(ON_PROXIED, "_on_proxied")                                                    \
    NAME(ON_REQUEST, "_on_request")                                                    \
    NAME(ON_RESPONSE, "_on_response")                                                  \
    NAME(ON_HANDSHAKE_FAILED, "_on_handshake_failed")                                  \
    NAME(ON_PING, "_on_ping")                                                          \
    NAME(ON_PONG, "_on_pong")                                                          \
    NAME(ON_CLOSING, "_on_closing")                                                    \
    NAME(ON_OUTPUT_TAKEN, "_on_output_taken")                                          \
    NAME(ON_CLOSE_RECEIVED, "_on_close_received")                                      \
    NAME(ON_HEAD_RECEIVED, "_on_head_received")                                        \
    NAME(ON_FRAMES, "_on_frames")                                                      \
    NAME(ON_LOST, "_on_lost")                                                          \
    NAME(CAUSE, "_cause")                                                              \
    NAME(UNDECODABLE, "_undecodable")                                                  \
    NAME(ON_OPEN_TIMEOUT, "_on_open_timeout")                                          \
    NAME(SEND_KEEPALIVE_PING, "_send_keepalive_ping")                                  \
    NAME(ON_NO_PONG, "_on_no_pong")                                                    \
    NAME(ABORT, "_abort")                                                              \
    NAME(SEND_SLOW, "_send_slow")                                                      \
    NAME(RECEIVE_SLOW, "_receive_slow")                                                \
    NAME(NEXT_SLOW, "_next_slow")                                                      \
    NAME(RECEIVE_END, "_receive_end")                                                  \
    NAME(NEXT_END, "_next_end")                                                        \
    NAME(SEND_STR_SLOW, "_send_str_slow")                                              \
    NAME(SEND_BYTES_SLOW, "_send_bytes_slow")                                          \
    NAME(SEND_LOST, "_send_lost")                                                      \
    NAME(READY, "ready")                                                               \
    NAME(WAKE, "_wake")                                                                \
    NAME(EOF_RECEIVED, "eof_received")                                                 \
    NAME(CONNECTION_LOST, "connection_lost")                                           \
    NAME(PAUSE_WRITING, "pause_writing")                                               \
    NAME(RESUME_WRITING, "resume_writing")                                             \
    NAME(DETACH, "_detach")                                                            \
    NAME(LOST, "_lost")                                                                \
    NAME(ON_LISTENER_FAILED, "_on_listener_failed")                                    \
    NAME(ON_OPEN, "on_open")                                                           \
    NAME(ON_MESSAGE, "on_message")                                                     \
    NAME(LISTENER_ON_PING, "on_ping")                                                  \
    NAME(LISTENER_ON_PONG, "on_pong")                                                  \
    NAME(ON_DRAINED, "on_drained")                                                     \
    NAME(ON_CLOSE, "on_close")                                                         \
    NAME(DATA, "_data")                                                                \
    NAME(READ, "read")                                                                 \
    NAME(RECEIVED, "_received")                                                        \
    NAME(PENDING, "pending")                                                           \
    NAME(DO_HANDSHAKE, "do_handshake")                                                 \
    NAME(UNWRAP, "unwrap")                                                             \
    NAME(WRITE_EOF, "write_eof")                                                       \
    NAME(GET, "GET")                                                                   \
    NAME(HTTP_1_1, "HTTP/1.1")                                                         \
    NAME(SWITCHING_PROTOCOLS, "Switching Protocols")                                   \
    NAME(PATH, "path")                                                                 \
    NAME(METHOD, "method")                                                             \
    NAME(PROTOCOL, "protocol")                                                         \
    NAME(STATUS_CODE, "status_code")                                                   \
    NAME(REASON_PHRASE, "reason_phrase")                                               \
    NAME(HEADERS, "headers")                                                           \
    NAME(BODY, "body")

#endif
