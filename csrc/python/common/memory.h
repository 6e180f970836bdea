/* Memory from Python: for the core, and of objects that come and go with each message.
 */
#ifndef PYWSC_COMMON_MEMORY_H
#define PYWSC_COMMON_MEMORY_H

#include "common/python.h"

#include "wsc/alloc.h"
#include "wsc/assembler.h"
#include "wsc/payload.h"

/* PyMem as the core's allocator; incoming payloads as str and bytes objects. */
extern const struct wsc_allocator pywsc_allocator;
extern const struct wsc_payload_memory pywsc_payload_memory;
/* Messages or output of that size begin to come and go: let the memory of those that
 * are gone be there for the next ones. */
void pywsc_expect_large(size_t size);
/* The str or bytes of a message that the core gave away; takes the payload in any case.
 */
PyObject *pywsc_message_take(struct wsc_message *message);
void pywsc_message_discard(struct wsc_message *message);

/* Ask for memory that is looked at soon. */
#if defined(__GNUC__) || defined(__clang__)
#define PYWSC_PREFETCH(address) __builtin_prefetch(address)
#else
#define PYWSC_PREFETCH(address) ((void)(address))
#endif

/* Memory of dead objects of one type, for the next ones: every message makes a few, for
 * a short time. Free-threaded builds go without. */
#define PYWSC_SPARES_MAX 16
struct pywsc_spares {
    PyObject *objects[PYWSC_SPARES_MAX];
    size_t count;
    bool closed; /* the module is going away */
};

/* An untracked object of a final heap type with GC and of fixed size, like
 * PyObject_GC_New: all but its head is garbage. */
PyObject *pywsc_spares_new(struct pywsc_spares *spares, PyTypeObject *type);
/* The end of its tp_dealloc: `object` is untracked and all its references are dropped.
 */
void pywsc_spares_free(struct pywsc_spares *spares, PyObject *object);
/* Free them, and keep no more. */
void pywsc_spares_close(struct pywsc_spares *spares);

#endif
