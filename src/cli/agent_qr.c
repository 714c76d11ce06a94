// SPDX-License-Identifier: Apache-2.0
//
// QR codes by libqrencode, an optional library. Black on white by colour codes, whatever the
// terminal's own colours are: a code in reverse is one that many cameras do not read.

#include "cli/agent_qr.h"

#ifdef ADIT_HAVE_QRENCODE
#include <qrencode.h>
#endif

#include "base/text.h"

#ifdef ADIT_HAVE_QRENCODE

enum { INDENT = 2, QUIET = 2 }; // modules; scanners are content with half of what the standard asks

static bool is_dark(const QRcode *q, int x, int y)
{
    bool inside = x >= 0 && y >= 0 && x < q->width && y < q->width;
    return inside && (q->data[y * q->width + x] & 1) != 0;
}

void agent_qr_draw(const char *what, unsigned columns, struct text *out)
{
    QRcode *q = QRcode_encodeString8bit(what, 0, QR_ECLEVEL_L);
    if (q == NULL) {
        return;
    }
    bool fits = q->width + 2 * QUIET + INDENT <= (int)columns;
    for (int y = -QUIET; fits && y < q->width + QUIET; y += 2) {
        text_str(out, "  \033[38;5;16;48;5;231m");
        for (int x = -QUIET; x < q->width + QUIET; x++) {
            bool upper = is_dark(q, x, y);
            bool lower = is_dark(q, x, y + 1);
            text_str(out, upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ");
        }
        text_str(out, "\033[0m\n");
    }
    QRcode_free(q);
}

#else

void agent_qr_draw(const char *what, unsigned columns, struct text *out)
{
    (void)what;
    (void)columns;
    (void)out;
}

#endif
