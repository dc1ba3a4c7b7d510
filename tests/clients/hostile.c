/* Servers that break the protocol in each way that there is, and what the client of libstreamtable gets.
 *
 * Prints a line for each: what was done, and the error. Ends with 0 if each was the right one, the session was over where
 * it must be, and nothing was left open. What the servers assert is that they could do what they meant to.
 */
#include "server.h"
#include <dirent.h>
#include <streamtable.h>

/* What a server does, in a process of its own; and what is asked of it, with the error that this ends with. */
typedef void act(struct server *s);
typedef streamtable_error call(streamtable_client *c);

/* Where the limit is to be reached; what has to be answered may take long on a busy machine. */
enum { SHORT_MS = 50, SOME_MS = 500, LONG_MS = 20000 };

static const struct geometry plain = {8, 16, 12, 0}, shared = {8, 16, 12, 1}, roomy = {8, 64, 64, 0};
static streamtable_waiting waiting;
static int failures;

static int held(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static void expect_error(const char *name, streamtable_error found, streamtable_error wanted) {
    printf("%s: %s\n", name, streamtable_error_name(found));
    if (found != wanted) {
        printf("  FAILED: wanted %s (%d), found %d\n", streamtable_error_name(wanted), wanted, found);
        failures++;
    }
}

static bool ends(streamtable_error error) { return error >= STREAMTABLE_ERROR_GONE; }

/* Starts a server that shakes hands first if it is told to, connects, calls, and looks at what is left. */
static void run(const char *name, struct geometry g, bool greets, act *act, call *call, streamtable_error wanted) {
    int pair[2], status, before = held();
    fflush(stdout);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct server s;
        memset(&s, 0, sizeof s);
        s.g = g;
        s.socket = pair[1];
        close(pair[0]);
        if (greets) greet(&s);
        act(&s);
        _exit(0);
    }
    close(pair[1]);
    bool is_late = wanted == STREAMTABLE_ERROR_TIMEOUT || wanted == STREAMTABLE_ERROR_FULL;
    streamtable_options options = {is_late && !greets ? SHORT_MS : LONG_MS, waiting, 0};
    streamtable_client *client = NULL;
    streamtable_error error = streamtable_connect_over(pair[0], &options, &client);
    if (error == STREAMTABLE_OK) {
        if (is_late) streamtable_set_limit(client, SHORT_MS);
        error = call(client);
        if (ends(error) != (streamtable_over(client) != STREAMTABLE_OK)) {
            printf("  FAILED: the session is over or not: %s\n", streamtable_error_name(streamtable_over(client)));
            failures++;
        }
        if (ends(error) && streamtable_seek(client, 1, 0, STREAMTABLE_FROM_START, NULL) != error) {
            printf("  FAILED: a session that is over says something else\n");
            failures++;
        }
    }
    streamtable_disconnect(client);
    expect_error(name, error, wanted);
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("  FAILED: the server could not do it: %d\n", status);
        failures++;
    }
    if (held() != before) {
        printf("  FAILED: %d descriptors before, %d after\n", before, held());
        failures++;
    }
}

/* What is called */

static streamtable_error seek(streamtable_client *c) { return streamtable_seek(c, 1, 7, STREAMTABLE_FROM_START, NULL); }

static streamtable_error read_of(streamtable_client *c, size_t len) {
    static uint8_t bytes[BLOCK * COUNT];
    size_t got;
    return streamtable_read(c, 1, bytes, len, &got);
}

static streamtable_error read_some(streamtable_client *c) { return read_of(c, 100); }

static streamtable_error read_more(streamtable_client *c) { return read_of(c, 3000); }

static streamtable_error read_all(streamtable_client *c) { return read_of(c, BLOCK * COUNT); }

static streamtable_error read_many(streamtable_client *c) {
    streamtable_error error = STREAMTABLE_OK;
    for (int i = 0; i < 40 && !error; i++) error = read_some(c);
    return error;
}

static streamtable_error write_some(streamtable_client *c) {
    size_t taken;
    return streamtable_write(c, 1, "some bytes", 10, &taken);
}

static streamtable_error open_one(streamtable_client *c) {
    streamtable_handle handle;
    return streamtable_open(c, "name", &handle);
}

static streamtable_error destroy_one(streamtable_client *c) { return streamtable_destroy(c, "name"); }

static streamtable_error close_many(streamtable_client *c) {
    streamtable_error error = STREAMTABLE_OK;
    for (int i = 0; i < 40 && !error; i++) error = streamtable_close(c, 1);
    return error;
}

static streamtable_error share_as(streamtable_client *c, uint64_t start, uint64_t len, bool is_writable) {
    streamtable_object object;
    streamtable_error error = streamtable_share(c, 1, start, len, is_writable, &object);
    if (error) return error;
    CHECK(object.len == 4096 && *(char *)object.bytes == 'x');
    streamtable_unshare(&object);
    return STREAMTABLE_OK;
}

static streamtable_error share_one(streamtable_client *c) { return share_as(c, 4096, 4096, false); }

static streamtable_error share_to_write(streamtable_client *c) { return share_as(c, 4096, 4096, true); }

static streamtable_error share_rest(streamtable_client *c) { return share_as(c, 4096, 0, false); }

static streamtable_error late(streamtable_client *c) {
    streamtable_set_limit(c, SHORT_MS);
    CHECK(read_some(c) == STREAMTABLE_ERROR_TIMEOUT);
    streamtable_set_limit(c, LONG_MS);
    return seek(c);
}

static streamtable_error seek_twice(streamtable_client *c) {
    streamtable_error error = seek(c);
    return error ? error : seek(c);
}

static streamtable_error not_called(streamtable_client *c) {
    (void)c;
    CHECK(!"a session that must not be");
    return STREAMTABLE_OK;
}

/* Handshakes */

static void offer_changed(struct server *s, int at, uint32_t value) {
    uint8_t bytes[64];
    make_regions(s);
    expect(s, HELLO);
    new_welcome(s, bytes);
    put32(bytes + at, value);
    send_welcome(s, bytes);
    wait_left(s);
}

