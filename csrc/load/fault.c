#include "fault.h"

#include <string.h>

static struct wsc_load_fault *
fault_of(struct wsc_load *load, enum wsc_load_fault_kind kind, int number)
{
    for (size_t i = 0; i < load->fault_count; i++) {
        if (load->faults[i].kind == kind && load->faults[i].number == number) {
            return &load->faults[i];
        }
    }
    if (load->fault_count == WSC_LOAD_FAULTS_MAX) {
        return &load->faults[WSC_LOAD_FAULTS_MAX - 1];
    }
    struct wsc_load_fault *fault = &load->faults[load->fault_count++];
    fault->kind = kind;
    fault->number = number;
    return fault;
}

void wsc_load_note(struct wsc_load *load, enum wsc_load_fault_kind kind, int number,
                   struct wsc_str text)
{
    struct wsc_load_fault *fault = fault_of(load, kind, number);
    if (fault->count == 0 && text.len > 0) {
        fault->text_len =
            text.len < sizeof(fault->text) ? text.len : sizeof(fault->text);
        memcpy(fault->text, text.data, fault->text_len);
    }
    fault->count++;
    load->figures.failed++;
}
