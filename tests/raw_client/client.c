/* A client of a table, written from src/transport/PROTOCOL.md alone: raw bytes, no code of the crate's.
 *
 * client ADDRESS: creates a file there, writes, reads, seeks, with every kind of slice, until each ring has gone round many
 * times, and removes it. Ends with 0 if every answer was right, else says which was not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "line %d: not true: %s (%s)\n", __LINE__, #condition, strerror(errno)); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

enum { HELLO = 1, WELCOME, READY, GO };
enum { READ, WRITE, OPEN, CLOSE, CREATE, DESTROY, SEEK_START, SEEK_CURRENT, SEEK_FROM_END, SHARE, STREAM, CREDIT };
enum { FLAG_DATA = 1 << 4 | 1 << 5, FLAG_MORE = 1 << 1 };
#define LAP 0x80u
#define RELEASE_LAP (1u << 31)
#define FIRST_ERROR UINT64_C(0xFFFFFFFFFFFFF000)
#define NONE UINT32_MAX

/* 1. Coming together */

struct geometry {
    uint32_t capacity, request_stride, response_stride, shared;
    uint32_t client_block, client_count, server_block, server_count;
};

static int sock;
static struct geometry geo;
static uint8_t *queue, *own_data, *server_data;

static uint32_t get32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get64(const uint8_t *at) { return get32(at) | (uint64_t)get32(at + 4) << 32; }

static void put32(uint8_t *at, uint32_t value) {
    for (int byte = 0; byte < 4; byte++) at[byte] = value >> 8 * byte;
}

static void put64(uint8_t *at, uint64_t value) {
    put32(at, value);
    put32(at + 4, value >> 32);
}

static void new_message(uint8_t bytes[64], uint32_t kind) {
    memset(bytes, 0, 64);
    memcpy(bytes, "mcsTable", 8);
    put32(bytes + 8, 4);
    put32(bytes + 12, kind);
}

static void send_message(const uint8_t bytes[64], int descriptor) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = 64};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
    }
    CHECK(sendmsg(sock, &message, MSG_NOSIGNAL) == 64);
}

static int wait_for_socket(int milliseconds) {
    struct pollfd one = {.fd = sock, .events = POLLIN};
    return poll(&one, 1, milliseconds);
}

