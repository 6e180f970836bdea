#include "engine/ssl_object.h"

#include "common/raised.h"

#if WSC_HAVE_ENGINE

/* Plaintext given to one send. */
#define WRITE_STEP ((size_t)64 << 10)
/* Copied to a bytes object for less than a memoryview costs. */
#define SMALL  ((size_t)2 << 10)
#define PIECES 64
/* Of what pywsc_ssl_object_new() gets. */
#define PARTS 6

/* --- calls --- */

/* Before calls, and after them. */
static bool begin(struct pywsc_ssl_object *self)
{
    bool outer = self->busy;
    self->busy = true;
    return outer;
}

static int end(struct pywsc_ssl_object *self, bool outer, int status)
{
    self->busy = outer;
    return status;
}

/* A call has raised: it asks for more, or TLS has failed. 0, or -1 with what has to
 * leave the loop. */
static int stopped(struct pywsc_ssl_object *self)
{
    if (PyErr_ExceptionMatches(self->want_read)) {
        PyErr_Clear();
        return 0;
    }
    self->failed = true;
    if (pywsc_raised_leaves()) {
        return -1;
    }
    Py_XSETREF(self->failure, pywsc_take_raised());
    return 0;
}

static bool is_over(const struct pywsc_ssl_object *self)
{
    return self->failed || self->ended || self->closed;
}

static void release(void *ctx)
{
    Py_DECREF((PyObject *)ctx);
}

/* What it wrote is to leave. */
static int collect(struct pywsc_ssl_object *self)
{
    PyObject *data = pywsc_method_call(&self->collect, NULL, NULL);
    if (data == NULL) {
        return stopped(self);
    }
    if (!PyBytes_Check(data) || PyBytes_GET_SIZE(data) == 0 || self->closed) {
        Py_DECREF(data);
        return 0;
    }
    const struct wsc_reference reference = {
        .data = (const uint8_t *)PyBytes_AS_STRING(data),
        .len = (size_t)PyBytes_GET_SIZE(data),
        .ctx = data,
        .release = release,
    };
    if (wsc_outgoing_append_reference(&self->encrypted, NULL, 0, &reference) ==
        WSC_OK) {
        return 0;
    }
    Py_DECREF(data);
    (void)PyErr_NoMemory();
    return stopped(self);
}

/* After a call with this status: an alert may have been written. */
static int collect_after(struct pywsc_ssl_object *self, int status)
{
    return status < 0 ? status : collect(self);
}

/* --- beginning and end --- */

static int shake_hands(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    PyObject *done =
        PyObject_CallMethodNoArgs(self->object, state->names[PYWSC_NAME_DO_HANDSHAKE]);
    self->open = done != NULL;
    int status = done == NULL ? stopped(self) : 0;
    Py_XDECREF(done);
    return collect_after(self, status);
}

/* A client speaks first. Nobody knows it yet, so that failures are raised. */
static int start(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    PyObject *server = PyObject_GetAttrString(self->object, "server_side");
    int truth = server == NULL ? -1 : PyObject_IsTrue(server);
    Py_XDECREF(server);
    if (truth != 0) {
        return truth < 0 ? -1 : 0;
    }
    if (shake_hands(self, state) < 0) {
        return -1;
    }
    if (self->failure != NULL) {
        pywsc_raise_again(self->failure);
        self->failure = NULL;
        return -1;
    }
    return 0;
}

static int find_methods(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    PyObject *read = state->names[PYWSC_NAME_READ];
    PyObject *write = state->names[PYWSC_NAME_WRITE];
    return pywsc_method_init(&self->feed, self->incoming, write) < 0 ||
                   pywsc_method_init(&self->decrypt, self->stream, read) < 0 ||
                   pywsc_method_init(&self->encrypt, self->stream, write) < 0 ||
                   pywsc_method_init(&self->collect, self->outgoing, read) < 0
               ? -1
               : 0;
}

static int set_up(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    PyObject *ssl = PyImport_ImportModule("ssl");
    PyObject *bio = ssl == NULL ? NULL : PyObject_GetAttrString(ssl, "MemoryBIO");
    if (bio == NULL) {
        Py_XDECREF(ssl);
        return -1;
    }
    /* Through an https:// proxy it is an object that has TLS of its own before it. */
    self->framed = (PyObject *)Py_TYPE(self->incoming) == bio;
    pywsc_ssl_records_init(&self->records, self->framed && !self->open);
    self->want_read = PyObject_GetAttrString(ssl, "SSLWantReadError");
    self->record = PyLong_FromSize_t(PYWSC_SSL_RECORD);
    Py_DECREF(bio);
    Py_DECREF(ssl);
    if (self->want_read == NULL || self->record == NULL ||
        find_methods(self, state) < 0) {
        return -1;
    }
    return self->open ? 0 : start(self, state);
}

