/* The one timer of a connection, for all of its clocks. */
#ifndef PYWSC_CONNECTION_ALARM_H
#define PYWSC_CONNECTION_ALARM_H

#include "connection/connection.h"

/* Set it for the first of the clocks. -1 with an exception, never while timers are run.
 */
int pywsc_alarm_set(struct pywsc_connection *connection);

static inline double pywsc_sooner(double a, double b)
{
    return a < b ? a : b;
}

#endif
