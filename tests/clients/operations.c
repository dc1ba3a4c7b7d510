/* Does what it is told, line by line, over libstreamtable, and says what came of it: see operations.rs.
 *
 * operations ADDRESS WAITING
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamtable.h>
#include <string.h>

static const char *address;
static streamtable_options options;
static streamtable_client *client;
static streamtable_handle handles[26];

static void out_of_memory(void) {
    fputs("no memory\n", stderr);
    exit(3);
}

static unsigned char *pattern(size_t len, unsigned long seed) {
    unsigned char *bytes = malloc(len + 1);
    if (!bytes) out_of_memory();
    for (size_t at = 0; at < len; at++) bytes[at] = (unsigned char)(at * 167 + seed * 31 + (at >> 8));
    return bytes;
}

/* Adler-32. */
static unsigned long sum_of(unsigned long sum, const unsigned char *bytes, size_t len) {
    unsigned long a = sum & 0xFFFF, b = sum >> 16;
    for (size_t at = 0; at < len; at++) {
        a = (a + bytes[at]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* Writes all of it, as many transfers as it takes. */
static streamtable_error write_all(streamtable_handle handle, const unsigned char *bytes, size_t len) {
    size_t done = 0, taken;
    do {
        streamtable_error error = streamtable_write(client, handle, bytes + done, len - done, &taken);
        if (error) return error;
        done += taken;
    } while (done < len);
    return STREAMTABLE_OK;
}

/* The same by leases. */
static streamtable_error put_all(streamtable_handle handle, const unsigned char *bytes, size_t len) {
    size_t done = 0, taken, count;
    do {
        size_t most = streamtable_max_write(client), now = len - done < most ? len - done : most, at = 0;
        streamtable_loan *loan;
        streamtable_error error = streamtable_lease(client, now, &loan);
        if (error) return error;
        const streamtable_part *parts = streamtable_parts(loan, &count);
        for (size_t i = 0; i < count; at += parts[i++].len) memcpy(parts[i].bytes, bytes + done + at, parts[i].len);
        error = at == now ? streamtable_write_in_place(client, handle, loan, &taken) : STREAMTABLE_ERROR_NOT_LENT;
        if (error) return error;
        done += taken;
    } while (done < len);
    return STREAMTABLE_OK;
}

static streamtable_error read_all(streamtable_handle handle, size_t len) {
    unsigned char *bytes = malloc(len + 1);
    size_t done = 0, got = 1;
    streamtable_error error = STREAMTABLE_OK;
    if (!bytes) out_of_memory();
    while (!error && done < len && got > 0) {
        error = streamtable_read(client, handle, bytes + done, len - done, &got);
        if (!error) done += got;
    }
    if (!error) printf("%zu %lu\n", done, sum_of(1, bytes, done));
    free(bytes);
    return error;
}

/* The same where the bytes are. */
static streamtable_error view_all(streamtable_handle handle, size_t len) {
    size_t done = 0, got = 1, count;
    unsigned long sum = 1;
    while (done < len && got > 0) {
        streamtable_loan *loan;
        streamtable_error error = streamtable_read_in_place(client, handle, len - done, &loan);
        if (error) return error;
        const streamtable_part *parts = streamtable_parts(loan, &count);
        for (size_t i = 0; i < count; i++) sum = sum_of(sum, parts[i].bytes, parts[i].len);
        got = streamtable_loan_len(loan);
        done += got;
        error = streamtable_release(client, loan);
        if (error) return error;
    }
    printf("%zu %lu\n", done, sum);
    return STREAMTABLE_OK;
}

/* Writes and reads some bytes at one place after the other, so that rings and blocks come round. */
static streamtable_error go_round(streamtable_handle handle, unsigned long count) {
    unsigned char bytes[60];
    unsigned long sum = 1;
    for (unsigned long i = 0; i < count; i++) {
        unsigned char *wanted = pattern(sizeof bytes, i);
        size_t some;
        streamtable_error error = streamtable_seek(client, handle, (int64_t)i, STREAMTABLE_FROM_START, NULL);
        if (!error) error = streamtable_write(client, handle, wanted, sizeof bytes, &some);
        free(wanted);
        if (!error) error = streamtable_seek(client, handle, -(int64_t)some, STREAMTABLE_FROM_CURRENT, NULL);
        if (!error) error = streamtable_read(client, handle, bytes, sizeof bytes, &some);
        if (error) return error;
        sum = sum_of(sum, bytes, some);
    }
    printf("%lu %lu\n", count, sum);
    return STREAMTABLE_OK;
}

/* Takes messages until the stream ends: how many, their sum, and what ended it. */
static streamtable_error stream_all(streamtable_handle handle, size_t most, uint32_t credits) {
    unsigned char *bytes = malloc(most + 1);
    unsigned long count = 0, sum = 1;
    streamtable_stream *stream;
    size_t got;
    if (!bytes) out_of_memory();
    streamtable_error error = streamtable_stream_open(client, handle, (uint32_t)most, credits, &stream);
    if (!error) {
        for (; !(error = streamtable_next(client, stream, bytes, most, &got)); count++) sum = sum_of(sum, bytes, got);
        printf("%lu %lu %d\n", count, sum, (int)error);
        error = streamtable_stream_close(client, stream);
    }
    free(bytes);
    return error;
}

/* How many descriptors this process has, and how many mappings. */
static void count_held(void) {
    size_t descriptors = 0, mappings = 0;
    DIR *folder = opendir("/proc/self/fd");
    FILE *maps = fopen("/proc/self/maps", "r");
    if (!folder || !maps) exit(3);
    while (readdir(folder)) descriptors++;
    for (int byte; (byte = getc(maps)) != EOF;) mappings += byte == '\n';
    closedir(folder);
    fclose(maps);
    printf("%zu %zu\n", descriptors, mappings);
}

static streamtable_error connect_often(unsigned long count) {
    streamtable_error error = STREAMTABLE_OK;
    for (unsigned long i = 0; i < count && !error; i++) {
        streamtable_client *another;
        error = streamtable_connect(address, &options, &another);
        if (error) break;
        /* Whatever is not given back goes with it. */
        streamtable_handle handle;
        streamtable_loan *loan;
        error = streamtable_lease(another, 5000, &loan);
        if (!error && streamtable_open(another, "no such object", &handle) != STREAMTABLE_ERROR_NOT_FOUND) exit(3);
        streamtable_disconnect(another);
    }
    return error;
}

static streamtable_error share(streamtable_handle handle, unsigned long start, unsigned long len, int is_writable) {
    streamtable_object object;
    streamtable_error error = streamtable_share(client, handle, start, len, is_writable, &object);
    if (error) return error;
    printf("%zu %lu\n", object.len, sum_of(1, object.bytes, object.len));
    if (is_writable) memset(object.bytes, 'w', object.len);
    streamtable_unshare(&object);
    return STREAMTABLE_OK;
}

/* Does what a line says; prints the result, unless that is an error. */
static streamtable_error obey(const char *verb, char *words) {
    unsigned long a = 0, b = 0;
    long distance = 0;
    char letter = 'a', name[5000] = "", from[16] = "";
    streamtable_error error;
    if (strcmp(verb, "limit") == 0) {
        streamtable_set_limit(client, (uint32_t)strtoul(words, NULL, 10));
        puts("ok");
        return STREAMTABLE_OK;
    }
    if (strcmp(verb, "held") == 0) {
        count_held();
        return STREAMTABLE_OK;
    }
    if (strcmp(verb, "connect") == 0) {
        if (!(error = connect_often(strtoul(words, NULL, 10)))) puts("ok");
        return error;
    }
    if (strcmp(verb, "destroy") == 0) {
        if (!(error = streamtable_destroy(client, words))) puts("ok");
        return error;
    }
    if (sscanf(words, "%c %4999[^\n]", &letter, name) < 1 || letter < 'a' || letter > 'z') exit(3);
    streamtable_handle *handle = &handles[letter - 'a'];
    if (strcmp(verb, "open") == 0)
        error = streamtable_open(client, name, handle);
    else if (strcmp(verb, "create") == 0)
        error = streamtable_create(client, name, handle);
    else if (strcmp(verb, "replace") == 0)
        error = streamtable_create_or_replace(client, name, handle);
    else if (strcmp(verb, "close") == 0)
        error = streamtable_close(client, *handle);
    else if (strcmp(verb, "discard") == 0)
        error = streamtable_discard(client, *handle);
    else if (strcmp(verb, "meta") == 0)
        error = streamtable_write_meta(client, *handle, name, strlen(name), NULL);
    else if (strcmp(verb, "publish") == 0)
        error = streamtable_publish(client, *handle, (unsigned)strtoul(name, NULL, 10));
    else if (strcmp(verb, "read") == 0)
        return read_all(*handle, strtoul(name, NULL, 10));
    else if (strcmp(verb, "view") == 0)
        return view_all(*handle, strtoul(name, NULL, 10));
    else if (strcmp(verb, "rounds") == 0)
        return go_round(*handle, strtoul(name, NULL, 10));
    else if (strcmp(verb, "stream") == 0 && sscanf(name, "%lu %lu", &a, &b) == 2)
        return stream_all(*handle, a, (uint32_t)b);
    else if (strcmp(verb, "share") == 0 && sscanf(name, "%lu %lu %ld", &a, &b, &distance) == 3)
        return share(*handle, a, b, distance != 0);
    else if (strcmp(verb, "seek") == 0 && sscanf(name, "%15s %ld", from, &distance) == 2) {
        uint64_t position;
        streamtable_from whence = from[0] == 's'   ? STREAMTABLE_FROM_START
                                  : from[0] == 'c' ? STREAMTABLE_FROM_CURRENT
                                                   : STREAMTABLE_FROM_END;
        error = streamtable_seek(client, *handle, distance, whence, &position);
        if (!error) printf("%llu\n", (unsigned long long)position);
        return error;
    } else if ((strcmp(verb, "write") == 0 || strcmp(verb, "put") == 0 || strcmp(verb, "post") == 0) &&
               sscanf(name, "%lu %lu", &a, &b) == 2) {
        unsigned char *bytes = pattern(a, b);
        error = verb[0] == 'w'   ? write_all(*handle, bytes, a)
                : verb[1] == 'u' ? put_all(*handle, bytes, a)
                                 : streamtable_post(client, *handle, bytes, a);
        free(bytes);
    } else
        exit(3);
    if (!error) puts("ok");
    return error;
}

int main(int count, char **words) {
    static char line[6000];
    if (count != 3) return 3;
    address = words[1];
    options.waiting = (streamtable_waiting)atoi(words[2]);
    options.limit_ms = 30000;
    streamtable_error error = streamtable_connect(address, &options, &client);
    if (error) {
        fprintf(stderr, "%s: %s\n", address, streamtable_message(error));
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line + strcspn(line, " ");
        if (*rest) *rest++ = 0;
        error = obey(line, rest);
        if (error) printf("error %d\n", (int)error);
        fflush(stdout);
    }
    streamtable_disconnect(client);
    return 0;
}