struct pywsc_ssl_object *
pywsc_ssl_object_new(struct pywsc_state *state, PyObject *parts)
{
    struct pywsc_ssl_object *self =
        wsc_alloc_zeroed(&pywsc_allocator, sizeof(struct pywsc_ssl_object));
    if (self == NULL || PyTuple_GET_SIZE(parts) != PARTS) {
        PyErr_SetString(self == NULL ? PyExc_MemoryError : PyExc_TypeError, "tls");
        wsc_free(&pywsc_allocator, self);
        return NULL;
    }
    wsc_outgoing_init(&self->encrypted, &pywsc_allocator);
    self->reads = true;
    self->object = Py_NewRef(PyTuple_GET_ITEM(parts, 0));
    self->stream = Py_NewRef(PyTuple_GET_ITEM(parts, 1));
    self->context = Py_NewRef(PyTuple_GET_ITEM(parts, 2));
    self->incoming = Py_NewRef(PyTuple_GET_ITEM(parts, 3));
    self->outgoing = Py_NewRef(PyTuple_GET_ITEM(parts, 4));
    self->open = PyTuple_GET_ITEM(parts, 5) == Py_True;
    self->kept = self->open;
    if (set_up(self, state) < 0) {
        pywsc_ssl_object_free(self);
        return NULL;
    }
    return self;
}

void pywsc_ssl_object_close(struct pywsc_ssl_object *self)
{
    self->closed = true;
    wsc_outgoing_fini(&self->encrypted);
    Py_CLEAR(self->unwritten);
    Py_CLEAR(self->unread);
}

void pywsc_ssl_object_free(struct pywsc_ssl_object *self)
{
    if (self == NULL) {
        return;
    }
    pywsc_ssl_object_close(self);
    pywsc_method_clear(&self->feed);
    pywsc_method_clear(&self->decrypt);
    pywsc_method_clear(&self->encrypt);
    pywsc_method_clear(&self->collect);
    Py_CLEAR(self->failure);
    Py_CLEAR(self->stream);
    Py_CLEAR(self->object);
    Py_CLEAR(self->context);
    Py_CLEAR(self->incoming);
    Py_CLEAR(self->outgoing);
    Py_CLEAR(self->want_read);
    Py_CLEAR(self->record);
    wsc_free(&pywsc_allocator, self);
}

int pywsc_ssl_object_traverse(struct pywsc_ssl_object *self, visitproc visit, void *arg)
{
    Py_VISIT(self->object);
    Py_VISIT(self->stream);
    Py_VISIT(self->context);
    Py_VISIT(self->incoming);
    Py_VISIT(self->outgoing);
    Py_VISIT(self->failure);
    return 0;
}

/* Whole records that a handshake by others left in `incoming`: unwrap() would drop
 * them. */
static void withdraw(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    if (self->kept && self->unread == NULL) {
        self->unread =
            PyObject_CallMethodNoArgs(self->incoming, state->names[PYWSC_NAME_READ]);
        if (self->unread == NULL || !PyBytes_CheckExact(self->unread)) {
            Py_CLEAR(self->unread);
            PyErr_Clear();
        }
    }
}

/* Python's own loops twice in there, and then says that the peer's is missing. */
void pywsc_ssl_object_end(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    if (!self->open || self->failed || self->closed || self->busy || self->end_sent) {
        return;
    }
    self->end_sent = true;
    bool outer = begin(self);
    PyObject *raised = pywsc_take_raised();
    withdraw(self, state);
    PyObject *done =
        PyObject_CallMethodNoArgs(self->object, state->names[PYWSC_NAME_UNWRAP]);
    if (done == NULL && pywsc_raised_leaves()) {
        PyErr_WriteUnraisable(self->object);
    }
    PyErr_Clear();
    Py_XDECREF(done);
    if (collect(self) < 0) {
        PyErr_WriteUnraisable(self->object);
    }
    pywsc_raise_again(raised);
    (void)end(self, outer, 0);
}

/* --- receiving --- */

/* Without a copy if that is large: it is taken before anything else is received. */
static PyObject *lend(const uint8_t *data, size_t len)
{
    union {
        const uint8_t *read_only;
        char *memory;
    } lent = {.read_only = data};
    return len <= SMALL
               ? PyBytes_FromStringAndSize(lent.memory, (Py_ssize_t)len)
               : PyMemoryView_FromMemory(lent.memory, (Py_ssize_t)len, PyBUF_READ);
}

