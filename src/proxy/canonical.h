// SPDX-License-Identifier: Apache-2.0
//
// The redirect from a site's further names (`names:`) to its canonical one.

#pragma once

struct exchange;

/** Answers 308 to the same scheme, port and target on x->site->redirect_to, which must be set. */
void canonical_redirect(struct exchange *x);
