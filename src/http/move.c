// SPDX-License-Identifier: Apache-2.0
//
// The way from one core to another: a place at the door first, so that nothing is taken apart in vain,
// then the parcel, then the mail.

#include "http/move.h"

void conn_door_init(struct conn_door *d, struct loop *l, struct transport_core *transports)
{
    gate_init(&d->gate, l, CONN_DOOR_INBOUND_MAX);
    d->transports = transports;
    gate_open(&d->gate);
}

void conn_door_close(struct conn_door *d)
{
    gate_close(&d->gate);
}

static void on_mail(struct gate_mail *mail)
{
    struct conn_move *m = container_of(mail, struct conn_move, mail);
    int error = 0;
    struct transport *t = transport_unpack(m->to->transports, &m->parcel, &error);
    m->peer.transport = t;
    m->peer.security =
        t != NULL && t->ops->security != NULL && m->peer.secure ? t->ops->security(t) : NULL;
    m->arrived(m, t, error);
}

int conn_move(struct conn_move *m, struct conn_door *to, struct transport *t,
              const struct http_peer *peer)
{
    ensure(m->arrived != NULL);
    int e = gate_enter(&to->gate);
    if (e < 0) {
        return e;
    }
    m->peer = *peer; // before the connection goes: the caller's may be a part of it
    e = transport_pack(t, &m->parcel);
    if (e < 0) {
        gate_leave(&to->gate);
        return e;
    }
    m->to = to;
    m->mail.fn = on_mail;
    gate_post(&to->gate, &m->mail);
    return 0;
}
