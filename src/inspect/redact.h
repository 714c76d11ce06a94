// SPDX-License-Identifier: Apache-2.0
//
// What the inspector does not show: values that would let whoever sees the screen, or a copy of what is on
// it, act as the visitor. Judged by names alone, of fields and of parameters in queries; bodies are shown as
// they are. A request that is sent once more has all of it.

#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/text.h"

/** How much longer a text can become, and a little more. */
enum { REDACT_FACTOR = 4, REDACT_MORE = 32 };

/** Whether a field's value is a secret by its name. */
bool redact_is_secret_field(struct slice name);
/** Whether a parameter's is; the name as it stands in the query. */
bool redact_is_secret_parameter(struct slice name);
/** A target, URL or any other text: the values of secret parameters behind a question mark are left out. */
void redact_url(struct text *out, struct slice url);
/** A field's value, as it may be shown. */
void redact_field(struct text *out, struct slice name, struct slice value);
