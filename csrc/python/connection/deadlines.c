#include "connection/deadlines.h"

#include <math.h>

#include "connection/alarm.h"
#include "connection/batch.h"
#include "connection/rate.h"
#include "connection/untaken.h"
#include "tasks/loop.h"
#include "tasks/timers.h"

#include "wsc/deflate.h"

#define NEVER INFINITY
/* Output that the peer takes no byte of for this long ends the connection (SLW-4);
 * looked at every STALL_SAMPLE seconds. */
#define STALL_LIMIT  40.0
#define STALL_SAMPLE 4.0
/* While closing, so much of it is progress, and who has some left to take has so many
 * seconds for that at least: TCP may give a reader of 20 KB/s 128 KiB at a time
 * (END-1). Looked at CLOSE_LOOKS times in close_timeout, if that isn't rarer than
 * CLOSE_SAMPLE. */
#define TAKEN_MIN    1024
#define TAKE_WITHIN  5.0
#define CLOSE_LOOKS  8
#define CLOSE_SAMPLE 0.5
/* How often a pong that is awaited is asked for, and output that is in a ping's way. */
#define PONG_SAMPLE  1.0
#define IDLE_SAMPLES 8
/* After so long without a message in either direction compression's memory is given
 * back; so many looks make sure of it. */
#define RELEASE_AFTER 30.0
#define RELEASE_LOOKS 3

#define EARLY PYWSC_TIMERS_EARLY

/* --- the timer --- */

static PyObject *owner_of(struct wsc_timer *timer)
{
    const size_t offset = offsetof(struct pywsc_connection, deadlines) +
                          offsetof(struct pywsc_deadlines, timer);
    void *start = (char *)timer - offset;
    return (PyObject *)start;
}

/* --- compression's memory --- */

static uint32_t message_count(const struct pywsc_connection *connection)
{
    return (uint32_t)(connection->messages_received +
                      connection->protocol->conn.messages_sent);
}

/* The next look. When there is nothing to give back, the keepalive's turns do. */
static double next_look(const struct pywsc_deadlines *self, double now)
{
    if (self->memory_looks < RELEASE_LOOKS) {
        return now + RELEASE_AFTER / RELEASE_LOOKS;
    }
    return self->ping_interval <= RELEASE_AFTER ? NEVER : now + RELEASE_AFTER;
}

static void start_looking(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    if (wsc_conn_has_deflate(&connection->protocol->conn)) {
        self->memory_looks = RELEASE_LOOKS;
        self->memory_count = message_count(connection);
        self->memory_at = next_look(self, now);
    }
}

static void look_after_memory(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    struct wsc_conn *conn = &connection->protocol->conn;
    if (!wsc_conn_has_deflate(conn) || self->closing ||
        (now < self->memory_at && self->memory_at < NEVER)) {
        return;
    }
    uint32_t count = message_count(connection);
    if (count != self->memory_count) {
        self->memory_count = count;
        self->memory_looks = wsc_conn_deflate_memory(conn) > 0 ? 0 : RELEASE_LOOKS;
    }
    else if (self->memory_looks < RELEASE_LOOKS &&
             ++self->memory_looks == RELEASE_LOOKS) {
        wsc_conn_release_idle(conn);
    }
    self->memory_at = next_look(self, now);
}

/* --- the clocks --- */

/* What has the peer taken since the last look? -1 with an exception. */
static int look(struct pywsc_connection *connection, double now, size_t *out_left)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    struct pywsc_untaken untaken;
    if (pywsc_untaken_get(connection, &untaken) < 0) {
        return -1;
    }
    uint64_t least = self->closing && untaken.size > 0 ? TAKEN_MIN : 1;
    if (!self->taken_known || untaken.taken < self->taken) {
        self->taken_known = true;
        self->taken = untaken.taken;
    }
    else if (untaken.taken - self->taken >= least) {
        self->taken = untaken.taken;
        self->taken_at = now;
    }
    *out_left = untaken.size;
    return 0;
}

