// SPDX-License-Identifier: Apache-2.0
//
// list: insertion, removal while walking, splicing.

#include "base/list.h"

#include "tap.h"

struct item {
    struct list link;
    char name;
};

static void check_names(const struct list *head, const char *want)
{
    char got[16];
    size_t n = 0;
    for (const struct list *pos = head->next; pos != head; pos = pos->next) {
        got[n++] = ((const struct item *)(const void *)pos)->name;
    }
    CHECK_TEXT(got, n, want);
}

static void links(void)
{
    struct list head;
    struct item a = {.name = 'a'};
    struct item b = {.name = 'b'};
    struct item c = {.name = 'c'};
    list_init(&head);
    list_init(&a.link);
    list_init(&b.link);
    list_init(&c.link);
    CHECK(list_empty(&head) && list_first(&head) == NULL && list_last(&head) == NULL);
    list_push_back(&head, &b.link);
    list_push_back(&head, &c.link);
    list_push_front(&head, &a.link);
    check_names(&head, "abc");
    CHECK(list_first(&head) == &a.link && list_last(&head) == &c.link);
    CHECK_ABORTS(list_push_back(&head, &b.link));
    list_each_safe(pos, tmp, &head)
    {
        if (list_entry(pos, struct item, link)->name == 'b') {
            list_remove(pos);
        }
    }
    check_names(&head, "ac");
    list_remove(&b.link); // in no list: nothing happens
    struct list other;
    list_init(&other);
    list_splice(&head, &other);
    check_names(&head, "ac");
    list_push_back(&other, &b.link);
    list_splice(&head, &other);
    check_names(&head, "acb");
    CHECK(list_empty(&other));
}

TAP_MAIN(links)