static void older_version(struct server *s) { offer_changed(s, 8, 3); }
static void newer_version(struct server *s) { offer_changed(s, 8, 5); }
static void capacity_of_six(struct server *s) { offer_changed(s, 16, 6); }
static void huge_capacity(struct server *s) { offer_changed(s, 16, 1U << 31); }
static void odd_stride(struct server *s) { offer_changed(s, 20, 17 | 12 << 16); }
static void long_stride(struct server *s) { offer_changed(s, 20, 576 | 12 << 16); }
static void third_allocator(struct server *s) { offer_changed(s, 24, 2); }
static void fourth_byte(struct server *s) { offer_changed(s, 24, 1 << 24); }
static void blocks_of_63(struct server *s) { offer_changed(s, 28, 63); }
static void too_many_blocks(struct server *s) { offer_changed(s, 40, 1U << 30); }
static void no_blocks(struct server *s) { offer_changed(s, 40, 0); }
static void short_queue(struct server *s) { offer_changed(s, 48, 927); }
static void long_queue(struct server *s) { offer_changed(s, 52, 1); }
static void long_data(struct server *s) { offer_changed(s, 60, 1); }
static void data_longer_than_it_is(struct server *s) { offer_changed(s, 56, BLOCK * COUNT + 4096); }

static void offer_regions(struct server *s, size_t queue_bytes, int queue_seals, size_t data_bytes, int data_seals) {
    uint8_t bytes[64];
    make_regions(s);
    s->queue_fd = sealed(queue_bytes ? queue_bytes : s->queue_bytes, queue_seals);
    s->data_fd = sealed(data_bytes ? data_bytes : s->data_bytes, data_seals);
    expect(s, HELLO);
    new_welcome(s, bytes);
    send_welcome(s, bytes);
    wait_left(s);
}

enum { SIZE = F_SEAL_SHRINK | F_SEAL_GROW, ALL = SIZE | 0x10 };

static void unsealed_queue(struct server *s) { offer_regions(s, 0, 0, 0, ALL); }
static void queue_that_grows(struct server *s) { offer_regions(s, 0, F_SEAL_SHRINK, 0, ALL); }
static void unsealed_data(struct server *s) { offer_regions(s, 0, SIZE, 0, 0); }
static void data_that_others_write(struct server *s) { offer_regions(s, 0, SIZE, 0, SIZE); }
static void truncated_queue(struct server *s) { offer_regions(s, 4095, SIZE, 0, ALL); }
static void truncated_data(struct server *s) { offer_regions(s, 0, SIZE, 4096, ALL); }

