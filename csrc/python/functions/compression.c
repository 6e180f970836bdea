#include "common/arguments.h"
#include "functions/functions.h"
#include "values/errors.h"

#include <string.h>

#include "wsc/deflate.h"

/* Deflater and Inflater: permessage-deflate payloads outside of a connection. Each is
 * one end of a wsc_deflate: the deflater a server's sending half, the inflater a
 * client's receiving half. */

struct compression {
    PyObject_HEAD struct wsc_deflate *deflate;
};

static PyObject *compression_new(PyTypeObject *type, enum wsc_role role,
                                 int window_bits, int level, int mem_level,
                                 int no_context_takeover, int least_bits)
{
    struct wsc_deflate_settings settings;
    struct wsc_deflate_params params;
    if (window_bits < least_bits || window_bits > WSC_WINDOW_BITS_MAX) {
        return PyErr_Format(PyExc_ValueError, "window_bits must be from %d to 15",
                            least_bits);
    }
    wsc_deflate_settings_init(&settings);
    settings.level = level;
    settings.mem_level = mem_level;
    memset(&params, 0, sizeof(params));
    params.server_no_context_takeover = no_context_takeover != 0;
    params.server_max_window_bits = (uint8_t)window_bits;
    params.client_max_window_bits = WSC_WINDOW_BITS_MAX;
    if (wsc_deflate_settings_check(&settings) != WSC_OK) {
        PyErr_SetString(PyExc_ValueError, "level must be -1 to 9, mem_level 1 to 9");
        return NULL;
    }
    struct compression *self = (struct compression *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    enum wsc_status status = wsc_deflate_new(&pywsc_allocator, NULL, role, &settings,
                                             &params, &self->deflate);
    if (status != WSC_OK) {
        Py_DECREF(self);
        return pywsc_raise(pywsc_type_state(type), status);
    }
    return (PyObject *)self;
}

static void compression_dealloc(PyObject *op)
{
    wsc_deflate_free(((struct compression *)op)->deflate);
    pywsc_free(op);
}

/* --- Deflater --- */

static PyObject *deflater_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"window_bits", "level", "mem_level",
                               "no_context_takeover", NULL};
    int bits = WSC_WINDOW_BITS_MAX;
    int level = -1;
    int mem_level = 8;
    int no_context_takeover = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$iiip", keywords, &bits, &level,
                                     &mem_level, &no_context_takeover)) {
        return NULL;
    }
    return compression_new(type, WSC_ROLE_SERVER, bits, level, mem_level,
                           no_context_takeover, WSC_WINDOW_BITS_MIN + 1);
}

static PyObject *deflater_compress(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "fin", NULL};
    struct compression *self = (struct compression *)op;
    PyObject *object;
    int fin = 1;
    struct pywsc_bytes data;
    struct wsc_buffer out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p", keywords, &object, &fin) ||
        pywsc_bytes_get(object, false, &data) < 0) {
        return NULL;
    }
    wsc_buffer_init(&out, &pywsc_allocator, SIZE_MAX / 2);
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = wsc_deflate_compress(self->deflate, data.data, (size_t)data.len, fin != 0,
                                  &out);
    Py_END_CRITICAL_SECTION();
    PyObject *result =
        status == WSC_OK
            ? PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len)
            : pywsc_raise(pywsc_type_state(Py_TYPE(op)), status);
    wsc_buffer_fini(&out);
    pywsc_bytes_release(&data);
    return result;
}

static PyMethodDef deflater_methods[] = {
    {"compress", PYWSC_FUNCTION(deflater_compress), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR(
         "compress($self, data, /, *, fin=True)\n--\n\n"
         "The payload of the next frame (RFC 7692 §7.2.1); fin ends the message.")},
    {NULL},
};

/* --- Inflater --- */

static PyObject *inflater_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"window_bits", "no_context_takeover", NULL};
    int bits = WSC_WINDOW_BITS_MAX;
    int no_context_takeover = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$ip", keywords, &bits,
                                     &no_context_takeover)) {
        return NULL;
    }
    return compression_new(type, WSC_ROLE_CLIENT, bits, -1, 8, no_context_takeover,
                           WSC_WINDOW_BITS_MIN);
}

#define FIRST_ROOM 1024

/* Inflate until the input is used up, or with `data` NULL until the message has ended;
 * at most `max` bytes in all, which one byte more tells from too many. */
