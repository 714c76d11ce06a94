// SPDX-License-Identifier: Apache-2.0
//
// What the files of the balancing methods share: who may be chosen, drawing one at random by weight,
// and which of two is less loaded.

#pragma once

#include "upstream/balance.h"

/** Is server i in the list of those that may be asked? */
bool balance_is_listed(const struct balance_choice *c, uint32_t i);

static inline bool balance_is_barred(const struct balance_choice *c, uint32_t i)
{
    return c->barred != NULL && c->barred(c->barred_arg, i);
}

static inline uint64_t balance_weight_of(const struct balance_choice *c, uint32_t i)
{
    return balance_weight(c->settings, &c->servers[i], c->now_ns);
}

/** State of methods that have none: a byte count must not be 0. */
size_t balance_no_state(uint32_t n);

/** Odds: a table to draw a server from by weight, in constant time (balance_draw.c). */
void *balance_odds_new(const struct balance_server *servers, uint32_t n, int *error);
void balance_odds_free(void *table);
/** Draws one of the list that is not barred and not `except` (-1: any), with a probability of its
 * weight; c->table must be odds or NULL. -1: there is none. */
int balance_draw(const struct balance_choice *c, int except);

// Rows of the table of methods.
size_t balance_turns_bytes(uint32_t n);
int balance_turns_pick(const struct balance_choice *c);
int balance_least_pick(const struct balance_choice *c);
int balance_two_pick(const struct balance_choice *c);
int balance_ewma_pick(const struct balance_choice *c);
void *balance_ring_new(const struct balance_server *servers, uint32_t n, int *error);
void balance_ring_free(void *table);
int balance_ring_pick(const struct balance_choice *c);
