/*
 * Gets files from a streamtable-server, and puts them there.
 *
 *     cc files.c $(pkg-config --cflags --libs streamtable) -o files
 *     ./files get NAME FILE          FILE must not exist yet
 *     ./files put FILE NAME          there as a whole, or not at all
 *     ./files @other-server get …    at another address than @memcpy-select-files
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <streamtable.h>

enum { CHUNK = 1 << 20 };

static int failed(const char *what, streamtable_error error) {
    const char *cause = error == STREAMTABLE_ERROR_SYSTEM ? strerror(errno) : "";
    fprintf(stderr, "%s: %s %s\n", what, streamtable_message(error), cause);
    return EXIT_FAILURE;
}

static int failed_here(const char *path) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return EXIT_FAILURE;
}

/* Copies an object into a local file, which is removed if that fails. */
static int get(streamtable_client *client, const char *name, const char *path) {
    static char bytes[CHUNK];
    streamtable_handle object;
    size_t got = 0;
    streamtable_error error = streamtable_open(client, name, &object);
    if (error) return failed(name, error);
    FILE *file = fopen(path, "wbx");
    if (!file) return failed_here(path);
    int status = EXIT_SUCCESS;
    while (!(error = streamtable_read(client, object, bytes, sizeof bytes, &got)) && got > 0)
        if (fwrite(bytes, 1, got, file) != got) {
            status = failed_here(path);
            break;
        }
    if (error) status = failed(name, error);
    if (fclose(file) != 0 && status == EXIT_SUCCESS) status = failed_here(path);
    if (status != EXIT_SUCCESS) remove(path);
    return status;
}

/* Fills a lease from a file: whether there were as many bytes. */
static bool fill(FILE *file, streamtable_loan *loan) {
    size_t count;
    const streamtable_part *parts = streamtable_parts(loan, &count);
    for (size_t at = 0; at < count; at++)
        if (fread(parts[at].bytes, 1, parts[at].len, file) != parts[at].len) return false;
    return true;
}

/* Sends a local file, read into the blocks that the server writes from: no buffer lies in between. */
static int send_all(streamtable_client *client, FILE *file, const char *path, long left, streamtable_handle object) {
    size_t most = streamtable_max_write(client) / 2, taken;
    if (most == 0 || most > CHUNK) most = CHUNK;
    while (left > 0) {
        streamtable_loan *loan;
        size_t len = left < (long)most ? (size_t)left : most;
        streamtable_error error = streamtable_lease(client, len, &loan);
        if (error) return failed(path, error);
        if (!fill(file, loan)) {
            fprintf(stderr, "%s: it could not be read, or has become shorter: nothing was put\n", path);
            return EXIT_FAILURE;
        }
        error = streamtable_write_in_place(client, object, loan, &taken);
        if (error) return failed(path, error);
        left -= (long)taken;
    }
    return EXIT_SUCCESS;
}

/* Copies a local file into an object. Until it is published, whatever goes wrong leaves nothing. */
static int put(streamtable_client *client, const char *path, const char *name) {
    streamtable_handle object;
    FILE *file = fopen(path, "rb");
    if (!file) return failed_here(path);
    int status = EXIT_FAILURE;
    streamtable_error error = streamtable_create(client, name, &object);
    if (error) {
        failed(name, error);
    } else if (fseek(file, 0, SEEK_END) != 0 || ftell(file) < 0) {
        failed_here(path);
    } else {
        long len = ftell(file);
        rewind(file);
        status = send_all(client, file, path, len, object);
    }
    fclose(file);
    if (status != EXIT_SUCCESS) return status;
    error = streamtable_publish(client, object, 0);
    return error ? failed(name, error) : EXIT_SUCCESS;
}

int main(int count, char **words) {
    const char *address = count == 5 ? words[1] : "@memcpy-select-files";
    char **verb = words + (count == 5 ? 2 : 1);
    if ((count != 4 && count != 5) || (strcmp(verb[0], "get") != 0 && strcmp(verb[0], "put") != 0)) {
        fputs("files [ADDRESS] get NAME FILE | put FILE NAME\n", stderr);
        return EXIT_FAILURE;
    }
    streamtable_client *client;
    streamtable_error error = streamtable_connect(address, NULL, &client);
    if (error) return failed(address, error);
    int status = strcmp(verb[0], "get") == 0 ? get(client, verb[1], verb[2]) : put(client, verb[1], verb[2]);
    streamtable_disconnect(client);
    return status;
}