static enum wsc_status inflate(struct wsc_deflate *deflate, const uint8_t *data,
                               size_t len, size_t max, struct wsc_buffer *out)
{
    enum wsc_status status;
    do {
        size_t room = max + 1 - out->len; /* above max, this has returned */
        if (room > out->len + FIRST_ROOM) {
            room = out->len + FIRST_ROOM;
        }
        status = wsc_buffer_reserve(out, room);
        if (status != WSC_OK) {
            return status;
        }
        size_t used = 0;
        size_t written = 0;
        status = data != NULL
                     ? wsc_deflate_decompress(deflate, data, len, &used,
                                              out->data + out->len, room, &written)
                     : wsc_deflate_decompress_end(deflate, out->data + out->len, room,
                                                  &written);
        out->len += written;
        if (data != NULL) {
            data += used;
            len -= used;
        }
        if (out->len > max) {
            return WSC_ERR_TOO_BIG;
        }
    } while (status == WSC_NEED_SPACE);
    return status;
}

static PyObject *inflater_decompress(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", "fin", "max_size", NULL};
    struct compression *self = (struct compression *)op;
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *object;
    PyObject *max_object = NULL;
    int fin = 1;
    size_t max;
    struct pywsc_bytes data;
    struct wsc_buffer out;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pO", keywords, &object, &fin,
                                     &max_object) ||
        pywsc_size_argument(max_object, "max_size", WSC_MESSAGE_SIZE_MAX, &max) < 0 ||
        pywsc_bytes_get(object, false, &data) < 0) {
        return NULL;
    }
    wsc_buffer_init(&out, &pywsc_allocator, SIZE_MAX / 2);
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = data.len > 0
                 ? inflate(self->deflate, data.data, (size_t)data.len, max, &out)
                 : WSC_OK;
    if (status == WSC_OK && fin) {
        status = inflate(self->deflate, NULL, 0, max, &out);
    }
    Py_END_CRITICAL_SECTION();
    PyObject *result = NULL;
    if (status == WSC_OK) {
        result = PyBytes_FromStringAndSize((const char *)out.data, (Py_ssize_t)out.len);
    }
    else if (status == WSC_ERR_PROTOCOL) {
        PyErr_SetString(state->objects[PYWSC_PROTOCOL_ERROR],
                        "invalid compressed data");
    }
    else if (status == WSC_ERR_TOO_BIG) {
        PyErr_SetString(state->objects[PYWSC_PAYLOAD_TOO_BIG], "message too big");
    }
    else {
        (void)pywsc_raise(state, status);
    }
    wsc_buffer_fini(&out);
    pywsc_bytes_release(&data);
    return result;
}

static PyMethodDef inflater_methods[] = {
    {"decompress", PYWSC_FUNCTION(inflater_decompress), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR(
         "decompress($self, data, /, *, fin=True, max_size=None)\n--\n\n"
         "What a frame's payload stands for (RFC 7692 §7.2.2); fin ends the message. "
         "ProtocolError: not such data. PayloadTooBig: more than max_size bytes; the "
         "inflater is of no use then.")},
    {NULL},
};

/* --- types --- */

static PyType_Slot deflater_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("Deflater(*, window_bits=15, level=-1, mem_level=8, "
               "no_context_takeover=False)\n--\n\n"
               "Compresses messages as permessage-deflate does (RFC 7692 §7.2.1); "
               "window_bits is 9-15.")},
    {Py_tp_new, deflater_new},
    {Py_tp_dealloc, compression_dealloc},
    {Py_tp_methods, deflater_methods},
    {0, NULL},
};

static PyType_Slot inflater_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("Inflater(*, window_bits=15, no_context_takeover=False)\n--\n\n"
               "Decompresses them (RFC 7692 §7.2.2); window_bits is 8-15.")},
    {Py_tp_new, inflater_new},
    {Py_tp_dealloc, compression_dealloc},
    {Py_tp_methods, inflater_methods},
    {0, NULL},
};

static PyType_Spec deflater_spec = {
    .name = "pywscore._core.Deflater",
    .basicsize = sizeof(struct compression),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = deflater_slots,
};

static PyType_Spec inflater_spec = {
    .name = "pywscore._core.Inflater",
    .basicsize = sizeof(struct compression),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = inflater_slots,
};

int pywsc_compression_init(PyObject *module, struct pywsc_state *state)
{
    state->deflater = pywsc_add_type(module, &deflater_spec, NULL);
    state->inflater = pywsc_add_type(module, &inflater_spec, NULL);
    return state->deflater != NULL && state->inflater != NULL ? 0 : -1;
}