/* Receives a message of that kind, with that many descriptors. */
static void receive_message(uint8_t bytes[64], uint32_t kind, int *descriptors, int count) {
    int found = 0;
    for (size_t done = 0; done < 64;) {
        CHECK(wait_for_socket(10000) == 1);
        union {
            char bytes[CMSG_SPACE(2 * sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec part = {.iov_base = bytes + done, .iov_len = 64 - done};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        ssize_t received = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
        CHECK(received > 0 && !(message.msg_flags & MSG_CTRUNC));
        done += received;
        for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
            int arrived = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            CHECK(head->cmsg_type == SCM_RIGHTS && found + arrived <= count);
            memcpy(descriptors + found, CMSG_DATA(head), arrived * sizeof(int));
            found += arrived;
        }
    }
    CHECK(memcmp(bytes, "mcsTable", 8) == 0 && get32(bytes + 8) == 4 && get32(bytes + 12) == kind && found == count);
}

static uint8_t *map_checked(int descriptor, uint64_t len, int writable, int needs_write_seal) {
    int seals = fcntl(descriptor, F_GET_SEALS);
    int wanted = F_SEAL_SHRINK | F_SEAL_GROW | (needs_write_seal ? F_SEAL_FUTURE_WRITE : 0);
    struct stat status;
    CHECK(seals >= 0 && (seals & wanted) == wanted);
    CHECK(fstat(descriptor, &status) == 0 && (uint64_t)status.st_size == len);
    void *at = mmap(NULL, len, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void come_together(const char *address) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t len = strlen(address);
    CHECK(len < sizeof name.sun_path);
    memcpy(name.sun_path, address, len);
    if (address[0] == '@') name.sun_path[0] = 0;
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(sock >= 0 && connect(sock, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + len) == 0);

    uint8_t bytes[64];
    int regions[2];
    new_message(bytes, HELLO);
    send_message(bytes, -1);
    receive_message(bytes, WELCOME, regions, 2);
    geo = (struct geometry){
        .capacity = get32(bytes + 16),
        .request_stride = get32(bytes + 20) & 0xFFFF,
        .response_stride = get32(bytes + 20) >> 16,
        .shared = get32(bytes + 24),
        .client_block = get32(bytes + 28),
        .client_count = get32(bytes + 32),
        .server_block = get32(bytes + 36),
        .server_count = get32(bytes + 40),
    };
    queue = map_checked(regions[0], get64(bytes + 48), 1, 0);
    server_data = map_checked(regions[1], get64(bytes + 56), geo.shared, !geo.shared);

    new_message(bytes, READY);
    if (geo.shared) {
        own_data = server_data;
        send_message(bytes, -1);
    } else {
        uint64_t own_len = ((uint64_t)geo.client_block * geo.client_count + 4095) / 4096 * 4096;
        int own = memfd_create("raw client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        CHECK(own >= 0 && ftruncate(own, own_len) == 0);
        own_data = mmap(NULL, own_len, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        CHECK(own_data != MAP_FAILED);
        CHECK(fcntl(own, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);
        put64(bytes + 56, own_len);
        send_message(bytes, own);
        close(own);
    }
    receive_message(bytes, GO, NULL, 0);
    CHECK(fcntl(regions[0], F_GET_SEALS) & F_SEAL_FUTURE_WRITE);
    close(regions[0]);
    close(regions[1]);
}

/* 2. and 3. The queue region and its rings */

static uint32_t load(size_t at, memory_order order) {
    return atomic_load_explicit((_Atomic uint32_t *)(queue + at), order);
}

static void store(size_t at, uint32_t value, memory_order order) {
    atomic_store_explicit((_Atomic uint32_t *)(queue + at), value, order);
}

enum { REQUEST_HEAD = 0, RESPONSE_HEAD = 128, RELEASE_HEAD = 256, SERVER_BELL = 384, CLIENT_BELL = 512, REQUESTS = 640 };

static uint32_t request_tail, response_head, release_tail;

static size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

static size_t responses_at(void) { return round_up(REQUESTS + (size_t)geo.capacity * geo.request_stride, 128); }

static size_t releases_at(void) { return round_up(responses_at() + (size_t)geo.capacity * geo.response_stride, 128); }

static uint32_t lap(uint32_t index, uint32_t bit) { return index & geo.capacity ? 0 : bit; }

static int can_send(void) { return request_tail - load(REQUEST_HEAD, memory_order_acquire) < geo.capacity; }

static size_t request_at(void) { return REQUESTS + (size_t)(request_tail % geo.capacity) * geo.request_stride; }

static size_t response_at(void) { return responses_at() + (size_t)(response_head % geo.capacity) * geo.response_stride; }

/* How many bytes an entry of that stride has room for, from its offset 16 on. */
static uint32_t room(uint32_t stride) { return stride > 16 ? stride - 16 : 0; }

/* What has no answer may not have been taken yet. */
static void wait_for_room(void) {
    for (int turn = 0; !can_send(); turn++) {
        CHECK(turn < 20000);
        usleep(1000);
    }
}

static void push_request(uint32_t kind, uint32_t flags, uint32_t number, uint32_t handle, uint64_t args) {
    size_t at = request_at();
    uint32_t first = kind | flags | number << 8;
    store(at + 4, handle, memory_order_relaxed);
    store(at + 8, args, memory_order_relaxed);
    store(at + 12, args >> 32, memory_order_relaxed);
    store(at, first | lap(request_tail, LAP), memory_order_release);
    request_tail++;
}

static int has_response(void) {
    return (load(response_at(), memory_order_acquire) & LAP) == lap(response_head, LAP);
}

/* The flags of the last response, and its bytes, copied out of its entry. */
static uint32_t response_flags;
static uint8_t received[512];

static uint32_t pop_response(uint64_t *value) {
    size_t at = response_at();
    uint32_t first = load(at, memory_order_acquire);
    *value = load(at + 4, memory_order_relaxed) | (uint64_t)load(at + 8, memory_order_relaxed) << 32;
    const volatile uint8_t *bytes = queue + at + 16;
    for (uint32_t i = 0; i < room(geo.response_stride); i++) received[i] = bytes[i];
    response_flags = first & 0x7F;
    response_head++;
    store(RESPONSE_HEAD, response_head, memory_order_release);
    return first >> 8;
}

/* 7. Sleeping and waking */

static long futex(size_t at, int operation, uint32_t value, const struct timespec *limit) {
    return syscall(SYS_futex, queue + at, operation, value, limit, NULL, 0);
}

static void ring_server(void) {
    atomic_thread_fence(memory_order_seq_cst);
    if (load(SERVER_BELL, memory_order_relaxed) == 0) return;
    uint32_t how = atomic_exchange((_Atomic uint32_t *)(queue + SERVER_BELL), 0);
    if (how == 1) futex(SERVER_BELL, FUTEX_WAKE, INT_MAX, NULL);
    if (how == 2) {
        uint8_t bytes[64];
        new_message(bytes, 7);
        send_message(bytes, -1);
    }
}

static void wait_for_response(void) {
    struct timespec limit = {.tv_nsec = 5000000};
    for (int turn = 0; turn < 4000; turn++) {
        if (has_response()) return;
        store(CLIENT_BELL, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        if (!has_response()) futex(CLIENT_BELL, FUTEX_WAIT, 1, &limit);
        store(CLIENT_BELL, 0, memory_order_relaxed);
        char wake;
        CHECK(recv(sock, &wake, 1, MSG_DONTWAIT | MSG_PEEK) != 0);
    }
    CHECK(!"no response in twenty seconds");
}

/* 5. and 6. Slices, and whose each block is */

static uint32_t *free_blocks, free_count;

static _Atomic uint64_t *list_head(void) {
    return (_Atomic uint64_t *)(own_data + round_up((size_t)geo.client_block * geo.client_count, 128));
}

static _Atomic uint32_t *list_link(uint32_t block) {
    return (_Atomic uint32_t *)((uint8_t *)list_head() + 128) + block;
}

static uint32_t take_block(void) {
    if (!geo.shared) {
        CHECK(free_count > 0);
        return free_blocks[--free_count];
    }
    for (;;) {
        uint64_t head = atomic_load_explicit(list_head(), memory_order_acquire);
        uint32_t block = head;
        CHECK(block != NONE && block < geo.client_count);
        uint64_t next = atomic_load_explicit(list_link(block), memory_order_relaxed);
        uint64_t changed = ((head >> 32) + 1) << 32 | next;
        if (atomic_compare_exchange_strong(list_head(), &head, changed)) return block;
    }
}

static void give_block(uint32_t block) {
    if (!geo.shared) {
        free_blocks[free_count++] = block;
        return;
    }
    for (;;) {
        uint64_t head = atomic_load_explicit(list_head(), memory_order_acquire);
        atomic_store_explicit(list_link(block), (uint32_t)head, memory_order_relaxed);
        uint64_t changed = ((head >> 32) + 1) << 32 | block;
        if (atomic_compare_exchange_strong(list_head(), &head, changed)) return;
    }
}

/* The data blocks of a slice, in order, and then its list blocks; how many data blocks. `lists` follows them by reading. */
struct chain {
    uint32_t count, lists, blocks[1 << 16];
};

static uint32_t div_up(uint32_t value, uint32_t by) { return (value + by - 1) / by; }

static void count_blocks(struct chain *chain, uint32_t len, uint32_t block_bytes) {
    chain->count = len ? div_up(len, block_bytes) : 0;
    chain->lists = chain->count > 1 ? div_up(chain->count - 1, block_bytes / 4 - 1) : 0;
    CHECK(chain->count + chain->lists <= sizeof chain->blocks / sizeof *chain->blocks);
}

/* How many payloads travelled in their entries. */
static uint32_t inline_requests, inline_responses;

static uint8_t pattern(uint32_t seed, uint32_t at) { return (at * 167 + seed * 31 + (at >> 8)) & 0xFF; }

/* Writes bytes into the next request, if they fit and it is an even one, else into blocks of this side's; returns the slice. */
static uint64_t fill(struct chain *chain, uint32_t len, uint32_t seed, const char *text) {
    uint32_t bytes = geo.client_block, entries = bytes / 4;
    if (len > 0 && len <= room(geo.request_stride) && request_tail % 2 == 0) {
        wait_for_room();
        count_blocks(chain, 0, bytes);
        volatile uint8_t *place = queue + request_at() + 16;
        for (uint32_t at = 0; at < len; at++) place[at] = text ? (uint8_t)text[at] : pattern(seed, at);
        inline_requests++;
        return NONE | (uint64_t)len << 32;
    }
    count_blocks(chain, len, bytes);
    for (uint32_t i = 0; i < chain->count + chain->lists; i++) chain->blocks[i] = take_block();
    for (uint32_t at = 0; at < len; at++) {
        uint8_t *block = own_data + (size_t)chain->blocks[at / bytes] * bytes;
        block[at % bytes] = text ? (uint8_t)text[at] : pattern(seed, at);
    }
    const uint32_t *lists = chain->blocks + chain->count;
    for (uint32_t list = 0, entry = 0; list < chain->lists; list++) {
        uint8_t *place = own_data + (size_t)lists[list] * bytes;
        int is_last = list + 1 == chain->lists;
        for (uint32_t i = 0; i < (is_last ? entries : entries - 1) && entry < chain->count; i++)
            put32(place + 4 * i, chain->blocks[entry++]);
        if (!is_last) put32(place + 4 * (entries - 1), lists[list + 1]);
    }
    uint32_t first = chain->count == 0 ? 0 : chain->count == 1 ? chain->blocks[0] : lists[0];
    return first | (uint64_t)len << 32;
}

static uint32_t read_entry(uint32_t list, uint32_t entry) {
    const volatile uint8_t *at = server_data + (size_t)list * geo.server_block + 4 * (size_t)entry;
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Compares bytes of the last response, or in the server's blocks, with the pattern from `from` on, and gives blocks back. */
static void compare(uint64_t slice, uint32_t seed, uint32_t from) {
    static struct chain chain;
    uint32_t first = slice, len = slice >> 32, bytes = geo.server_block, entries = bytes / 4;
    if (first == NONE && len > 0) {
        CHECK(len <= room(geo.response_stride));
        for (uint32_t at = 0; at < len; at++) CHECK(received[at] == pattern(seed, from + at));
        inline_responses++;
        return;
    }
    count_blocks(&chain, len, bytes);
    if (chain.count == 0) return;
    if (chain.count == 1) {
        chain.blocks[0] = first;
    } else {
        uint32_t entry = 0, list = first;
        for (uint32_t i = 0; i < chain.lists; i++) {
            CHECK(list < geo.server_count);
            chain.blocks[chain.count + i] = list;
            int is_last = i + 1 == chain.lists;
            for (uint32_t j = 0; j < (is_last ? entries : entries - 1) && entry < chain.count; j++)
                chain.blocks[entry++] = read_entry(list, j);
            if (!is_last) list = read_entry(list, entries - 1);
        }
    }
    for (uint32_t i = 0; i < chain.count; i++) CHECK(chain.blocks[i] < geo.server_count);
    for (uint32_t at = 0; at < len; at++) {
        const volatile uint8_t *block = server_data + (size_t)chain.blocks[at / bytes] * bytes;
        CHECK(block[at % bytes] == pattern(seed, from + at));
    }
    if (geo.shared) {
        for (uint32_t i = 0; i < chain.count + chain.lists; i++) give_block(chain.blocks[i]);
        return;
    }
    for (int turn = 0; release_tail - load(RELEASE_HEAD, memory_order_acquire) == geo.capacity; turn++) {
        CHECK(turn < 20000);
        usleep(1000);
    }
    size_t at = releases_at() + 4 * (size_t)(release_tail % geo.capacity);
    store(at, first | lap(release_tail, RELEASE_LAP), memory_order_release);
    release_tail++;
}

/* 4. Requests and responses, one at a time */

static uint64_t ask(uint32_t kind, uint32_t flags, uint32_t handle, uint64_t args) {
    static uint32_t last;
    last = last % 0xFFFFFF + 1;
    wait_for_room();
    push_request(kind, flags, last, handle, args);
    ring_server();
    wait_for_response();
    uint64_t value;
    CHECK(pop_response(&value) == last);
    return value;
}

/* The same with a payload, whose blocks are free again afterwards. */
static uint64_t ask_with(uint32_t kind, uint32_t flags, uint32_t handle, uint32_t len, uint32_t seed, const char *text) {
    static struct chain chain;
    uint64_t slice = fill(&chain, len, seed, text);
    uint64_t value = ask(kind, flags, handle, slice);
    for (uint32_t i = 0; i < chain.count + chain.lists; i++) give_block(chain.blocks[i]);
    return value;
}

static uint64_t ask_named(uint32_t kind, const char *name) { return ask_with(kind, 0, 0, strlen(name), 0, name); }

static uint64_t error(uint32_t code) { return FIRST_ERROR | code; }

/* Writes without an answer, more than the ring holds, and reads them back. */
static void post(uint32_t handle) {
    uint32_t count = 3 * geo.capacity, most = room(geo.request_stride), total = 0;
    CHECK(ask(SEEK_START, 0, handle, 0) == 0);
    for (uint32_t number = 0; number < count; number++) {
        wait_for_room();
        uint32_t len = number % (most + 1);
        volatile uint8_t *place = queue + request_at() + 16;
        for (uint32_t at = 0; at < len; at++) place[at] = pattern(number, at);
        push_request(WRITE, FLAG_DATA, 0, handle, len ? NONE | (uint64_t)len << 32 : 0);
        ring_server();
        total += len;
    }
    CHECK(ask(SEEK_CURRENT, 0, handle, 0) == total);
    CHECK(ask(SEEK_START, 0, handle, 0) == 0);
    for (uint32_t number = 0; number < count; number++) {
        uint32_t len = number % (most + 1);
        uint64_t slice = ask(READ, FLAG_DATA, handle, len);
        CHECK(slice < FIRST_ERROR && slice >> 32 == len);
        compare(slice, number, 0);
    }
}

/* One request for many messages, if the table has some; how many. */
static uint32_t stream(uint32_t handle, uint32_t most, uint32_t credits) {
    const uint32_t number = 0xABCDEF;
    uint32_t messages = 0, used = 0;
    wait_for_room();
    push_request(STREAM, 0, number, handle, most | (uint64_t)credits << 32);
    ring_server();
    for (;;) {
        uint64_t value;
        wait_for_response();
        CHECK(pop_response(&value) == number);
        if (!(response_flags & FLAG_MORE)) {
            CHECK(value == error(1) || (value < FIRST_ERROR && value >> 32 == 0));
            return messages;
        }
        CHECK(value < FIRST_ERROR && value >> 32 == messages % (most + 1));
        compare(value, messages, 0);
        messages++;
        if (2 * ++used >= credits) {
            wait_for_room();
            push_request(CREDIT, 0, number, 0, used);
            ring_server();
            used = 0;
        }
    }
}

/* As many requests under way as the ring holds, answered in whatever order. */
static void many_at_once(uint32_t handle, uint32_t number) {
    uint32_t sent = 0;
    for (; can_send() && sent < geo.capacity; sent++)
        push_request(SEEK_START, 0, number + sent, handle, number + sent + 1);
    CHECK(sent > 0);
    ring_server();
    uint8_t *seen = calloc(sent, 1);
    for (uint32_t i = 0; i < sent; i++) {
        wait_for_response();
        uint64_t value;
        uint32_t which = pop_response(&value) - number;
        CHECK(which < sent && !seen[which] && value == number + which + 1);
        seen[which] = 1;
    }
    free(seen);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    come_together(arguments[1]);
    free_blocks = calloc(geo.client_count, sizeof *free_blocks);
    CHECK(free_blocks);
    if (!geo.shared)
        for (uint32_t block = 0; block < geo.client_count; block++) give_block(block);

    CHECK(ask_named(OPEN, "no such file") == error(2));
    CHECK(ask(READ, FLAG_DATA, 999, 10) == error(5));
    uint32_t handle = ask_named(CREATE, "raw.bin");
    CHECK(ask_named(CREATE, "raw.bin") == error(3));

    uint32_t block = geo.client_block, entries = block / 4;
    uint32_t lens[] = {0, 1, block - 1, block, block + 1, 2 * block, (entries - 1) * block, entries * block,
                       entries * block + 1, 2 * entries * block + 7};
    for (uint32_t seed = 0; seed < sizeof lens / sizeof *lens; seed++) {
        uint32_t len = lens[seed];
        /* What leaves no room for the answer beside it, or for the longest file that is served, is left out. */
        if (len / block + len / block / (entries - 1) + 4 > geo.client_count / 2 || len > 1000000) continue;
        CHECK(ask(SEEK_START, 0, handle, 0) == 0);
        CHECK(ask_with(WRITE, FLAG_DATA, handle, len, seed, NULL) == len);
        CHECK(ask(SEEK_CURRENT, 0, handle, -(uint64_t)len) == 0);
        uint64_t slice = ask(READ, FLAG_DATA, handle, len);
        CHECK(slice < FIRST_ERROR && slice >> 32 == len);
        compare(slice, seed, 0);
        if (len > 10) {
            CHECK(ask(SEEK_START, 0, handle, 7) == 7);
            slice = ask(READ, FLAG_DATA, handle, len - 10);
            CHECK(slice < FIRST_ERROR && slice >> 32 == len - 10);
            compare(slice, seed, 7);
        }
    }
    /* Every length about what an entry has room for, in either direction and in either form. */
    uint32_t most = room(geo.request_stride) > room(geo.response_stride) ? room(geo.request_stride) : room(geo.response_stride);
    for (uint32_t len = 0; len <= most + 1; len++) {
        for (int turn = 0; turn < 2; turn++) {
            if ((int)(request_tail % 2) != turn) CHECK(ask(SEEK_START, 0, handle, 0) == 0);
            CHECK(ask_with(WRITE, FLAG_DATA, handle, len, len + turn, NULL) == len);
            CHECK(ask(SEEK_CURRENT, 0, handle, -(uint64_t)len) < FIRST_ERROR);
            uint64_t slice = ask(READ, FLAG_DATA, handle, len);
            CHECK(slice < FIRST_ERROR && slice >> 32 == len);
            compare(slice, len + turn, 0);
        }
    }
    CHECK((inline_requests > 0) == (room(geo.request_stride) > 0));
    CHECK((inline_responses > 0) == (room(geo.response_stride) > 0));
    CHECK((int64_t)ask(SEEK_FROM_END, 0, handle, 0) > (int64_t)block);
    uint64_t slice = ask(READ, FLAG_DATA, handle, 10);
    CHECK(slice < FIRST_ERROR && slice >> 32 == 0);

    /* Round the rings, many times. */
    for (uint32_t round = 0; round < 5 * geo.capacity + 300; round++) {
        CHECK(ask(SEEK_START, 0, handle, round) == round);
        if (round % 8 == 0) many_at_once(handle, 1 + round);
        if (round % 4 == 0) {
            CHECK(ask_with(WRITE, FLAG_DATA, handle, 60, round, NULL) == 60);
            CHECK(ask(SEEK_CURRENT, 0, handle, -(uint64_t)60) < FIRST_ERROR);
            slice = ask(READ, FLAG_DATA, handle, 60);
            CHECK(slice < FIRST_ERROR && slice >> 32 == 60);
            compare(slice, round, 0);
        }
    }
    post(handle);
    uint32_t messages = 0;
    for (uint32_t credits = 1; credits < geo.capacity; credits *= 2) messages += stream(handle, 70, credits);
    messages += stream(handle, 70, geo.capacity - 1);
    wait_for_room();
    push_request(CLOSE, 0, 0, handle, 0);
    ring_server();
    CHECK(ask(READ, FLAG_DATA, handle, 10) == error(5));
    CHECK(ask_named(DESTROY, "raw.bin") == 0);
    CHECK(ask_named(OPEN, "raw.bin") == error(2));
    printf("%u requests, %u of them with bytes, %u responses, %u of them with bytes, %u messages, %u releases\n",
           request_tail, inline_requests, response_head, inline_responses, messages, release_tail);
    return 0;
}
