// SPDX-License-Identifier: Apache-2.0
//
// The module `compress`: gzip for responses whose client takes it. docs/design/module.md walks through
// it as the example of a module that transforms a body.

#pragma once

#include "proxy/module.h"

extern const struct conf_directive compress_directives[];
extern const struct module compress_module;
