/* All of libwsc. */
#ifndef WSC_WSC_H
#define WSC_WSC_H

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/assembler.h"
#include "wsc/buffer.h"
#include "wsc/close.h"
#include "wsc/conn.h"
#include "wsc/crypto.h"
#include "wsc/deflate.h"
#include "wsc/engine.h"
#include "wsc/extension.h"
#include "wsc/frame.h"
#include "wsc/handshake.h"
#include "wsc/http_head.h"
#include "wsc/mask.h"
#include "wsc/outgoing.h"
#include "wsc/parser.h"
#include "wsc/payload.h"
#include "wsc/shared.h"
#include "wsc/short_poll.h"
#include "wsc/simd.h"
#include "wsc/status.h"
#include "wsc/str.h"
#include "wsc/timer_wheel.h"
#include "wsc/tls.h"
#include "wsc/trace.h"
#include "wsc/utf8.h"
#include "wsc/version.h"

#endif