static int feed(struct pywsc_ssl_object *self, struct pywsc_engine *engine,
                const uint8_t *data, size_t len)
{
    bool outer = engine->borrowed;
    engine->borrowed = true;
    PyObject *lent = lend(data, len);
    PyObject *result = lent == NULL ? NULL : pywsc_method_call(&self->feed, lent, NULL);
    engine->borrowed = outer;
    int status = result == NULL ? stopped(self) : 0;
    Py_XDECREF(lent);
    Py_XDECREF(result);
    return status;
}

static int feed_kept(struct pywsc_ssl_object *self, struct pywsc_engine *engine)
{
    PyObject *bytes = self->unread;
    self->unread = NULL;
    self->kept = false;
    int status = bytes == NULL ? 0
                               : feed(self, engine, (uint8_t *)PyBytes_AS_STRING(bytes),
                                      (size_t)PyBytes_GET_SIZE(bytes));
    Py_XDECREF(bytes);
    return status;
}

/* Is there something in this MemoryBIO? -1 with an exception. */
static int has_more(PyObject *bio, struct pywsc_state *state)
{
    PyObject *pending = PyObject_GetAttr(bio, state->names[PYWSC_NAME_PENDING]);
    int more = pending == NULL ? -1 : PyObject_IsTrue(pending);
    Py_XDECREF(pending);
    return more;
}

/* Read once into `view`, from *len on, which becomes its new end: 1, 0 if there was
 * nothing to read, or -1 with an exception. */
static int read_once(struct pywsc_ssl_object *self, PyObject *view, size_t *len)
{
    Py_ssize_t size = PyMemoryView_GET_BUFFER(view)->len;
    Py_ssize_t start = (Py_ssize_t)*len;
    PyObject *space =
        start == 0 ? Py_NewRef(view) : PySequence_GetSlice(view, start, size);
    PyObject *result =
        space == NULL ? NULL : pywsc_method_call(&self->decrypt, self->record, space);
    Py_XDECREF(space);
    Py_ssize_t got = result == NULL ? -1 : PyLong_AsSsize_t(result);
    Py_XDECREF(result);
    if (got > size - start || (got < 0 && !PyErr_Occurred())) {
        PyErr_SetString(PyExc_ValueError, "read() gave another size than there is");
        return -1;
    }
    if (got > 0) {
        *len += (size_t)got;
        return 1;
    }
    self->ended = self->ended || got == 0;
    return got == 0 ? 0 : -1;
}

/* There is room for all that came: only a part of a record stays in OpenSSL. */
static int decrypt(struct pywsc_ssl_object *self, struct pywsc_state *state,
                   PyObject *view, size_t *len)
{
    int more;
    do {
        more = read_once(self, view, len);
        if (more == 1 && !self->closed) {
            more = has_more(self->incoming, state);
            if (more == 0 && !self->kept && !self->records.known) {
                pywsc_ssl_records_init(&self->records, self->framed);
            }
        }
    } while (more == 1 && !self->closed);
    return more < 0 ? stopped(self) : 0;
}

/* One piece is in `incoming`. */
static int take(struct pywsc_ssl_object *self, struct pywsc_state *state,
                PyObject *view, size_t *len)
{
    if (!self->open) {
        if (shake_hands(self, state) < 0) {
            return -1;
        }
        if (!self->open || is_over(self)) {
            return 0;
        }
        int more = has_more(self->incoming, state);
        if (more != 1) {
            return more < 0 ? stopped(self) : 0;
        }
    }
    return decrypt(self, state, view, len);
}

/* What comes most often. If there is data in it, nothing is left that asks to be read,
 * and nothing was written. */
static int receive_record(struct pywsc_ssl_object *self, struct pywsc_engine *engine,
                          const uint8_t *data, size_t len, PyObject *view,
                          size_t *out_len)
{
    int status = feed(self, engine, data, len);
    if (status < 0 || is_over(self)) {
        return collect_after(self, status);
    }
    int more = read_once(self, view, out_len);
    return more == 1 ? 0 : collect_after(self, more < 0 ? stopped(self) : 0);
}

static int receive(struct pywsc_ssl_object *self, struct pywsc_engine *engine,
                   const uint8_t *data, size_t len, PyObject *view, size_t *out_len)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE((PyObject *)engine));
    int status = 0;
    while (status == 0 && (len > 0 || self->kept) && !is_over(self)) {
        size_t part =
            self->kept ? 0 : pywsc_ssl_records_piece(&self->records, data, len);
        bool rest = part < len;
        status = self->kept ? feed_kept(self, engine) : feed(self, engine, data, part);
        data += part;
        len -= part;
        if (status == 0 && !is_over(self) && !pywsc_ssl_records_lacks(&self->records)) {
            bool outer = engine->borrowed;
            engine->borrowed = outer || rest;
            status = take(self, state, view, out_len);
            engine->borrowed = outer;
        }
    }
    if (status < 0) {
        return status;
    }
    int more = has_more(self->outgoing, state);
    return more == 0 ? 0 : more < 0 ? stopped(self) : collect(self);
}

