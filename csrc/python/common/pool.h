/* The compression contexts that connections share. */
#ifndef PYWSC_COMMON_POOL_H
#define PYWSC_COMMON_POOL_H

#include "common/state.h"

#include "wsc/deflate.h"

/* The interpreter's pool of compression contexts, to be released: objects may outlive
 * the module's state. NULL: without memory for it, or in a free-threaded build, there
 * is none. */
struct pywsc_pool *pywsc_pool_hold(struct pywsc_state *state);
/* NULL of NULL. */
struct wsc_deflate_pool *pywsc_pool_contexts(struct pywsc_pool *pool);
void pywsc_pool_release(struct pywsc_pool *pool);
/* That of the interpreter, as its module goes away. */
void pywsc_pool_forget(struct pywsc_state *state);

#endif
