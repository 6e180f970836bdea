#include "connection/rate.h"

#include <float.h>
#include <math.h>

#include "connection/alarm.h"

/* --- buckets --- */

/* `unread` of the time since it was filled last we didn't read: what the peer has sent
 * in that comes at once, which is no fault of its, and so long may take to come. */
static void fill(struct pywsc_rate *self, double now, double unread)
{
    struct pywsc_bucket *const buckets[] = {&self->messages, &self->bytes};
    double seconds = fmax(now - self->at, 0); /* 0 for NAN */
    unread = fmin(unread, seconds);
    self->at = now;
    for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
        struct pywsc_bucket *bucket = buckets[i];
        double extra = bucket->extra - bucket->per_second * (seconds - unread);
        bucket->extra = fmax(extra, 0) + bucket->per_second * unread;
        double left = bucket->left + bucket->per_second * seconds;
        bucket->left = fmin(left, bucket->size + bucket->extra);
    }
}

/* Seconds until there is as much in it. */
static double time_to(const struct pywsc_bucket *bucket, double wanted)
{
    return bucket->left >= wanted ? 0 : (wanted - bucket->left) / bucket->per_second;
}

/* `least` is what has to fit, or nothing ever goes through. */
static int
read_bucket(struct pywsc_bucket *self, PyObject *option, double burst, double least)
{
    self->left = self->size = INFINITY;
    if (option == Py_None) {
        return 0;
    }
    self->per_second = PyFloat_AsDouble(option);
    if (self->per_second == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (!(self->per_second > 0) || isinf(self->per_second)) {
        PyErr_SetString(PyExc_ValueError, "a rate must be positive");
        return -1;
    }
    self->left = self->size = fmax(self->per_second * burst, least);
    return 0;
}

int pywsc_rate_read(PyObject *option, struct pywsc_rate **out)
{
    PyObject *messages;
    PyObject *bytes;
    double burst;
    int close;
    *out = NULL;
    if (option == Py_None) {
        return 0;
    }
    if (!PyTuple_Check(option)) {
        PyErr_SetString(PyExc_TypeError, "rate_limit must be a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(option, "OOdp", &messages, &bytes, &burst, &close)) {
        return -1;
    }
    struct pywsc_rate *self = PyMem_Calloc(1, sizeof(*self));
    if (self == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->close = close != 0;
    self->at = self->held_up = NAN;
    if (read_bucket(&self->messages, messages, burst, 1) < 0 ||
        read_bucket(&self->bytes, bytes, burst, 0) < 0) {
        PyMem_Free(self);
        return -1;
    }
    *out = self;
    return 0;
}

/* --- a connection's --- */

static bool is_open(const struct pywsc_connection *connection)
{
    return !connection->ended.tcp &&
           connection->protocol->conn.state < WSC_CONN_CLOSING;
}

/* `paused`: we haven't read since they were filled last. Else but while the loop was
 * held up, of which it is known only where it matters. */
static int fill_by_clock(struct pywsc_connection *connection, bool paused)
{
    struct pywsc_rate *self = connection->rate;
    struct pywsc_timers *timers = connection->deadlines.timers;
    double now = pywsc_timers_time(timers);
    if (now < 0) {
        return -1;
    }
    if (!self->close) {
        fill(self, now, 0);
        return 0;
    }
    double held_up = pywsc_timers_held_up(timers, now);
    if (held_up < 0) {
        return -1;
    }
    fill(self, now, paused ? INFINITY : fmax(held_up - self->held_up, 0));
    self->held_up = held_up;
    return 0;
}

int pywsc_rate_received(struct pywsc_connection *connection, size_t len)
{
    struct pywsc_rate *self = connection->rate;
    int result = fill_by_clock(connection, false);
    if (connection->protocol->conn.state != WSC_CONN_CONNECTING) {
        self->bytes.left -= (double)len;
    }
    return result;
}

void pywsc_rate_head_read(struct pywsc_connection *connection)
{
    size_t rest = wsc_conn_input_left(&connection->protocol->conn);
    connection->rate->bytes.left -= (double)rest;
}

/* With the action "pause" all of that comes in its time anyway. */
int pywsc_rate_read_on(struct pywsc_connection *connection)
{
    return connection->rate->close && connection->flow.read_paused
               ? fill_by_clock(connection, true)
               : 0;
}

/* The bytes that were too many have been read already: they count. */
int pywsc_rate_settle(struct pywsc_connection *connection)
{
    const struct pywsc_rate *self = connection->rate;
    if (self->bytes.left >= 0 || !is_open(connection)) {
        return 0;
    }
    if (self->close) {
        pywsc_connection_fail(connection, WSC_CLOSE_POLICY_VIOLATION, "too many bytes");
        return 0;
    }
    return pywsc_rate_wait(connection);
}

bool pywsc_rate_take(struct pywsc_connection *connection)
{
    struct pywsc_rate *self = connection->rate;
    if (self->close && self->messages.left < 1 && is_open(connection)) {
        pywsc_connection_fail(connection, WSC_CLOSE_POLICY_VIOLATION,
                              "too many messages");
        return false;
    }
    self->messages.left -= 1;
    return true;
}

bool pywsc_rate_is_over(const struct pywsc_connection *connection)
{
    const struct pywsc_rate *self = connection->rate;
    return !self->close && self->messages.left < 1 && is_open(connection) &&
           wsc_conn_input_left(&connection->protocol->conn) > 0;
}

int pywsc_rate_wait(struct pywsc_connection *connection)
{
    const struct pywsc_rate *self = connection->rate;
    double seconds = fmax(time_to(&self->messages, 1), time_to(&self->bytes, 0));
    connection->deadlines.rate_at = fmin(self->at + seconds, DBL_MAX);
    return pywsc_alarm_set(connection);
}

int pywsc_rate_go_on(struct pywsc_connection *connection, double now)
{
    struct pywsc_rate *self = connection->rate;
    fill(self, now, 0);
    connection->deadlines.rate_at = INFINITY;
    return self->bytes.left < 0 ? pywsc_rate_wait(connection)
                                : pywsc_connection_call_in_turn(connection);
}
