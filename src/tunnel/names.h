// SPDX-License-Identifier: Apache-2.0
//
// Names of tunnels: which may be asked for, and those that the edge makes up.
//
// A name is a label of the DNS (RFC 1123 2.1): letters, digits and hyphens, 63 at most, in lower case.
// Some are nobody's: those that people or machines take for the operator's own (www, admin, login, wpad,
// ...), what the zone bans, and what looks like one of either, because digits stand for letters or
// hyphens stand in between. Labels with hyphens in the third and fourth place are refused: they belong to
// IDNA (RFC 5890 2.3.1), whose letters can look like any others.
//
// Pure; any thread.

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"
#include "conf/doc.h"
#include "os/addr.h"

enum {
    NAMES_LABEL_MAX = 63,
    NAMES_DOMAIN_MAX = 253,
    NAMES_RANDOM_BYTES = 10, // 80 bits
    NAMES_IP_BYTES = 4,
    NAMES_SUGGESTION_BYTES = 4,
};

enum names_verdict {
    NAMES_OK,
    NAMES_SHAPE,    // it is no label (or no domain)
    NAMES_BANNED,   // it is the operator's
    NAMES_LOOKALIKE // it looks like one that is
};

/** Whether text is a label: letters, digits and hyphens in lower case, not beginning or ending with a
 * hyphen, none in places three and four. */
bool names_is_label(struct slice text);
/** The same for a whole domain: at least two labels, not an address; labels of IDNA are allowed. */
bool names_is_domain(struct slice text);

/** Judges a label that an agent asks for. `banned`: the zone's list of words and patterns ('*' for any
 * characters); may not exist. */
enum names_verdict names_judge(struct slice label, struct conf_node banned);
/** Whether the zone's own list has that name, or one that it looks like. */
bool names_is_banned(struct slice name, struct conf_node banned);
/** Whether two names look alike; equal ones do. */
bool names_look_alike(struct slice a, struct slice b);
/** What names that look alike have in common, in `room`. */
struct slice names_skeleton(struct slice name, char room[NAMES_DOMAIN_MAX + 1]);

/** A name of 80 random bits: sixteen letters and digits that are hard to confuse. */
void names_random(const uint8_t entropy[NAMES_RANDOM_BYTES], struct text *out);
/** "cqcu2t-ip-49-185-26-79", for IPv6 "cqcu2t-ip6-2001-db8-0-0-0-0-0-1": it protects nothing, but says
 * whose machine it is. */
void names_of_address(const uint8_t entropy[NAMES_IP_BYTES], const struct os_addr *a,
                      struct text *out);
/** Another name for one that is taken: "myapp-k4xq2". */
void names_suggest(const uint8_t entropy[NAMES_SUGGESTION_BYTES], struct slice taken,
                   struct text *out);
