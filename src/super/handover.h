// SPDX-License-Identifier: Apache-2.0
//
// What a supervisor hands to the program that takes its place (super/upgrade.c): everything it knows,
// as text in a sealed memory file, and the numbers of the descriptors that stay open over the exec.
//
// The reader may be of another version than the writer, older or newer. So a line tells its kind, and
// whether a reader that does not know it may skip it ('~') or must refuse the whole state ('!'):
//
//     adit-state 1
//     !s edge 0:
//     !t path 14:/etc/adit.yaml
//     !d program 2:17
//     ~n upgrades 1:3
//     !s end 0:
//
// Something new is one row in the table of handover.c. It is '~' unless an older program that leaves
// it out would serve something wrong.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "ipc/messages.h"

struct text;

enum {
    HANDOVER_FORMAT = 1,
    HANDOVER_BYTES_MAX = 2 << 20, // 4,096 ports of tunnels take a third of it
    HANDOVER_TEXT_MAX = 64 << 10, // of a built-in configuration
    HANDOVER_WORKERS_MAX = 33,    // one in force and those that drain
    HANDOVER_SKIPPED_MAX = 64,
    HANDOVER_VERSION_MAX = 32,
};

// Numbers are uint64_t throughout: the table says how large each may be. Descriptors: -1 is none.

struct handover_edge {
    char version[HANDOVER_VERSION_MAX]; // of the writer
    char path[IPC_PATH_MAX];            // main configuration file, as the user named it
    struct slice text; // the configuration when it is built in; points into the state
    char state_path[IPC_PATH_MAX];
    char control_path[OS_ADDR_PATH_MAX];
    char program_path[IPC_PATH_MAX]; // of the program that takes over
    char old_program_path[IPC_PATH_MAX];
    int program;
    int old_program; // what runs now: the way back
    int state;
    int control;
    int client;      // who asked for the upgrade and waits for an answer
    int resolv_conf; // texts by which names are resolved
    int hosts;
    int servers; // what watched files and commands say of servers
    uint64_t servers_number;
    int access; // who may have tunnels
    uint64_t access_number;
    int tunnels; // rows of the worker in force
    uint64_t started_wall_ms;
    uint64_t counters; // fingerprint of their table
    uint64_t upgrades; // before this one
    uint64_t starts;   // of workers
};

struct handover_edition {
    uint64_t generation;
    int doc;
    int credentials;
    uint64_t credentials_number;
    int access;
    uint64_t loaded_wall_ms;
    uint64_t workers;
    uint64_t log_level;
    uint64_t access_kind;
    uint64_t control;
    uint64_t connections;
    uint64_t memory_bytes;
    uint64_t drain_ms;
    char user[IPC_USER_MAX];
    char access_path[IPC_PATH_MAX];
    char control_path[OS_ADDR_PATH_MAX];
};

struct handover_ranges {
    uint32_t count;
    struct os_cidr at[IPC_PROXIES_MAX];
};

struct handover_listener {
    uint64_t index;
    int fd;
    uint64_t secure;
    uint64_t stream; // the rest of struct ipc_speech
    uint64_t datagram;
    uint64_t tunnel;                // of a program that took it for a listener: a port of a tunnel
    struct handover_ranges proxies; // who must send a PROXY header
    uint64_t backlog;
    struct os_addr asked;
    struct os_addr bound;
};

/** Ports that tunnels may have. */
struct handover_range {
    uint64_t tcp; // keys of the streams
    uint64_t udp;
    uint64_t last;
    struct os_addr first;
};

/** A port of a tunnel that is open. */
struct handover_port {
    uint64_t index;
    int fd;
    uint64_t stream;
    uint64_t datagram;
    struct os_addr at; // that was asked for
};

/** The first one is in force, the others drain. */
struct handover_worker {
    uint64_t pid;
    int channel;
    int counters;
    uint64_t cores;
    uint64_t counted; // its counters are of the writer's own table
    uint64_t started_ms;
    uint64_t drain_end_ms; // 0: it serves
    char version[HANDOVER_VERSION_MAX];
};

struct handover {
    struct handover_edge edge;
    struct handover_edition edition;
    uint32_t listeners;
    uint32_t workers;
    uint32_t ranges;
    uint32_t ports;
    uint32_t skipped_count; // descriptors of rows that this program does not know
    int skipped[HANDOVER_SKIPPED_MAX];
    struct handover_listener listener[IPC_LISTENERS_MAX];
    struct handover_worker worker[HANDOVER_WORKERS_MAX];
    struct handover_range range[IPC_PORT_RANGES_MAX];
    struct handover_port port[IPC_PORTS_MAX]; // the last: what is not used of it is never touched
};

/** All descriptors -1. */
void handover_init(struct handover *h);
/** Writes it; E_TOO_LARGE when `out` has no room. */
int handover_write(const struct handover *h, struct text *out) must_check;
/** Reads any bytes. 0, or E_INVALID with the reason in `why`. Looks at no descriptor. */
int handover_read(struct slice bytes, struct handover *h, struct text *why) must_check;
/** Calls fn for each descriptor in it that is not -1, those of skipped rows included. */
void handover_each_fd(const struct handover *h, void (*fn)(void *arg, int fd), void *arg);
