#include "common/memory.h"

#include <stdlib.h>

/* --- large messages --- */

/* glibc gives the top of the heap back to the kernel when what is free there passes
 * twice the largest block that was ever mapped on its own and freed, and maps what is
 * larger than that. A few large messages on their way through come to more, and each
 * would cost a page fault for every 4 KiB, which is more than all else that is done to
 * it. Freeing a mapped block once moves both marks. Objects of free-threaded builds are
 * not in that heap. */
#if defined(__GLIBC__) && !defined(Py_GIL_DISABLED)

#include <stdatomic.h>

#define LARGE_MIN  ((size_t)64 << 10)
#define AT_A_TIME  8
#define ENOUGH     ((size_t)8 << 20)
#define MAPPED_MAX (((size_t)32 << 20) - LARGE_MIN) /* glibc heeds no larger block */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void pywsc_expect_large(size_t size)
{
    static atomic_size_t largest; /* the heap is the process's */
    if (size < LARGE_MIN ||
        size <= atomic_load_explicit(&largest, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&largest, size, memory_order_relaxed);
    size = smaller(size, MAPPED_MAX);
    size_t several = smaller(AT_A_TIME * size, ENOUGH);
    size_t two = smaller(2 * size, MAPPED_MAX);
    /* Compilers leave out what they see to be freed unused. */
    void *volatile block = malloc(several > two ? several : two);
    free(block);
}

#else

void pywsc_expect_large(size_t size)
{
    (void)size;
}

#endif

/* --- the core's allocator --- */

static void *mem_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return PyMem_Malloc(size);
}

static void *mem_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return PyMem_Realloc(ptr, size);
}

static void mem_free(void *ctx, void *ptr)
{
    (void)ctx;
    PyMem_Free(ptr);
}

const struct wsc_allocator pywsc_allocator = {
    .ctx = NULL,
    .alloc = mem_alloc,
    .realloc = mem_realloc,
    .free = mem_free,
};

/* --- spare objects --- */

PyObject *pywsc_spares_new(struct pywsc_spares *spares, PyTypeObject *type)
{
    if (spares->count == 0) {
        return PyObject_GC_New(PyObject, type);
    }
    return PyObject_Init(spares->objects[--spares->count], type);
}

static bool keep_spare(struct pywsc_spares *spares, PyObject *object)
{
#ifdef Py_GIL_DISABLED
    (void)spares;
    (void)object;
    return false;
#else
    /* A finalizer runs once in the life of the memory. */
    if (spares->closed || spares->count == PYWSC_SPARES_MAX ||
        PyObject_GC_IsFinalized(object)) {
        return false;
    }
    spares->objects[spares->count++] = object;
    return true;
#endif
}

void pywsc_spares_free(struct pywsc_spares *spares, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (!keep_spare(spares, object)) {
        PyObject_GC_Del(object);
    }
    Py_DECREF(type);
}

void pywsc_spares_close(struct pywsc_spares *spares)
{
    spares->closed = true;
    while (spares->count > 0) {
        PyObject_GC_Del(spares->objects[--spares->count]);
    }
}

/* --- payloads as objects ---
 *
 * The core writes a message straight into the memory of the object that it will be: a
 * bytes object, or a str that is guessed to be ASCII. Between object and payload lies a
 * constant distance. */

#define TEXT_OFFSET   sizeof(PyASCIIObject)
#define BINARY_OFFSET offsetof(PyBytesObject, ob_sval)

static PyObject *object_of(enum wsc_payload_kind kind, uint8_t *payload)
{
    void *start = payload - (kind == WSC_PAYLOAD_TEXT ? TEXT_OFFSET : BINARY_OFFSET);
    return (PyObject *)start;
}

static uint8_t *payload_of(enum wsc_payload_kind kind, PyObject *object)
{
    if (object == NULL) {
        PyErr_Clear(); /* MemoryError: reported through the core */
        return NULL;
    }
    return kind == WSC_PAYLOAD_TEXT ? (uint8_t *)PyUnicode_DATA(object)
                                    : (uint8_t *)PyBytes_AS_STRING(object);
}

static uint8_t *payload_alloc(void *ctx, enum wsc_payload_kind kind, size_t *size)
{
    (void)ctx;
    pywsc_expect_large(*size);
    return payload_of(kind, kind == WSC_PAYLOAD_TEXT
                                ? PyUnicode_New((Py_ssize_t)*size, 0x7F)
                                : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)*size));
}

static uint8_t *
payload_resize(void *ctx, enum wsc_payload_kind kind, uint8_t *payload, size_t *size)
{
    PyObject *object = object_of(kind, payload);
    (void)ctx;
    pywsc_expect_large(*size);
    if (kind == WSC_PAYLOAD_BINARY) {
        /* On error frees and sets NULL. */
        (void)_PyBytes_Resize(&object, (Py_ssize_t)*size);
    }
    else if (PyUnicode_Resize(&object, (Py_ssize_t)*size) < 0) {
        Py_CLEAR(object);
    }
    return payload_of(kind, object);
}

static void payload_free(void *ctx, enum wsc_payload_kind kind, uint8_t *payload)
{
    (void)ctx;
    Py_DECREF(object_of(kind, payload));
}

const struct wsc_payload_memory pywsc_payload_memory = {
    .ctx = NULL,
    .alloc = payload_alloc,
    .resize = payload_resize,
    .free = payload_free,
};

void pywsc_message_discard(struct wsc_message *message)
{
    if (message->data != NULL) {
        payload_free(NULL, message->kind, message->data);
        message->data = NULL;
    }
}

PyObject *pywsc_message_take(struct wsc_message *message)
{
    if (message->data == NULL) {
        return message->kind == WSC_PAYLOAD_TEXT ? PyUnicode_New(0, 0)
                                                 : PyBytes_FromStringAndSize(NULL, 0);
    }
    PyObject *object = object_of(message->kind, message->data);
    if (message->kind == WSC_PAYLOAD_TEXT && !message->ascii) {
        /* The guess was wrong: decode what has been validated already. */
        PyObject *text = PyUnicode_DecodeUTF8((const char *)message->data,
                                              (Py_ssize_t)message->len, NULL);
        pywsc_message_discard(message);
        return text;
    }
    message->data = NULL;
    return object;
}