int pywsc_ssl_object_receive(struct pywsc_ssl_object *self, struct pywsc_engine *engine,
                             const uint8_t *data, size_t len, PyObject *view,
                             size_t *out_len)
{
    bool outer = begin(self);
    *out_len = 0;
    self->starved = false; /* or it finds out again */
    int status = !self->kept && pywsc_ssl_records_is_one(&self->records, data, len)
                     ? receive_record(self, engine, data, len, view, out_len)
                     : receive(self, engine, data, len, view, out_len);
    if (status == 0 && self->kept) {
        status = receive(self, engine, NULL, 0, view, out_len);
    }
    return end(self, outer, status);
}

int pywsc_ssl_object_keep(struct pywsc_ssl_object *self, const uint8_t *data,
                          size_t len)
{
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
    if (bytes != NULL && self->unread != NULL) {
        PyBytes_ConcatAndDel(&self->unread, bytes);
    }
    else {
        Py_XSETREF(self->unread, bytes);
    }
    self->kept = true;
    pywsc_ssl_records_init(&self->records, false);
    return self->unread == NULL ? stopped(self) : 0;
}

int pywsc_ssl_object_eof(struct pywsc_ssl_object *self, struct pywsc_state *state)
{
    bool outer = begin(self);
    PyObject *result =
        PyObject_CallMethodNoArgs(self->incoming, state->names[PYWSC_NAME_WRITE_EOF]);
    int status = result == NULL ? stopped(self) : 0;
    Py_XDECREF(result);
    return end(self, outer,
               status < 0 || self->failed ? status : shake_hands(self, state));
}

/* --- sending --- */

/* New reference: what stands first, taken, as much as a record has. A copy, for what
 * runs while it is encrypted may send more. */
static PyObject *gather(struct wsc_outgoing *outgoing)
{
    struct wsc_outgoing_piece pieces[PIECES];
    size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
    size_t len = 0;
    for (size_t i = 0; i < count && len < PYWSC_SSL_RECORD; i++) {
        pieces[i].len = pieces[i].len < PYWSC_SSL_RECORD - len ? pieces[i].len
                                                               : PYWSC_SSL_RECORD - len;
        len += pieces[i].len;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    if (bytes == NULL) {
        return NULL;
    }
    char *at = PyBytes_AS_STRING(bytes);
    for (size_t i = 0, left = len; left > 0; left -= pieces[i++].len) {
        memcpy(at, pieces[i].data, pieces[i].len);
        at += pieces[i].len;
    }
    wsc_outgoing_consume(outgoing, len);
    return bytes;
}

/* What is in `unwritten`, or all but what it didn't take of that. */
static int write_once(struct pywsc_ssl_object *self)
{
    PyObject *data = self->unwritten;
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    Py_INCREF(data);
    PyObject *result = pywsc_method_call(&self->encrypt, data, NULL);
    Py_ssize_t done = result == NULL ? -1 : PyLong_AsSsize_t(result);
    Py_XDECREF(result);
    int status = 0;
    if (done < 1 || done > size) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "write() gave another size than it had");
        }
        status = stopped(self);
        self->starved = status == 0 && !self->failed;
    }
    else if (done == size) {
        Py_CLEAR(self->unwritten);
    }
    else {
        Py_XSETREF(self->unwritten, PyBytes_FromStringAndSize(
                                        PyBytes_AS_STRING(data) + done, size - done));
        status = self->unwritten == NULL ? stopped(self) : 0;
    }
    Py_DECREF(data);
    return status;
}

int pywsc_ssl_object_write(struct pywsc_ssl_object *self, struct wsc_outgoing *outgoing)
{
    bool outer = begin(self);
    int status = 0;
    while (status == 0 && self->open && !self->starved && !self->failed &&
           !self->closed && self->encrypted.size < WRITE_STEP &&
           (self->unwritten != NULL || outgoing->size > 0)) {
        if (self->unwritten == NULL) {
            self->unwritten = gather(outgoing);
        }
        status = self->unwritten == NULL ? stopped(self) : write_once(self);
        status = collect_after(self, status);
    }
    return end(self, outer, status);
}

#endif
