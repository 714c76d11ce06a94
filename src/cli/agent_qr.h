// SPDX-License-Identifier: Apache-2.0
//
// A QR code as text, for a phone that is to open what a tunnel shows.

#pragma once

struct text;

/** Draws `what`, two rows of modules to a line of half blocks, with the quiet zone around it; nothing
 * when it would not fit, or this build has no library for it. For a terminal that knows UTF-8. */
void agent_qr_draw(const char *what, unsigned columns, struct text *out);
