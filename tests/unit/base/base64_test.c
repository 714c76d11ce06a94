// SPDX-License-Identifier: Apache-2.0
//
// Base64 both ways: the values of RFC 4648 10, and texts that are refused.

#include "base/base64.h"
#include "base/error.h"
#include "tap.h"

static const struct {
    const char *bytes, *padded, *url;
} values[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
};

static void check_one(const char *bytes, const char *text, enum base64_kind kind)
{
    char buffer[64];
    struct text t = text_on(buffer, sizeof(buffer));
    base64_put(&t, slice_str(bytes), kind);
    CHECK_TEXT(t.ptr, t.len, text);
    char back[64];
    size_t len = 99;
    CHECK_EQ_INT(base64_read(slice_str(text), kind, back, sizeof(back), &len), 0);
    CHECK_TEXT(back, len, bytes);
}

static void goes_both_ways(void)
{
    for (size_t i = 0; i < array_len(values); i++) {
        check_one(values[i].bytes, values[i].padded, BASE64_PADDED);
        check_one(values[i].bytes, values[i].url, BASE64_URL);
    }
}

static const struct {
    const char *text;
    enum base64_kind kind;
} bad[] = {
    {"Zg", BASE64_PADDED},    {"Zg=", BASE64_PADDED},    {"Zg===", BASE64_PADDED},
    {"=", BASE64_PADDED},     {"====", BASE64_PADDED},   {"Z===", BASE64_PADDED},
    {"Zh==", BASE64_PADDED},  {"Zm9=", BASE64_PADDED},   {"Zg==Zg==", BASE64_PADDED},
    {"Zm 9v", BASE64_PADDED}, {"Zm9v\n", BASE64_PADDED}, {"-__-", BASE64_PADDED},
    {"Zg==", BASE64_URL},     {"Z", BASE64_URL},         {"Zm9vY", BASE64_URL},
    {"+//+", BASE64_URL},     {"Zh", BASE64_URL},        {"\x80\x80\x80\x80", BASE64_URL},
};

static void refuses_other_texts(void)
{
    for (size_t i = 0; i < array_len(bad); i++) {
        char out[16];
        size_t len;
        if (!CHECK_EQ_INT(base64_read(slice_str(bad[i].text), bad[i].kind, out, sizeof(out), &len),
                          E_INVALID)) {
            printf("# %s\n", bad[i].text);
        }
    }
}

static void keeps_to_its_room(void)
{
    char out[3];
    size_t len;
    CHECK_EQ_INT(base64_read(SLICE("Zm9v"), BASE64_URL, out, 3, &len), 0);
    CHECK_EQ_INT(base64_read(SLICE("Zm9vYg"), BASE64_URL, out, 3, &len), E_TOO_LARGE);
    CHECK_EQ_INT(base64_read(SLICE("Zm9v"), BASE64_URL, out, 2, &len), E_TOO_LARGE);
}

TAP_MAIN(goes_both_ways, refuses_other_texts, keeps_to_its_room)
