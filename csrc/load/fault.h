/* Faults by kind and number. */
#ifndef WSC_LOAD_FAULT_H
#define WSC_LOAD_FAULT_H

#include "state.h"

void wsc_load_note(struct wsc_load *load, enum wsc_load_fault_kind kind, int number,
                   struct wsc_str text);

#endif
