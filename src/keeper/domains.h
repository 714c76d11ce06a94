// SPDX-License-Identifier: Apache-2.0
//
// What an answer of a name server means for a domain (keeper/domains.c): pure functions.

#pragma once

#include <stdint.h>

#include "base/ensure.h"

struct state_domain;
struct txt_question;

enum { DOMAIN_VALUE_MAX = 96, DOMAIN_NAME_MAX = 240 };

// The record: _adit.app.customer.com TXT "adit-owner=..."
#define DOMAIN_LABEL "_adit"
#define DOMAIN_VALUE "adit-owner="

/** When it is to be asked for: wall clock. */
uint64_t domain_due_ms(const struct state_domain *d);
/** Takes up an answer; `why` points to constants afterwards. True: it is proved now and was not, or the
 * other way round. */
bool domain_judge(struct state_domain *d, const struct txt_question *q, uint64_t now_ms);
