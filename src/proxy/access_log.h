// SPDX-License-Identifier: Apache-2.0
//
// One line per exchange for the access log, as JSON or in the combined form that log tools know, and
// one for the error log when an exchange failed: which rule broke, on which side. Lines are built on
// the core and put into its ring (obs/log.h); nothing here waits.

#pragma once

#include <stdint.h>

#include "base/text.h"
#include "conf/doc.h"

struct exchange;

enum access_log_format { ACCESS_LOG_JSON, ACCESS_LOG_COMBINED };

/** The format that the top-level `access_log` asks for; `n` may not exist. */
enum access_log_format access_log_format_of(struct conf_node n);

/** The exchange is over: writes both lines where they are due. `core` only; x->times.sent is set (or
 * the total is counted up to `now_ns`, the loop's monotonic time). */
void access_log_write(const struct exchange *x, uint64_t now_ns);

/** "23/Nov/2026:05:46:12 +0000", as the combined form has it: for lines of others. */
void access_log_common_time(uint64_t wall_ms, struct text *out);

// The builders, for tests. A line ends with '\n'; long fields are cut, so that LOG_LINE_MAX holds.

void access_log_json(const struct exchange *x, uint64_t now_ns, struct text *out);
void access_log_combined(const struct exchange *x, uint64_t now_ns, struct text *out);
/** Without the end of line, for log_line(). */
void access_log_failure(const struct exchange *x, struct text *out);
