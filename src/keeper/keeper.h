// SPDX-License-Identifier: Apache-2.0
//
// The process that reads the configuration: it parses and checks it, makes the canonical document,
// and answers on the control socket. It is started by the supervisor and may open nothing itself.

#pragma once

#include "conf/schema.h"

/** The whole life of a keeper; its result is the process's exit code. main() comes here when argv[0]
 * is KEEPER_ARGV0 (ipc/messages.h). `tables`: all directives of the program. */
int keeper_main(conf_tables_t tables);
