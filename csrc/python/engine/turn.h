/* What the engine does each time the loop calls it. */
#ifndef PYWSC_ENGINE_TURN_H
#define PYWSC_ENGINE_TURN_H

#include "engine/engine.h"

/* Handle what is ready, or as much as is fair. -1 with an exception. */
int pywsc_engine_take_turn(struct pywsc_engine *self);

#endif
