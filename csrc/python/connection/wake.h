/* Waking the tasks that wait for a message, or for room. All return 0, or -1 with an
 * exception that has to leave the loop. */
#ifndef PYWSC_CONNECTION_WAKE_H
#define PYWSC_CONNECTION_WAKE_H

#include "connection/connection.h"

/* May a waiting task be resumed right here? Not while another task is running. */
bool pywsc_connection_may_resume(struct pywsc_connection *self);

/* Wake a task; in place as pywsc_connection_may_resume says. */
int pywsc_connection_resume(struct pywsc_connection *self, struct pywsc_waiter *waiter,
                            bool in_place);
/* Wake the one who waits for a message, if there is one. */
int pywsc_connection_wake_receiver(struct pywsc_connection *self, bool in_place);
/* Room for more again, or none ever again: wake those who wait in send(). */
int pywsc_connection_wake_senders(struct pywsc_connection *self);

#endif