static double look_again_at(const struct pywsc_deadlines *self, double now)
{
    double sample = self->closing
                        ? pywsc_sooner(CLOSE_SAMPLE, self->close_timeout / CLOSE_LOOKS)
                        : STALL_SAMPLE;
    return now + fmax(sample, PYWSC_TIMERS_TICK);
}

/* Closing: the clock runs from when the peer took something last. Without anything left
 * to take it is its close frame, or its end of TCP, that is awaited. */
static bool is_overdue(struct pywsc_deadlines *self, double now, size_t left)
{
    self->end_at = fmax(self->closing_at, self->taken_at) + self->close_timeout;
    self->look_at = NEVER;
    if (left > 0) {
        self->end_at = fmax(self->end_at, self->taken_at + TAKE_WITHIN);
        self->look_at = look_again_at(self, now);
    }
    return now >= self->end_at;
}

/* DED-3: the clock stands still while we don't read, be it that our queue is full or
 * that the loop was held up. */
static bool is_pong_overdue(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    double last_look = self->keepalive_at - pywsc_sooner(PONG_SAMPLE, self->pong_left);
    if (!connection->flow.read_paused) {
        self->pong_left -= (float)pywsc_sooner(now - last_look, 2 * PONG_SAMPLE);
    }
    self->keepalive_at = now + pywsc_sooner(PONG_SAMPLE, self->pong_left);
    return self->pong_left <= 2 * EARLY;
}

static bool is_idle(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    double timeout = self->idle_timeout;
    uint32_t count = (uint32_t)connection->messages_received;
    if (count != self->idle_count || connection->flow.read_paused) {
        self->idle_count = count;
        self->idle_since = now;
    }
    /* No clock reading per message: looking from time to time is exact enough. */
    double left = self->idle_since + timeout - now;
    self->idle_at = now + pywsc_sooner(left, timeout / IDLE_SAMPLES);
    return left <= 2 * EARLY;
}

static int send_ping(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    if (connection->flow.write_paused) {
        /* It would wait behind the output; the stall clock looks after that. */
        self->keepalive_at = now + PONG_SAMPLE;
        return 0;
    }
    if (isinf(self->ping_timeout)) {
        self->keepalive_at = now + self->ping_interval;
    }
    else {
        self->pong_awaited = true;
        self->pong_left = self->ping_timeout;
        self->keepalive_at = now + pywsc_sooner(PONG_SAMPLE, self->pong_left);
    }
    return pywsc_connection_hook(connection, PYWSC_NAME_SEND_KEEPALIVE_PING, NULL);
}

static int cut(struct pywsc_connection *connection, const char *why)
{
    return pywsc_connection_hook(connection, PYWSC_NAME_ABORT,
                                 PyUnicode_FromString(why));
}

static int close_idle(struct pywsc_connection *connection)
{
    PyObject *result =
        PyObject_CallMethod((PyObject *)connection, "_start_close", "Is",
                            (unsigned)WSC_CLOSE_GOING_AWAY, "idle timeout");
    return pywsc_connection_hook_done(connection, result);
}

static bool is_stalled(const struct pywsc_connection *connection, double now)
{
    return connection->flow.write_paused && now - connection->deadlines.taken_at >=
                                                STALL_LIMIT - STALL_SAMPLE - 2 * EARLY;
}

/* The clocks that look at output: they wait, unless there was something to be done. */
static enum pywsc_outcome
run_output_clocks(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    size_t left;
    int result;
    self->look_at = look_again_at(self, now);
    bool failed = look(connection, now, &left) < 0;
    bool overdue = !failed && self->closing && is_overdue(self, now, left);
    if (failed) {
        result = pywsc_connection_hook_done(connection, NULL);
    }
    else if (overdue || is_stalled(connection, now)) {
        self->end_at = self->look_at = NEVER;
        result = cut(connection,
                     overdue ? "timed out while closing connection" : "output stalled");
    }
    else if (self->closing && left == 0) {
        result = pywsc_connection_hook(connection, PYWSC_NAME_ON_OUTPUT_TAKEN, NULL);
    }
    else {
        return PYWSC_WAITS;
    }
    return result < 0 ? PYWSC_FAILED : PYWSC_DONE;
}

