// SPDX-License-Identifier: Apache-2.0
//
// The directives of the processes: where to listen, how many threads, as whom, logs, control.

#pragma once

#include "conf/schema.h"

extern const struct conf_directive super_directives[];
