// SPDX-License-Identifier: Apache-2.0
//
// Origins that say who they are, and visitors that say whom they want: whoever is answered by another
// one than he asked for is noticed, on either side. Every body is a function of the request's number,
// and an answer's of the origin's as well.

#pragma once

#include "driver.h"
#include "kernel.h"

enum { NAMED_NAME_MAX = 64, NAMED_ORIGINS_MAX = 8, NAMED_REQUESTS_MAX = 4 };

/** What a scenario knows of names. */
struct named_judge {
    /** Whether the origin may see a request for the name now, or answer one that was sent then. */
    bool (*may)(void *arg, uint32_t origin, struct slice name, uint64_t since_ns);
    void *arg;
};

struct named;
struct named_visitor;

struct named *named_new(struct sim_case *c, struct sim *s, const struct os_addr *edge,
                        const struct named_judge *judge);
void named_free(struct named *n);
/** Where an origin is. */
struct os_addr named_origin_at(uint32_t origin);
/** It listens there, or does no longer. */
void named_origin_open(struct named *n, uint32_t origin);
void named_origin_close(struct named *n, uint32_t origin);
/** Connections may break without an answer. */
void named_set_rough(struct named *n, bool rough);
/** One who wants one name after the other on one connection. */
struct named_visitor *named_visit(struct named *n, const char *const *names, uint32_t count);
/** His last status; 0: none came. Ended or not. */
int named_status(const struct named_visitor *v);
bool named_is_over(const struct named_visitor *v);
/** Fails for each visitor that has not come to an end. */
void named_check_over(struct named *n);
/** How many requests got 200. */
uint32_t named_good(const struct named *n);
uint32_t named_all(const struct named *n);