/* The first one that ends the connection wins (DED-8). */
static int run_clocks(struct pywsc_connection *connection, double now)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    if (now >= self->end_at && !self->closing) {
        self->end_at = NEVER;
        return pywsc_connection_hook(connection, PYWSC_NAME_ON_OPEN_TIMEOUT, NULL);
    }
    if (now >= self->look_at || now >= self->end_at) {
        enum pywsc_outcome outcome = run_output_clocks(connection, now);
        if (outcome != PYWSC_WAITS) {
            return outcome == PYWSC_FAILED ? -1 : 0;
        }
    }
    if (self->pong_awaited && now >= self->keepalive_at &&
        is_pong_overdue(connection, now)) {
        self->keepalive_at = NEVER;
        return pywsc_connection_hook(connection, PYWSC_NAME_ON_NO_PONG, NULL);
    }
    if (now >= self->idle_at && is_idle(connection, now)) {
        self->idle_at = NEVER;
        return close_idle(connection);
    }
    if (!self->pong_awaited && now >= self->keepalive_at) {
        return send_ping(connection, now);
    }
    return 0;
}

static int run(PyObject *op, double now)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)op;
    if (connection->ended.tcp) {
        return 0;
    }
    pywsc_connection_batch_begin(connection);
    int result = run_clocks(connection, now);
    if (result == 0 && now >= connection->deadlines.rate_at) {
        result = pywsc_rate_go_on(connection, now);
    }
    if (!connection->ended.tcp) {
        look_after_memory(connection, now);
    }
    (void)pywsc_alarm_set(connection); /* never fails in here */
    PyObject *none = pywsc_connection_batch_end(connection, result);
    if (none == NULL && result == 0) {
        /* The flush failed: that is this connection's own trouble. */
        result = pywsc_report_exception(connection->state, connection->loop,
                                        "exception in a connection's timer");
    }
    Py_XDECREF(none);
    return result;
}

static const struct pywsc_timer_owners connections = {
    .owner = owner_of,
    .due = run,
};

/* --- what happened --- */

int pywsc_deadlines_write_paused(struct pywsc_connection *connection)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    size_t left;
    if (connection->ended.tcp) {
        return 0;
    }
    double now = pywsc_timers_time(self->timers);
    if (now < 0 || look(connection, now, &left) < 0) {
        return -1;
    }
    self->taken_at = now;
    self->look_at = look_again_at(self, now);
    return pywsc_alarm_set(connection);
}

int pywsc_deadlines_write_resumed(struct pywsc_connection *connection)
{
    if (!connection->deadlines.closing) {
        connection->deadlines.look_at = NEVER;
    }
    return pywsc_alarm_set(connection);
}

int pywsc_deadlines_lost(struct pywsc_connection *connection)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    pywsc_timers_cancel(self->timers, &self->timer);
    return PyErr_Occurred() ? -1 : pywsc_timers_rest(self->timers);
}

/* Seconds, or None for never. */
static int get_seconds(PyObject *object, double *out)
{
    *out = object == Py_None ? NEVER : PyFloat_AsDouble(object);
    if (*out == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (isnan(*out)) {
        PyErr_SetString(PyExc_ValueError, "a time can't be NaN");
        return -1;
    }
    return 0;
}

static PyObject *none_after(int result)
{
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *pywsc_deadlines_opening(PyObject *op, PyObject *at)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)op;
    double seconds;
    if (pywsc_connection_check_thread(connection) < 0 ||
        get_seconds(at, &seconds) < 0) {
        return NULL;
    }
    if (!connection->deadlines.closing) {
        connection->deadlines.end_at = seconds;
    }
    return none_after(pywsc_alarm_set(connection));
}

