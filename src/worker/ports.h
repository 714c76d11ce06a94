// SPDX-License-Identifier: Apache-2.0
//
// What the steward says to the supervisor of tunnels' public ports (tunnel/ports.h): one question at a
// time. The steward's thread.

#pragma once

#include "ipc/messages.h"
#include "tunnel/ports.h"

/** Asks for what the cores want now, if nothing is awaited. */
void ports_ask(struct tunnel_ports *p);
/** The supervisor has answered: the next question. */
void ports_answered(struct tunnel_ports *p, const struct ipc_port *m);
/** The listener of a port was left and is to be closed. */
void ports_give_back(uint32_t index);
