/* Large bytes objects that nobody has any more, kept for the next large messages. What
 * the C library gives back to the system and takes again costs a page fault for every
 * 4 KiB, which is more than all else that is done to a message. */
#ifndef PYWSC_COMMON_LARGE_H
#define PYWSC_COMMON_LARGE_H

#include "common/python.h"

#define PYWSC_LARGE_MIN ((size_t)64 << 10)
/* A bytes object of that size or more, its content undefined; NULL without an exception
 * when none is kept that fits. */
PyObject *pywsc_large_take(size_t size);
/* Let go of a reference to an object; keeps it if it is a large bytes object and the
 * reference is the last one. */
void pywsc_large_release(PyObject *object);

#endif
