// SPDX-License-Identifier: Apache-2.0
//
// Words of other programs (ngrok, cloudflared, frp, Caddy, nginx) that somebody types who comes from
// there: what adit calls the same thing. They are not accepted, for then they would have to be kept;
// the answer says what to write.

#pragma once

/** What to write instead of a command, or NULL. */
const char *cli_foreign_command(const char *name);
/** What to write instead of an option (without dashes) of a command that makes a tunnel, or NULL. */
const char *cli_foreign_option(const char *name);
