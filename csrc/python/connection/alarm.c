#include "connection/alarm.h"

int pywsc_alarm_set(struct pywsc_connection *connection)
{
    struct pywsc_deadlines *self = &connection->deadlines;
    if (connection->ended.tcp) {
        return 0;
    }
    double at = pywsc_sooner(self->end_at, self->look_at);
    at = pywsc_sooner(at, pywsc_sooner(self->keepalive_at, self->idle_at));
    at = pywsc_sooner(at, pywsc_sooner(self->memory_at, self->rate_at));
    return pywsc_timers_set(self->timers, &self->timer, at);
}