static void not_memory(struct server *s) {
    uint8_t bytes[64];
    make_regions(s);
    CHECK((s->queue_fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
    expect(s, HELLO);
    new_welcome(s, bytes);
    send_welcome(s, bytes);
    wait_left(s);
}

static void with_descriptors(struct server *s, int count) {
    uint8_t bytes[64];
    int fds[4];
    make_regions(s);
    for (int i = 0; i < 4; i++) fds[i] = i % 2 ? s->data_fd : s->queue_fd;
    expect(s, HELLO);
    new_welcome(s, bytes);
    CHECK(send_with(s, bytes, 64, fds, count));
    wait_left(s);
}

static void one_region(struct server *s) { with_descriptors(s, 1); }
static void four_regions(struct server *s) { with_descriptors(s, 4); }

static void go_without_seal(struct server *s) {
    uint8_t bytes[64];
    make_regions(s);
    expect(s, HELLO);
    new_welcome(s, bytes);
    send_welcome(s, bytes);
    expect(s, READY);
    new_message(bytes, GO);
    CHECK(send_with(s, bytes, 64, NULL, 0));
    wait_left(s);
}

static void says(struct server *s, const char *text) {
    expect(s, HELLO);
    CHECK(send_with(s, (const uint8_t *)text, strlen(text), NULL, 0));
    wait_left(s);
}

static void says_hello(struct server *s) {
    uint8_t bytes[64];
    expect(s, HELLO);
    new_message(bytes, HELLO);
    CHECK(send_with(s, bytes, 64, NULL, 0));
    wait_left(s);
}

static void another_protocol(struct server *s) { says(s, "HTTP/1.1 400 Bad Request"); }
static void half_a_message(struct server *s) { says(s, "mcsTable, and no more"); }
static void nothing(struct server *s) { wait_left(s); }
static void hangs_up(struct server *s) { expect(s, HELLO); }
static void hangs_up_at_once(struct server *s) { (void)s; }

static uint32_t reason;

static void refuses(struct server *s) {
    uint8_t bytes[64];
    new_message(bytes, REFUSED);
    put32(bytes + 8, 77);
    put32(bytes + 16, reason);
    /* Before Hello is read: what was said is found behind the hang-up. */
    CHECK(send_with(s, bytes, 64, NULL, 0));
    shutdown(s->socket, SHUT_RD);
}

/* Sessions */

static uint64_t one_answer;
static uint32_t one_flag;

static void answers(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer_with(s, one_flag, request.number, one_answer, NULL, 0);
    wait_left(s);
}

static void run_answer(const char *name, struct geometry g, uint64_t value, call *call, streamtable_error wanted) {
    one_answer = value;
    run(name, g, true, answers, call, wanted);
}

static void answers_another(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer(s, request.number ^ 1, 0);
    wait_left(s);
}

static void answers_twice(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer(s, request.number, 0);
    answer(s, request.number, 0);
    wait_left(s);
}

static void answers_late(struct server *s) {
    struct request first, second;
    CHECK(next(s, &first) && next(s, &second));
    memset(s->data, 'x', BLOCK);
    answer(s, first.number, slice(0, 100));
    answer(s, second.number, 0);
    wait_left(s);
}

static void answers_and_leaves(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer(s, request.number, 0);
}

static void leaves(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
}

static void chain(struct server *s, uint32_t first, uint32_t second, uint32_t third) {
    struct request request;
    CHECK(next(s, &request));
    put32(s->data + 5 * BLOCK, first);
    put32(s->data + 5 * BLOCK + 4, second);
    put32(s->data + 5 * BLOCK + 8, third);
    answer(s, request.number, slice(5, 3000));
    wait_left(s);
}

static void chain_that_names_itself(struct server *s) { chain(s, 1, 5, 2); }
static void chain_with_a_block_twice(struct server *s) { chain(s, 1, 2, 1); }
static void chain_out_of_the_region(struct server *s) { chain(s, 1, COUNT, 2); }
static void chain_far_out(struct server *s) { chain(s, 1, 2, UINT32_MAX); }
static void honest_chain(struct server *s) { chain(s, 1, 2, 9); }

/* As many blocks as there are, with one of them as their list. */
static void whole_region(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    for (uint32_t i = 0; i < 63; i++) put32(s->data + 63 * BLOCK + 4 * i, i);
    answer(s, request.number, slice(63, 63 * BLOCK));
    wait_left(s);
}

/* One block again and again, whether it was given back or not. */
static void lends_twice(struct server *s) {
    struct request request;
    while (next(s, &request)) answer(s, request.number, slice(3, 100));
}

/* Words that nobody wrote as a response, with the lap that is waited for. */
static void early_entry(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    atomic_store(word(s, responses_at(s)), 0xABCDEF00 | LAP);
    wake(s);
    wait_left(s);
}

/* The response of another lap is none. */
static void old_lap(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    atomic_store(word(s, responses_at(s)), request.number << 8);
    wake(s);
    wait_left(s);
}

static void far_head(struct server *s) {
    atomic_store(word(s, REQUEST_HEAD), 1000);
    wait_left(s);
}

static void far_release_head(struct server *s) {
    struct request request;
    for (uint32_t block = 0; next(s, &request); block++) {
        atomic_store(word(s, RELEASE_HEAD), 1000);
        answer(s, request.number, slice(block % COUNT, 100));
    }
}

static void reads_nothing(struct server *s) { wait_left(s); }

static void meddles(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    while (!is_left(s)) {
        atomic_store(word(s, CLIENT_BELL), 2);
        syscall(SYS_futex, s->queue + CLIENT_BELL, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}

static void truncates(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    for (int i = 0; i < 2; i++) {
        int fd = i ? s->queue_fd : s->data_fd;
        CHECK(ftruncate(fd, 0) != 0 && ftruncate(fd, 1 << 20) != 0);
        CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
    }
    answer(s, request.number, slice(0, 100));
    wait_left(s);
}

static void many_wakes(struct server *s) {
    struct request request;
    uint8_t bytes[64];
    CHECK(next(s, &request));
    new_message(bytes, WAKE);
    for (int i = 0; i < 1000; i++) send_with(s, bytes, 64, NULL, 0);
    answer(s, request.number, 0);
    wait_left(s);
}

static void garbage(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    CHECK(send_with(s, (const uint8_t *)"this is no message of the protocol", 34, NULL, 0));
    if (request.kind == SHARE) answer_with(s, HAS_OBJECT, request.number, 0, NULL, 0);
    wait_left(s);
}

static void late_welcome(struct server *s) {
    struct request request;
    uint8_t bytes[64];
    CHECK(next(s, &request));
    new_welcome(s, bytes);
    send_welcome(s, bytes);
    wait_left(s);
}

/* Objects */

static struct {
    uint64_t id, start, len, whole;
    uint32_t may_write, promised, seals, parcels;
} object;

static void shares(struct server *s) {
    struct request request;
    uint8_t bytes[64];
    int fd = sealed(3 * 4096, (int)object.seals);
    CHECK(pwrite(fd, "x", 1, 4096) == 1);
    CHECK(next(s, &request) && request.kind == SHARE && (request.args >> 1 & 0x7FFFFFFF) == 1);
    new_message(bytes, PARCEL);
    put64(bytes + 24, object.start);
    put64(bytes + 32, object.len);
    put64(bytes + 40, object.whole);
    put32(bytes + 48, object.may_write);
    put32(bytes + 52, object.promised);
    put64(bytes + 16, object.id ? object.id : request.number);
    /* The socket holds so many, and no more. */
    for (uint32_t i = 0; i < object.parcels; i++) CHECK(send_with(s, bytes, 64, &fd, 1) || i > 0);
    answer_with(s, HAS_OBJECT, request.number, 0, NULL, 0);
    close(fd);
    wait_left(s);
}

static void object_of(uint64_t start, uint64_t len, uint64_t whole, uint32_t promised, uint32_t seals) {
    memset(&object, 0, sizeof object);
    object.start = start;
    object.len = len;
    object.whole = whole;
    object.promised = promised;
    object.seals = seals;
    object.parcels = 1;
}

static void objects(void) {
    enum { P = 4096 };
    object_of(P, P, 3 * P, 1, SIZE);
    run("an object as it was asked for", plain, true, shares, share_one, STREAMTABLE_OK);
    run("an object that may not be written", plain, true, shares, share_to_write, STREAMTABLE_ERROR_OBJECT);
    object.may_write = 1;
    run("an object that may be written", plain, true, shares, share_to_write, STREAMTABLE_OK);
    run("a part where the rest was asked for, shorter", plain, true, shares, share_rest, STREAMTABLE_OK);
    object_of(P, P, 3 * P, 1, 0);
    run("an object without seals", plain, true, shares, share_one, STREAMTABLE_ERROR_OBJECT);
    object_of(P, P, 3 * P, 0, SIZE);
    run("an object without a promise", plain, true, shares, share_one, STREAMTABLE_ERROR_OBJECT);
    object_of(P, P, 3 * P, 2, SIZE);
    run("an object sealed less than promised", plain, true, shares, share_one, STREAMTABLE_ERROR_OBJECT);
    object_of(P, P, 9 * P, 1, SIZE);
    run("an object shorter than promised", plain, true, shares, share_one, STREAMTABLE_ERROR_OBJECT);
    object_of(P, 2 * P, 3 * P, 1, SIZE);
    run("an object longer than asked for", plain, true, shares, share_one, STREAMTABLE_ERROR_OBJECT);
    object_of(0, P, 3 * P, 1, SIZE);
    run("another part of the object", plain, true, shares, share_one, STREAMTABLE_ERROR_OBJECT);
    object_of(P, UINT64_MAX - P + 1, 3 * P, 1, SIZE);
    run("a part beyond all ends", plain, true, shares, share_rest, STREAMTABLE_ERROR_OBJECT);
    object_of(P, P, 3 * P, 1, SIZE);
    object.id = UINT32_MAX;
    run("the object of another request", plain, true, shares, share_one, STREAMTABLE_ERROR_NO_OBJECT);
    object.parcels = 300;
    run("300 objects, none of them for it", plain, true, shares, share_one, STREAMTABLE_ERROR_NO_OBJECT);
    one_flag = HAS_OBJECT;
    run_answer("an object that does not come", plain, 0, share_one, STREAMTABLE_ERROR_NO_OBJECT);
    one_flag = 0;
    run_answer("no object", plain, 0, share_one, STREAMTABLE_ERROR_NO_OBJECT);
    run("no message of the protocol, and an object", plain, true, garbage, share_one, STREAMTABLE_ERROR_BAD_MESSAGE);
}

/* The list of a shared region */

static streamtable_error write_long(streamtable_client *c) {
    static const uint8_t bytes[4 * BLOCK];
    size_t taken;
    return streamtable_write(c, 1, bytes, sizeof bytes, &taken);
}

static void run_list(const char *name, uint32_t head, bool is_cyclic, streamtable_error wanted) {
    list_head = head;
    list_is_cyclic = is_cyclic;
    run(name, shared, true, nothing, write_long, wanted);
}

/* Bytes in entries, and messages */

static void inline_too_long(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer(s, request.number, slice(IS_INLINE, 49));
    wait_left(s);
}

/* Answers each request with its own bytes or a text, in the entry, and says what was wrong with one. */
static void serves_inline(struct server *s) {
    struct request request;
    char posted[16] = "";
    while (next(s, &request)) {
        uint32_t len = (uint32_t)(request.args >> 32);
        bool is_inline = (uint32_t)request.args == IS_INLINE;
        switch (request.kind) {
        case OPEN:
            CHECK(is_inline && len == 4 && memcmp(request.bytes, "name", 4) == 0);
            answer(s, request.number, 1);
            break;
        case WRITE:
            if (request.number == 0) {
                CHECK(is_inline && len < sizeof posted);
                memcpy(posted, request.bytes, len);
                break;
            }
            CHECK(len == 0 || is_inline == (len <= 48));
            answer(s, request.number, len);
            break;
        case READ:
            if (request.args > 48) {
                memset(s->data + 2 * BLOCK, 'b', BLOCK);
                answer(s, request.number, slice(2, 49));
            } else {
                answer_inline(s, 0, request.number, posted, (uint32_t)strlen(posted));
            }
            break;
        default: answer(s, request.number, 0);
        }
    }
}

static streamtable_error use_inline(streamtable_client *c) {
    static uint8_t bytes[49];
    size_t got, taken, count;
    streamtable_loan *loan;
    streamtable_handle handle;
    CHECK(streamtable_max_post(c) == 48);
    CHECK(!streamtable_open(c, "name", &handle) && handle == 1);
    for (size_t len = 0; len <= 49; len++) CHECK(!streamtable_write(c, 1, bytes, len, &taken) && taken == len);
    for (int round = 0; round < 50; round++) {
        CHECK(!streamtable_post(c, 1, "posted", 6));
        memset(bytes, 0, sizeof bytes);
        CHECK(!streamtable_read(c, 1, bytes, 48, &got) && got == 6 && memcmp(bytes, "posted", 6) == 0);
        CHECK(!streamtable_read(c, 1, bytes, 49, &got) && got == 49 && bytes[48] == 'b');
        CHECK(!streamtable_read_in_place(c, 1, 48, &loan) && streamtable_loan_len(loan) == 6);
        const streamtable_part *parts = streamtable_parts(loan, &count);
        CHECK(!seek(c) && count == 1 && parts->len == 6 && memcmp(parts->bytes, "posted", 6) == 0);
        CHECK(!streamtable_release(c, loan) && streamtable_release(c, loan) == STREAMTABLE_ERROR_NOT_LENT);
        for (size_t len = 0; len <= 49; len += 7) {
            CHECK(!streamtable_lease(c, len, &loan));
            parts = streamtable_parts(loan, &count);
            CHECK(count == (len > 0) && (len == 0 || parts->len == len));
            if (len > 0) memset(parts->bytes, 'l', len);
            CHECK(!streamtable_write_in_place(c, 1, loan, &taken) && taken == len);
        }
    }
    return streamtable_post(c, 1, bytes, 49);
}

static streamtable_error post_without_room(streamtable_client *c) { return streamtable_post(c, 1, "x", 1); }

static void streams(struct server *s) {
    struct request request, credit;
    uint32_t given = 4, number = 0;
    CHECK(next(s, &request) && request.kind == STREAM && request.args == ((uint64_t)4 << 32 | 100));
    while (number < 50) {
        while (given == 0) {
            if (!next(s, &credit)) return;
            if (credit.kind == SEEK_START) {
                answer(s, credit.number, 0);
            } else {
                CHECK(credit.kind == CREDIT && credit.number == request.number && credit.args <= 4);
                CHECK(credit.args != 1);
                given = (uint32_t)credit.args;
                if (given == 0) number = 50;
                if (given == 0) break;
            }
        }
        if (number == 50) break;
        /* Three in an entry, then one in a block. */
        uint32_t block = number % COUNT;
        memset(s->data + block * BLOCK, (int)number, 100);
        if (number % 4 < 3)
            answer_inline(s, HAS_MORE, request.number, s->data + block * BLOCK, number % 49);
        else
            answer_with(s, HAS_MORE, request.number, slice(block, 100), NULL, 0);
        given--;
        number++;
    }
    answer(s, request.number, one_answer);
    while (next(s, &credit))
        if (credit.kind == SEEK_START) answer(s, credit.number, 0);
}

static streamtable_error take_stream(streamtable_client *c) {
    static uint8_t bytes[100];
    streamtable_stream *stream;
    streamtable_error error;
    size_t got;
    uint32_t number = 0;
    CHECK(streamtable_stream_open(c, 1, 100, 8, &stream) == STREAMTABLE_ERROR_ARGUMENT);
    CHECK(!streamtable_stream_open(c, 1, 100, 4, &stream));
    CHECK(streamtable_next(c, stream, bytes, 99, &got) == STREAMTABLE_ERROR_ARGUMENT);
    for (; !(error = streamtable_next(c, stream, bytes, sizeof bytes, &got)); number++) {
        CHECK(got == (number % 4 < 3 ? number % 49 : 100));
        for (size_t i = 0; i < got; i++) CHECK(bytes[i] == number);
        if (number % 7 == 0) CHECK(!seek(c));
    }
    CHECK(number == 50 && streamtable_next(c, stream, bytes, sizeof bytes, &got) == error);
    CHECK(!streamtable_stream_close(c, stream));
    CHECK(streamtable_stream_close(c, stream) == STREAMTABLE_ERROR_NOT_LENT);
    CHECK(!seek(c));
    return error;
}

/* With all credits nothing else can be under way. */
static streamtable_error stream_alone(streamtable_client *c) {
    streamtable_stream *stream;
    CHECK(!streamtable_stream_open(c, 1, 100, 7, &stream));
    return seek(c);
}

/* Leaves a stream in its middle; the session goes on, with as many requests under way as before. */
static streamtable_error leave_stream(streamtable_client *c) {
    static uint8_t bytes[100];
    streamtable_stream *stream;
    size_t got;
    CHECK(!streamtable_stream_open(c, 1, 100, 4, &stream) && !streamtable_next(c, stream, bytes, sizeof bytes, &got));
    CHECK(!streamtable_stream_close(c, stream) && !seek(c));
    CHECK(streamtable_stream_close(c, stream) == STREAMTABLE_ERROR_NOT_LENT);
    streamtable_set_limit(c, SOME_MS);
    CHECK(!streamtable_stream_open(c, 1, 100, 7, &stream));
    return STREAMTABLE_OK;
}

static void more_than_credits(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    for (int i = 0; i < 5; i++) answer_inline(s, HAS_MORE, request.number, "x", 1);
    wait_left(s);
}

static void more_and_an_error(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer_with(s, HAS_MORE, request.number, failure(2), NULL, 0);
    wait_left(s);
}

static void long_message(struct server *s) {
    struct request request;
    CHECK(next(s, &request));
    answer_with(s, HAS_MORE, request.number, slice(0, 101), NULL, 0);
    wait_left(s);
}

static streamtable_error stream_once(streamtable_client *c) {
    static uint8_t bytes[100];
    streamtable_stream *stream;
    streamtable_error error = streamtable_stream_open(c, 1, 100, 4, &stream);
    size_t got;
    for (int i = 0; i < 5 && !error; i++) error = streamtable_next(c, stream, bytes, sizeof bytes, &got);
    return error;
}

static streamtable_error stream_late(streamtable_client *c) {
    streamtable_stream *stream;
    streamtable_error error = streamtable_stream_open(c, 1, 100, 4, &stream);
    if (error) return error;
    /* All come before the first is asked for. */
    return seek_twice(c);
}

/* Scribbling */

static uint64_t seed;

static uint32_t draw(void) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

/* Random words over all that both sides use, and likely ones where they mean something. */
static void scribbles(struct server *s) {
    size_t places[] = {REQUEST_HEAD, RESPONSE_HEAD, RELEASE_HEAD, CLIENT_BELL, SERVER_BELL};
    while (!is_left(s)) {
        uint32_t index = draw() % s->g.capacity;
        size_t entry = responses_at(s) + (size_t)index * s->g.response_stride;
        for (int i = 0; i < 20; i++) {
            uint32_t number = 1 << 3 | index;
            atomic_store(word(s, entry + 4), draw() % 3 ? draw() % 70 : IS_INLINE);
            atomic_store(word(s, entry + 8), draw() % 2 ? draw() % 3000 : draw());
            atomic_store(word(s, entry), number << 8 | (draw() & 0xFF));
            atomic_store(word(s, 4 * (draw() % (s->queue_bytes / 4))), draw());
            atomic_store(word(s, places[draw() % 5]), draw() % 20);
            put32(s->data + 4 * (draw() % (s->data_bytes / 4)), draw() % 80);
        }
        wake(s);
    }
}

/* Answers that are right as far as can be seen from their numbers, with blocks and lists that are anything. */
static void answers_at_random(struct server *s) {
    struct request request;
    uint32_t open = 0, credits = 0;
    while (next(s, &request)) {
        uint32_t asked = (uint32_t)request.args, start = draw(), step = 1 + 2 * (draw() % 8);
        uint32_t len = draw() % 4 ? (asked ? draw() % asked : 0) : draw() % 60;
        for (uint32_t i = 0; i < 64; i++)
            put32(s->data + 4 * i + draw() % COUNT * BLOCK, draw() % 50 ? (start + i * step) % COUNT : draw() % 70);
        uint64_t value = draw() % 20 ? slice(draw() % 50 ? draw() % COUNT : IS_INLINE, len) : failure(1 + draw() % 14);
        uint32_t flags = draw() % 10 ? 0 : draw() & 0x7F;
        switch (request.kind) {
        case CLOSE: continue;
        case CREDIT: credits += asked; break;
        case STREAM:
            open = request.number;
            credits = 3;
            break;
        case WRITE: value = request.args >> 32; break;
        case OPEN: value &= UINT32_MAX; break;
        default: break;
        }
        if (open && credits > 0 && draw() % 2) {
            credits--;
            answer_with(s, HAS_MORE, open, slice(draw() % COUNT, draw() % 100), NULL, 0);
        }
        if (request.kind != CREDIT && request.kind != STREAM) answer_with(s, flags, request.number, value, NULL, 0);
    }
}

static streamtable_error try_all(streamtable_client *c) {
    static uint8_t bytes[BLOCK * COUNT];
    streamtable_error error = STREAMTABLE_OK;
    streamtable_stream *stream = NULL;
    streamtable_loan *loan;
    streamtable_handle handle;
    size_t some;
    streamtable_set_limit(c, 2);
    streamtable_stream_open(c, 1, 100, 3, &stream);
    for (int i = 0; i < 30 && !streamtable_over(c); i++) {
        switch (draw() % 7) {
        case 0: error = streamtable_read(c, 1, bytes, draw() % sizeof bytes, &some); break;
        case 1: error = streamtable_write(c, 1, bytes, draw() % sizeof bytes, &some); break;
        case 2: error = streamtable_open(c, "name", &handle); break;
        case 3: error = streamtable_close(c, 1); break;
        case 4:
            error = streamtable_read_in_place(c, 1, draw() % sizeof bytes, &loan);
            if (!error && draw() % 2) error = streamtable_release(c, loan);
            break;
        case 5:
            error = streamtable_lease(c, draw() % 4000, &loan);
            if (!error && draw() % 2) error = streamtable_write_in_place(c, 1, loan, &some);
            break;
        default:
            if (stream) error = streamtable_next(c, stream, bytes, 100, &some);
        }
    }
    return streamtable_over(c) ? streamtable_over(c) : error;
}

/* Any error is right; what counts is that it comes, and what the sanitizers say. */
static void scribbled(void) {
    static const struct geometry all[] = {{8, 16, 12, 0}, {8, 32, 16, 0},   {8, 16, 12, 1},
                                          {8, 64, 64, 0}, {8, 128, 512, 0}, {8, 64, 64, 1}};
    for (uint64_t round = 0; round < 96; round++) {
        int pair[2], status;
        fflush(stdout);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        seed = round;
        if (child == 0) {
            struct server s;
            memset(&s, 0, sizeof s);
            s.g = all[round % 6];
            s.socket = pair[1];
            close(pair[0]);
            greet(&s);
            if (round / 6 % 2)
                scribbles(&s);
            else
                answers_at_random(&s);
            _exit(0);
        }
        close(pair[1]);
        streamtable_options options = {LONG_MS, (streamtable_waiting)(round / 6 % 4), 0};
        streamtable_client *client;
        CHECK(streamtable_connect_over(pair[0], &options, &client) == STREAMTABLE_OK);
        printf("at random: %s\n", streamtable_error_name(try_all(client)));
        streamtable_disconnect(client);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* A copy of this process disconnects: the block that was lent is this one's still, and comes no second time. */
static streamtable_error fork_and_disconnect(streamtable_client *c) {
    streamtable_loan *loans[COUNT + 1];
    streamtable_error error = STREAMTABLE_OK;
    int status, count = 1;
    CHECK(streamtable_lease(c, 10, &loans[0]) == STREAMTABLE_OK);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        streamtable_disconnect(c);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    while (count <= COUNT && !(error = streamtable_lease(c, 10, &loans[count]))) count++;
    CHECK(count == COUNT || error == STREAMTABLE_ERROR_BLOCK_TWICE);
    return error;
}

/* Messages of a stream that nobody takes: their blocks are on the list again once the client has left. */
static void streams_blocks(struct server *s) {
    struct request request, other;
    bool is_free[COUNT] = {false};
    CHECK(next(s, &request) && request.kind == STREAM);
    for (uint32_t block = 0; block < list_head; block++)
        answer_with(s, HAS_MORE, request.number, slice(block, 10), NULL, 0);
    CHECK(next(s, &other));
    answer(s, other.number, 0);
    wait_left(s);
    uint32_t block;
    memcpy(&block, s->data + LIST_HEAD, sizeof block);
    for (int i = 0; i < COUNT && block < COUNT; i++) {
        is_free[block] = true;
        memcpy(&block, s->data + LIST_LINKS + 4 * block, sizeof block);
    }
    for (int i = 0; i < COUNT; i++) CHECK(is_free[i]);
}

static streamtable_error leave_messages(streamtable_client *c) {
    streamtable_stream *stream;
    CHECK(!streamtable_stream_open(c, 1, 100, 4, &stream));
    return seek(c);
}

/* What this side refuses by itself. */
static streamtable_error refuse_arguments(streamtable_client *c) {
    const streamtable_error refused = STREAMTABLE_ERROR_ARGUMENT;
    streamtable_options options = {0, (streamtable_waiting)7, 0};
    streamtable_client *made;
    streamtable_loan *loan, *lease;
    streamtable_object shared_object;
    streamtable_stream *stream;
    streamtable_handle handle;
    size_t some;
    CHECK(streamtable_connect(NULL, NULL, &made) == refused && streamtable_connect("@x", NULL, NULL) == refused);
    CHECK(streamtable_connect("@x", &options, &made) == refused &&
          streamtable_connect_over(-1, NULL, &made) == refused);
    CHECK(streamtable_open(NULL, "x", &handle) == refused && streamtable_open(c, NULL, &handle) == refused);
    CHECK(streamtable_open(c, "x", NULL) == refused && streamtable_destroy(NULL, "x") == refused);
    CHECK(streamtable_close(NULL, 1) == refused && streamtable_seek(NULL, 1, 0, STREAMTABLE_FROM_END, NULL) == refused);
    CHECK(streamtable_seek(c, 1, 0, (streamtable_from)3, NULL) == refused);
    CHECK(streamtable_read(c, 1, NULL, 1, &some) == refused && streamtable_read(c, 1, &some, 1, NULL) == refused);
    CHECK(streamtable_write(c, 1, NULL, 1, &some) == refused && streamtable_write(c, 1, &some, 1, NULL) == refused);
    CHECK(streamtable_write_meta(c, 1, NULL, 1, NULL) == refused && streamtable_publish(c, 1, 4) == refused);
    CHECK(streamtable_read_in_place(c, 1, 1, NULL) == refused && streamtable_lease(c, 1, NULL) == refused);
    CHECK(streamtable_share(c, 1, 0, 0, false, NULL) == refused && streamtable_post(c, 1, NULL, 0) == refused);
    CHECK(streamtable_stream_open(c, 1, 1, 0, &stream) == refused &&
          streamtable_next(c, NULL, NULL, 0, &some) == refused);
    CHECK(streamtable_share(c, 1, 1, 0, false, &shared_object) == STREAMTABLE_ERROR_UNALIGNED);
    CHECK(streamtable_lease(c, SIZE_MAX, &loan) == STREAMTABLE_ERROR_TOO_LONG);
    CHECK(streamtable_lease(c, streamtable_max_write(c), &lease) == STREAMTABLE_OK);
    CHECK(streamtable_lease(c, BLOCK * 2, &loan) == STREAMTABLE_ERROR_NO_BLOCKS);
    CHECK(streamtable_release(c, NULL) == STREAMTABLE_OK && streamtable_release(c, lease) == STREAMTABLE_OK);
    CHECK(streamtable_write_in_place(c, 1, lease, &some) == STREAMTABLE_ERROR_NOT_LENT);
    CHECK(streamtable_parts(NULL, &some) == NULL && some == 0 && streamtable_loan_len(NULL) == 0);
    CHECK(streamtable_over(NULL) == refused && streamtable_max_read(NULL) == 0);
    streamtable_disconnect(NULL);
    streamtable_unshare(NULL);
    streamtable_set_limit(NULL, 1);
    CHECK(strcmp(streamtable_version(), STREAMTABLE_VERSION) == 0);
    CHECK(strcmp(streamtable_error_name((streamtable_error)77), "no streamtable_error") == 0);
    CHECK(strstr(streamtable_message((streamtable_error)77), "of the table's own"));
    return refused;
}

static void handshakes(void) {
    static const streamtable_error reasons[] = {STREAMTABLE_ERROR_REFUSED,      STREAMTABLE_ERROR_VERSION,
                                                STREAMTABLE_ERROR_SERVER_FULL,  STREAMTABLE_ERROR_REFUSED,
                                                STREAMTABLE_ERROR_SERVER_SHORT, STREAMTABLE_ERROR_OTHER_USER,
                                                STREAMTABLE_ERROR_LATE,         STREAMTABLE_ERROR_REFUSED};
    static const struct {
        const char *name;
        act *act;
        streamtable_error wanted;
    } all[] = {
        {"an older version", older_version, STREAMTABLE_ERROR_VERSION},
        {"a newer version", newer_version, STREAMTABLE_ERROR_VERSION},
        {"a capacity of six", capacity_of_six, STREAMTABLE_ERROR_GEOMETRY},
        {"a huge capacity", huge_capacity, STREAMTABLE_ERROR_GEOMETRY},
        {"an odd stride", odd_stride, STREAMTABLE_ERROR_GEOMETRY},
        {"a long stride", long_stride, STREAMTABLE_ERROR_GEOMETRY},
        {"a third allocator", third_allocator, STREAMTABLE_ERROR_GEOMETRY},
        {"an allocator beyond a byte", fourth_byte, STREAMTABLE_ERROR_GEOMETRY},
        {"blocks of 63 bytes", blocks_of_63, STREAMTABLE_ERROR_GEOMETRY},
        {"too many blocks", too_many_blocks, STREAMTABLE_ERROR_GEOMETRY},
        {"no blocks", no_blocks, STREAMTABLE_ERROR_GEOMETRY},
        {"a short queue", short_queue, STREAMTABLE_ERROR_GEOMETRY},
        {"a queue of 4 GiB", long_queue, STREAMTABLE_ERROR_GEOMETRY},
        {"data of 4 GiB", long_data, STREAMTABLE_ERROR_GEOMETRY},
        {"data longer than it is", data_longer_than_it_is, STREAMTABLE_ERROR_REGION},
        {"an unsealed queue", unsealed_queue, STREAMTABLE_ERROR_REGION},
        {"a queue that can grow", queue_that_grows, STREAMTABLE_ERROR_REGION},
        {"unsealed data", unsealed_data, STREAMTABLE_ERROR_REGION},
        {"data that others can write", data_that_others_write, STREAMTABLE_ERROR_REGION},
        {"a truncated queue", truncated_queue, STREAMTABLE_ERROR_REGION},
        {"truncated data", truncated_data, STREAMTABLE_ERROR_REGION},
        {"a device", not_memory, STREAMTABLE_ERROR_REGION},
        {"one region", one_region, STREAMTABLE_ERROR_BAD_MESSAGE},
        {"four regions", four_regions, STREAMTABLE_ERROR_BAD_MESSAGE},
        {"a queue that can be mapped for writing", go_without_seal, STREAMTABLE_ERROR_REGION},
        {"another protocol", another_protocol, STREAMTABLE_ERROR_NOT_A_TABLE},
        {"half a message", half_a_message, STREAMTABLE_ERROR_TIMEOUT},
        {"a Hello", says_hello, STREAMTABLE_ERROR_BAD_MESSAGE},
        {"silence", nothing, STREAMTABLE_ERROR_TIMEOUT},
        {"a hang-up", hangs_up, STREAMTABLE_ERROR_GONE},
        {"a hang-up at once", hangs_up_at_once, STREAMTABLE_ERROR_GONE},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        run(all[i].name, plain, false, all[i].act, not_called, all[i].wanted);
    for (reason = 0; reason < 8; reason++) run("a refusal", plain, false, refuses, not_called, reasons[reason]);
}

static void sessions(void) {
    run("another number", plain, true, answers_another, seek, STREAMTABLE_ERROR_NO_SUCH_REQUEST);
    run("two answers", plain, true, answers_twice, seek_twice, STREAMTABLE_ERROR_NO_SUCH_REQUEST);
    run("an answer that comes late", plain, true, answers_late, late, STREAMTABLE_OK);
    run("an answer and a hang-up", plain, true, answers_and_leaves, seek, STREAMTABLE_OK);
    run("an answer and a hang-up, then", plain, true, answers_and_leaves, seek_twice, STREAMTABLE_ERROR_GONE);
    run("a hang-up", plain, true, leaves, seek, STREAMTABLE_ERROR_GONE);
    run("silence", plain, true, nothing, read_some, STREAMTABLE_ERROR_TIMEOUT);
    run("silence, and wakes without end", plain, true, meddles, read_some, STREAMTABLE_ERROR_TIMEOUT);
    run("no request is taken", plain, true, reads_nothing, close_many, STREAMTABLE_ERROR_FULL);
    run("a request head far ahead", plain, true, far_head, close_many, STREAMTABLE_ERROR_BAD_HEAD);
    run("a release head far ahead", plain, true, far_release_head, read_many, STREAMTABLE_ERROR_BAD_HEAD);
    run("a chain", plain, true, honest_chain, read_more, STREAMTABLE_OK);
    run("a chain of the whole region", plain, true, whole_region, read_all, STREAMTABLE_OK);
    run("a chain that names itself", plain, true, chain_that_names_itself, read_more, STREAMTABLE_ERROR_BLOCK_TWICE);
    run("a chain with a block twice", plain, true, chain_with_a_block_twice, read_more, STREAMTABLE_ERROR_BLOCK_TWICE);
    run("a chain out of the region", plain, true, chain_out_of_the_region, read_more, STREAMTABLE_ERROR_BAD_BLOCK);
    run("a chain far out of the region", plain, true, chain_far_out, read_more, STREAMTABLE_ERROR_BAD_BLOCK);
    run("one block for all", plain, true, lends_twice, read_many, STREAMTABLE_OK);
    run("truncating", plain, true, truncates, read_some, STREAMTABLE_OK);
    run_answer("four gigabytes", plain, slice(0, UINT32_MAX - 0x1000), read_some, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    run_answer("a byte too much", plain, slice(0, 101), read_some, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    run_answer("a block out of the region", plain, slice(COUNT, 100), read_some, STREAMTABLE_ERROR_BAD_BLOCK);
    run_answer("a list block out of the region", plain, slice(1U << 31, 3000), read_more, STREAMTABLE_ERROR_BAD_BLOCK);
    run_answer("a block of 0xFFFF_FFFF", plain, slice(IS_INLINE, 100), read_some, STREAMTABLE_ERROR_BAD_BLOCK);
    run_answer("more taken than sent", plain, 11, write_some, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    run_answer("a handle of 33 bits", plain, UINT64_C(1) << 32, open_one, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    run_answer("a destroy that counts", plain, 1, destroy_one, STREAMTABLE_ERROR_MORE_THAN_ASKED);
}

/* In so many ways of waiting; without an argument in all of them. */
int main(int count, char **words) {
    static const struct {
        streamtable_waiting waiting;
        const char *name;
    } ways[] = {{STREAMTABLE_WAITING_ADAPTIVE, "adaptive"},
                {STREAMTABLE_WAITING_SLEEP, "sleep"},
                {STREAMTABLE_WAITING_SOCKET, "socket"},
                {STREAMTABLE_WAITING_POLL, "poll"}};
    const int most = count > 1 ? atoi(words[1]) : 4;
    handshakes();
    for (int i = 0; i < 4 && i < most; i++) {
        waiting = ways[i].waiting;
        printf("waiting: %s\n", ways[i].name);
        sessions();
    }
    waiting = STREAMTABLE_WAITING_ADAPTIVE;
    run("an early entry", plain, true, early_entry, seek, STREAMTABLE_ERROR_NO_SUCH_REQUEST);
    run("a response of another lap", plain, true, old_lap, seek, STREAMTABLE_ERROR_TIMEOUT);
    for (uint32_t code = 0; code < 16; code++)
        run_answer("a refusal", plain, failure(code), seek, code ? (streamtable_error)code : STREAMTABLE_ERROR_UNNAMED);
    objects();
    run("arguments", plain, true, nothing, refuse_arguments, STREAMTABLE_ERROR_ARGUMENT);
    run_list("an empty list", UINT32_MAX, false, STREAMTABLE_ERROR_NO_BLOCKS);
    run_list("a list out of the region", COUNT, false, STREAMTABLE_ERROR_BAD_BLOCK);
    run_list("a list with a cycle", 0, true, STREAMTABLE_ERROR_BLOCK_TWICE);
    list_is_cyclic = false;
    list_head = 0;
    run("a forked copy that disconnects", shared, true, nothing, fork_and_disconnect, STREAMTABLE_ERROR_NO_BLOCKS);
    list_head = 3;
    run("messages that nobody took", shared, true, streams_blocks, leave_messages, STREAMTABLE_OK);
    waiting = STREAMTABLE_WAITING_SOCKET;
    run("wakes without end", plain, true, many_wakes, seek, STREAMTABLE_OK);
    run("no message of the protocol", plain, true, garbage, seek, STREAMTABLE_ERROR_BAD_MESSAGE);
    run("a second Welcome", plain, true, late_welcome, seek, STREAMTABLE_ERROR_BAD_MESSAGE);
    waiting = STREAMTABLE_WAITING_ADAPTIVE;
    run("bytes in entries", roomy, true, serves_inline, use_inline, STREAMTABLE_ERROR_TOO_LONG);
    run("more bytes than an entry has", roomy, true, inline_too_long, read_some, STREAMTABLE_ERROR_BAD_LENGTH);
    run_answer("bytes in an entry without room", plain, slice(IS_INLINE, 10), read_some, STREAMTABLE_ERROR_BAD_BLOCK);
    run("a message without room", plain, true, nothing, post_without_room, STREAMTABLE_ERROR_TOO_LONG);
    one_answer = 0;
    run("a stream", roomy, true, streams, take_stream, STREAMTABLE_ERROR_ENDED);
    run("a stream with all credits", roomy, true, nothing, stream_alone, STREAMTABLE_ERROR_FULL);
    run("a stream that is left", roomy, true, streams, leave_stream, STREAMTABLE_OK);
    one_answer = failure(11);
    run("a stream that fails", roomy, true, streams, take_stream, STREAMTABLE_ERROR_IO);
    run("more messages than credits", roomy, true, more_than_credits, stream_late, STREAMTABLE_ERROR_NO_CREDIT);
    run("an error that is to be followed", roomy, true, more_and_an_error, stream_once, STREAMTABLE_ERROR_NO_CREDIT);
    run("a message longer than asked for", roomy, true, long_message, stream_once, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    scribbled();

    streamtable_client *client;
    expect_error("no address", streamtable_connect("name", NULL, &client), STREAMTABLE_ERROR_ADDRESS);
    expect_error("nobody there", streamtable_connect("@memcpy-select-nobody", NULL, &client), STREAMTABLE_ERROR_SYSTEM);
    printf("%d failures\n", failures);
    return failures != 0;
}