PyObject *pywsc_deadlines_opened(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)op;
    struct pywsc_deadlines *self = &connection->deadlines;
    (void)unused;
    if (pywsc_connection_check_thread(connection) < 0) {
        return NULL;
    }
    if (connection->ended.tcp || self->closing) {
        Py_RETURN_NONE;
    }
    double now = pywsc_timers_time(self->timers);
    if (now < 0) {
        return NULL;
    }
    self->end_at = NEVER;
    self->pong_awaited = false;
    self->keepalive_at = now + self->ping_interval;
    self->idle_since = now;
    self->idle_count = (uint32_t)connection->messages_received;
    self->idle_at = now + self->idle_timeout;
    start_looking(connection, now);
    return none_after(pywsc_alarm_set(connection));
}

PyObject *pywsc_deadlines_closing(PyObject *op, PyObject *within)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)op;
    struct pywsc_deadlines *self = &connection->deadlines;
    double seconds;
    if (pywsc_connection_check_thread(connection) < 0 ||
        get_seconds(within, &seconds) < 0) {
        return NULL;
    }
    if (connection->ended.tcp) {
        Py_RETURN_NONE;
    }
    float timeout = (float)seconds;
    bool first = !self->closing || timeout < self->close_timeout;
    if (!first && self->look_at < NEVER) {
        Py_RETURN_NONE;
    }
    double now = pywsc_timers_time(self->timers);
    if (now < 0) {
        return NULL;
    }
    if (first) { /* said twice, the shorter time counts */
        self->close_timeout = timeout;
        self->closing_at = now;
        self->end_at = now + seconds;
    }
    if (!self->taken_known && connection->protocol->conn.state != WSC_CONN_CONNECTING) {
        /* What it took before isn't known; of the handshake there is little. */
        self->taken_at = now;
    }
    self->closing = true;
    self->look_at = pywsc_sooner(self->look_at, look_again_at(self, now));
    self->pong_awaited = false;
    self->keepalive_at = self->idle_at = self->memory_at = NEVER;
    return none_after(pywsc_alarm_set(connection));
}

PyObject *pywsc_deadlines_alive(PyObject *op, PyObject *latency)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)op;
    struct pywsc_deadlines *self = &connection->deadlines;
    double seconds;
    if (pywsc_connection_check_thread(connection) < 0 ||
        get_seconds(latency, &seconds) < 0) {
        return NULL;
    }
    if (connection->ended.tcp || !self->pong_awaited) {
        Py_RETURN_NONE;
    }
    double now = pywsc_timers_time(self->timers);
    if (now < 0) {
        return NULL;
    }
    self->pong_awaited = false;
    self->keepalive_at = now + fmax(self->ping_interval - seconds, 0);
    return none_after(pywsc_alarm_set(connection));
}

/* Are keepalive pings to be sent or answered? */
PyObject *pywsc_deadlines_keepalive(PyObject *op, void *closure)
{
    const struct pywsc_connection *connection = (const struct pywsc_connection *)op;
    (void)closure;
    return PyBool_FromLong(connection->protocol != NULL && !connection->ended.tcp &&
                           connection->deadlines.keepalive_at < NEVER);
}

/* --- life --- */

int pywsc_deadlines_read(PyObject *const options[3], float out[3])
{
    for (size_t i = 0; i < 3; i++) {
        double seconds;
        if (get_seconds(options[i], &seconds) < 0) {
            return -1;
        }
        out[i] = (float)seconds;
    }
    return 0;
}

void pywsc_deadlines_init(struct pywsc_deadlines *self, PyObject *timers,
                          const float seconds[3])
{
    self->ping_interval = seconds[0];
    self->ping_timeout = seconds[1];
    self->idle_timeout = seconds[2];
    self->end_at = self->look_at = self->keepalive_at = NEVER;
    self->idle_at = self->memory_at = self->rate_at = NEVER;
    self->timers = (struct pywsc_timers *)Py_NewRef(timers);
    pywsc_timers_serve(self->timers, &connections);
}

void pywsc_deadlines_fini(struct pywsc_deadlines *self)
{
    if (self->timers != NULL) {
        pywsc_timers_cancel(self->timers, &self->timer);
        Py_CLEAR(self->timers);
    }
}
