// SPDX-License-Identifier: Apache-2.0
//
// The inspector's page, as it is sent: a document, a script and a style sheet, nothing from elsewhere. What
// visitors wrote gets into it as text (textContent) and in no other way; the Content-Security-Policy that
// goes with it would run nothing else anyway (inspect/answer.c).

#pragma once

struct page_file {
    const char *path; // NULL: the end
    const char *type;
    const char *text;
};

extern const struct page_file page_files[];
