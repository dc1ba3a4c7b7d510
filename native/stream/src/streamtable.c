/*
 * A client of a StreamTable. The header says what each call does; src/transport/PROTOCOL.md is the protocol, whose
 * sections the parts of this file are named after.
 *
 * What the server can write is read by `load` and `copy_out` alone, each word once; what is checked is the copy.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "streamtable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef __linux__
#error "streamtable is for Linux: it needs sealed memfds and futexes"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "streamtable is for little-endian machines: the words of the protocol are"
#endif
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "words of 4 and 8 bytes are atomic");

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

typedef streamtable_error error;
typedef streamtable_client client;

#define OK STREAMTABLE_OK

enum {
    PAGE = 4096,
    LINE = 128,
    /* The queue region: heads, doorbells, and the first ring. */
    REQUEST_HEAD = 0,
    RESPONSE_HEAD = LINE,
    RELEASE_HEAD = 2 * LINE,
    SERVER_BELL = 3 * LINE,
    CLIENT_BELL = 4 * LINE,
    REQUESTS = 5 * LINE,
    HUGE = 2 << 20,
    MAX_CAPACITY = 32768,
    MAX_STRIDE = 512,
    MAX_QUEUE_BYTES = 64 << 20,
    MESSAGE_BYTES = 64,
    MAX_DESCRIPTORS = 2,
    DEFAULT_LIMIT_MS = 5000,
    /* Most messages of the socket that are taken in at once. */
    MAX_MESSAGES = 128,
    /* How often the head of a shared list is tried to be changed: honest sides never come near. */
    MAX_ATTEMPTS = 1 << 16,
    /* Looks at the ring between two looks at the clock. */
    LOOKS = 64
};

#define DEFAULT_MAX_DATA_BYTES (UINT64_C(16) << 30)
#define MS UINT64_C(1000000)
/* So long a client looks before it sleeps. */
#define SPIN_NS (50 * UINT64_C(1000))
/* No sleep is longer before it is seen whether the server lives: the first one, and later ones. */
#define FIRST_SLEEP_NS (4 * MS)
#define SLEEP_NS (2 * MS)
/* The same for its socket, which tells of the end by itself. */
#define SOCKET_SLEEP_NS (100 * MS)
/* An object is in the socket before the response that promises it: one that does not come within this does not come. */
#define OBJECT_LIMIT_NS (100 * MS)

/* Geometry: one side's blocks, and the numbers of a session. */
struct blocks {
    uint8_t *base;
    uint32_t bytes, count;
};

struct geometry {
    uint32_t capacity, request_stride, response_stride;
    bool is_shared;
    uint32_t client_bytes, client_count, server_bytes, server_count;
};

/* The blocks of a slice: those with the bytes, in order, then the list blocks. */
struct chain {
    uint32_t len, data, total;
    uint32_t one;
    uint32_t *many;
};

/* A message of the socket, with its descriptors. */
struct message {
    uint8_t bytes[MESSAGE_BYTES];
    size_t len;
    int descriptors[MAX_DESCRIPTORS];
    int count;
};

enum state { FREE, WAITING, ABANDONED, DONE };

/* A place for a request under way. Its number is the place with a generation. */
struct slot {
    enum state state;
    uint32_t generation, kind;
    /* The most that an honest response can say. */
    uint32_t asked;
    struct chain payload;
    streamtable_stream *stream;
    /* What became of it. */
    error code;
    uint64_t value;
    struct chain chain;
    bool has_object;
};

struct streamtable_loan {
    streamtable_loan *next;
    struct chain chain;
    uint32_t len;
    bool is_lease, is_inline;
    size_t count;
    streamtable_part *parts;
};

struct streamtable_stream {
    streamtable_stream *next;
    uint32_t slot, number, most, credits;
    /* Messages that came since credits were given back, and those of them that were taken by the program. */
    uint32_t used, taken;
    bool is_over;
    error code;
    /* Messages that wait to be taken: a ring of credits + 1. */
    uint32_t first, waiting;
    struct chain *chains;
    uint8_t *inlines;
};

struct streamtable_client {
    int socket;
    /* Which made it: a copy that it forks may disconnect, too. */
    pid_t process;
    streamtable_waiting waiting;
    uint64_t limit_ns, max_data_bytes;
    error over;
    struct message inbox;
    /* The memory of an object that came for the request of that number. */
    uint32_t awaited;
    struct message parcel;
    /* Whether memory of objects may be in the socket that came for requests which were given up. */
    bool has_unwanted;

    struct geometry geometry;
    uint8_t *queue, *own_data, *server_data;
    size_t queue_bytes, own_bytes, server_bytes;
    size_t responses_at, releases_at;
    uint32_t request_room, response_room;
    /* Indices: this side's own, and the other one's as last believed. */
    uint32_t request_tail, request_head, response_head, release_tail, release_head;

    struct blocks own, theirs;
    /* Own blocks: from `fresh` on none was used yet. */
    uint32_t *free_blocks, free_count, free_room, fresh;
    /* A bit for each block that this side holds: of the server's, or of the shared ones. */
    uint32_t *held;
    uint32_t *releases, release_count, release_room;

    struct slot *slots;
    uint32_t *free_slots, free_slot_count, slot_bits;
    /* Handles that came for requests which were given up, and are to be closed: no more than there are slots, since a
     * request is sent only behind them. */
    uint32_t *unused, unused_count;
    /* Credits of the streams that are open: each is a response that may be under way. */
    uint32_t credits;
    streamtable_loan *loans;
    streamtable_stream *streams;
    uint8_t inline_bytes[MAX_STRIDE];
};

static uint32_t div_up(uint32_t value, uint32_t by) { return value / by + (value % by != 0); }

static size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

static uint32_t min32(uint64_t value, uint32_t other) { return value < other ? (uint32_t)value : other; }

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

/* What is left until a moment, at most that much. */
static uint64_t left_ns(uint64_t end, uint64_t most) {
    uint64_t now = now_ns();
    if (now >= end) return 0;
    return end - now < most ? end - now : most;
}

static void close_if(int descriptor) {
    if (descriptor >= 0) close(descriptor);
}

/* Ends the session: hangs up, and has all later calls say why. */
static error end(client *c, error code) {
    if (c->over == OK) {
        int saved = errno;
        c->over = code;
        shutdown(c->socket, SHUT_RDWR);
        errno = saved;
    }
    return c->over;
}

/* Memory of both sides */

static uint32_t load(const uint8_t *at, memory_order order) {
    return atomic_load_explicit((volatile _Atomic uint32_t *)(uintptr_t)at, order);
}

static void store(uint8_t *at, uint32_t value, memory_order order) {
    atomic_store_explicit((volatile _Atomic uint32_t *)(uintptr_t)at, value, order);
}

/* Copies what the other side may be writing. Behind the fence the compiler reads nothing of it again. */
static void copy_out(void *to, const uint8_t *from, size_t len) {
    if (len > 0) memcpy(to, from, len);
    atomic_signal_fence(memory_order_seq_cst);
}

/* 1. Coming together */

enum { HELLO = 1, WELCOME, READY, GO, REFUSED, PARCEL, WAKE };

static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }

static void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }

static void new_message(uint8_t bytes[MESSAGE_BYTES], uint32_t kind) {
    memset(bytes, 0, MESSAGE_BYTES);
    memcpy(bytes, "mcsTable", 8);
    put32(bytes + 8, STREAMTABLE_PROTOCOL_VERSION);
    put32(bytes + 12, kind);
}

/* Sends a message, with a descriptor unless that is -1, and never waits: 0, or an errno. */
static int send_message(const client *c, uint8_t bytes[MESSAGE_BYTES], int descriptor) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part;
    struct msghdr message;
    ssize_t sent;
    memset(&message, 0, sizeof message);
    part.iov_base = bytes;
    part.iov_len = MESSAGE_BYTES;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    }
    do sent = sendmsg(c->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return errno;
    /* So few bytes go whole or not at all. */
    return sent == MESSAGE_BYTES ? 0 : EAGAIN;
}

static void drop(struct message *message) {
    for (int i = 0; i < message->count; i++) close(message->descriptors[i]);
    message->count = 0;
    message->len = 0;
}

/* Keeps the descriptors that came, and closes what is too much; whether it was. */
static bool keep_descriptors(struct message *inbox, struct msghdr *received) {
    bool is_too_much = (received->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(received); head; head = CMSG_NXTHDR(received, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t arrived = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < arrived; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(head) + i * sizeof(int), sizeof descriptor);
            if (inbox->count < MAX_DESCRIPTORS) {
                inbox->descriptors[inbox->count++] = descriptor;
            } else {
                close(descriptor);
                is_too_much = true;
            }
        }
    }
    return is_too_much;
}

static int descriptors_of(uint32_t kind) { return kind == WELCOME ? 2 : kind == PARCEL ? 1 : 0; }

/* The next message, if the whole of it has come. */
static error receive_now(client *c, struct message *message, bool *has_come) {
    struct message *inbox = &c->inbox;
    *has_come = false;
    while (inbox->len < MESSAGE_BYTES) {
        union {
            char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec part;
        struct msghdr received;
        memset(&received, 0, sizeof received);
        part.iov_base = inbox->bytes + inbox->len;
        part.iov_len = MESSAGE_BYTES - inbox->len;
        received.msg_iov = &part;
        received.msg_iovlen = 1;
        received.msg_control = control.bytes;
        received.msg_controllen = sizeof control.bytes;
        ssize_t len = recvmsg(c->socket, &received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (len < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) return OK;
            return errno == ECONNRESET ? STREAMTABLE_ERROR_GONE : STREAMTABLE_ERROR_SYSTEM;
        }
        if (keep_descriptors(inbox, &received)) {
            /* This process may have had no room for a descriptor. */
            int spare = inbox->count < MAX_DESCRIPTORS ? fcntl(c->socket, F_DUPFD_CLOEXEC, 0) : 0;
            if (spare < 0) return STREAMTABLE_ERROR_SYSTEM;
            if (spare > 0) close(spare);
            return STREAMTABLE_ERROR_BAD_MESSAGE;
        }
        if (len == 0) return STREAMTABLE_ERROR_GONE;
        inbox->len += (size_t)len;
        /* What is something else entirely is named so at once. */
        if (memcmp(inbox->bytes, "mcsTable", inbox->len < 8 ? inbox->len : 8) != 0)
            return STREAMTABLE_ERROR_NOT_A_TABLE;
    }
    *message = *inbox;
    inbox->len = 0;
    inbox->count = 0;
    if (message->count != descriptors_of(get32(message->bytes + 12))) {
        drop(message);
        return STREAMTABLE_ERROR_BAD_MESSAGE;
    }
    *has_come = true;
    return OK;
}

/* Waits until the socket has something, or hangs up, or until the time is over. GONE if it hung up and has nothing. */
static error wait_for_socket(const client *c, uint64_t for_ns) {
    struct pollfd one;
    uint64_t ms = (for_ns + MS - 1) / MS;
    one.fd = c->socket;
    one.events = POLLIN | POLLRDHUP;
    one.revents = 0;
    if (poll(&one, 1, ms > 60000 ? 60000 : (int)ms) < 0) return errno == EINTR ? OK : STREAMTABLE_ERROR_SYSTEM;
    bool is_gone = (one.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
    /* What was sent before the hang-up is received first. */
    return is_gone && !(one.revents & POLLIN) ? STREAMTABLE_ERROR_GONE : OK;
}

static bool has_hung_up(const client *c) {
    struct pollfd one;
    one.fd = c->socket;
    one.events = POLLRDHUP;
    one.revents = 0;
    return poll(&one, 1, 0) > 0;
}

/* The next message, waiting for it. */
static error receive(client *c, struct message *message, uint64_t until) {
    for (;;) {
        bool has_come;
        error code = receive_now(c, message, &has_come);
        if (code != OK || has_come) return code;
        uint64_t left = left_ns(until, UINT64_MAX);
        if (left == 0) return STREAMTABLE_ERROR_TIMEOUT;
        code = wait_for_socket(c, left);
        if (code != OK) return code;
    }
}

/* A message of the handshake. A refusal is read before anything else, so that each version can refuse every other. */
static error expect(client *c, struct message *message, uint32_t kind, uint64_t until) {
    static const error reasons[] = {STREAMTABLE_ERROR_VERSION,    STREAMTABLE_ERROR_SERVER_FULL,
                                    STREAMTABLE_ERROR_REFUSED,    STREAMTABLE_ERROR_SERVER_SHORT,
                                    STREAMTABLE_ERROR_OTHER_USER, STREAMTABLE_ERROR_LATE};
    error code = receive(c, message, until);
    if (code != OK) return code;
    uint32_t found = get32(message->bytes + 12);
    if (found == REFUSED) {
        uint32_t reason = get32(message->bytes + 16);
        return reason >= 1 && reason <= 6 ? reasons[reason - 1] : STREAMTABLE_ERROR_REFUSED;
    }
    if (get32(message->bytes + 8) != STREAMTABLE_PROTOCOL_VERSION)
        code = STREAMTABLE_ERROR_VERSION;
    else if (found != kind)
        code = STREAMTABLE_ERROR_BAD_MESSAGE;
    if (code != OK) drop(message);
    return code;
}

static bool is_power_of_two(uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }

static bool is_stride(uint32_t stride, uint32_t shortest) {
    return stride == shortest || stride == 16 || stride == 32 ||
           (stride >= 64 && stride <= MAX_STRIDE && stride % 64 == 0);
}

static bool are_blocks(const client *c, uint32_t bytes, uint32_t count) {
    return is_power_of_two(bytes) && bytes >= 64 && bytes <= 1U << 30 && count >= 1 && count <= 1U << 30 &&
           (uint64_t)bytes * count <= c->max_data_bytes && (uint64_t)bytes * count <= SIZE_MAX / 4;
}

/* Reads the numbers of a Welcome, and says whether a session can have them. */
static bool read_geometry(client *c, const uint8_t *bytes) {
    struct geometry *g = &c->geometry;
    g->capacity = get32(bytes + 16);
    g->request_stride = get32(bytes + 20) & 0xFFFF;
    g->response_stride = get32(bytes + 20) >> 16;
    g->is_shared = get32(bytes + 24) == 1;
    g->client_bytes = get32(bytes + 28);
    g->client_count = get32(bytes + 32);
    g->server_bytes = get32(bytes + 36);
    g->server_count = get32(bytes + 40);
    if (!is_power_of_two(g->capacity) || g->capacity < 2 || g->capacity > MAX_CAPACITY) return false;
    if (!is_stride(g->request_stride, 16) || !is_stride(g->response_stride, 12)) return false;
    if (get32(bytes + 24) > 1) return false;
    if (!are_blocks(c, g->client_bytes, g->client_count) || !are_blocks(c, g->server_bytes, g->server_count))
        return false;
    return !g->is_shared || (g->client_bytes == g->server_bytes && g->client_count == g->server_count);
}

/* Whether a region has those seals, and that length. In this order: sealed, its length cannot change any more. */
static bool is_sealed(int descriptor, uint64_t len, bool against_writing) {
    struct stat status;
    int seals = fcntl(descriptor, F_GET_SEALS), size = F_SEAL_SHRINK | F_SEAL_GROW;
    if (seals < 0 || (seals & size) != size) return false;
    if (against_writing && !(seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE))) return false;
    return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == len;
}

static uint8_t *map(int descriptor, uint64_t start, size_t len, bool is_writable) {
    int access = is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, len, access, MAP_SHARED, descriptor, (off_t)start);
    return at == MAP_FAILED ? NULL : at;
}

static void unmap(uint8_t *at, size_t len) {
    if (at) munmap(at, len);
}

/* Maps the queue region and the server's data region. */
static error map_offered(client *c, const struct message *welcome) {
    const struct geometry *g = &c->geometry;
    uint64_t queue_bytes = get64(welcome->bytes + 48), data_bytes = get64(welcome->bytes + 56);
    size_t blocks = (size_t)g->server_bytes * g->server_count;
    size_t needed = g->is_shared ? round_up(blocks, LINE) + LINE + (size_t)4 * g->server_count : blocks;
    c->responses_at = round_up(REQUESTS + (size_t)g->capacity * g->request_stride, LINE);
    c->releases_at = round_up(c->responses_at + (size_t)g->capacity * g->response_stride, LINE);
    needed = round_up(needed, PAGE);
    if (queue_bytes < c->releases_at + (g->is_shared ? 0 : (size_t)4 * g->capacity) || queue_bytes > MAX_QUEUE_BYTES ||
        data_bytes < needed || data_bytes - needed >= HUGE)
        return STREAMTABLE_ERROR_GEOMETRY;
    if (!is_sealed(welcome->descriptors[0], queue_bytes, false) ||
        !is_sealed(welcome->descriptors[1], data_bytes, !g->is_shared))
        return STREAMTABLE_ERROR_REGION;
    c->queue_bytes = (size_t)queue_bytes;
    c->server_bytes = (size_t)data_bytes;
    c->queue = map(welcome->descriptors[0], 0, c->queue_bytes, true);
    c->server_data = map(welcome->descriptors[1], 0, c->server_bytes, g->is_shared);
    return c->queue && c->server_data ? OK : STREAMTABLE_ERROR_SYSTEM;
}

/* Makes the region of this side's own blocks; its descriptor. */
static error make_own(client *c, int *made) {
    struct rlimit limit;
    int first = F_SEAL_SHRINK | F_SEAL_GROW, then = F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    c->own_bytes = round_up((size_t)c->geometry.client_bytes * c->geometry.client_count, PAGE);
    /* Beyond this limit the system would end the process. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && c->own_bytes > limit.rlim_cur) {
        errno = EFBIG;
        return STREAMTABLE_ERROR_SYSTEM;
    }
    int own = memfd_create("streamtable", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    /* Linux before 6.3 does not know the last flag. */
    if (own < 0) own = memfd_create("streamtable", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (own < 0) return STREAMTABLE_ERROR_SYSTEM;
    *made = own;
    if (ftruncate(own, (off_t)c->own_bytes) != 0 || fcntl(own, F_ADD_SEALS, first) != 0)
        return STREAMTABLE_ERROR_SYSTEM;
    c->own_data = map(own, 0, c->own_bytes, true);
    return c->own_data && fcntl(own, F_ADD_SEALS, then) == 0 ? OK : STREAMTABLE_ERROR_SYSTEM;
}

/* Memory of this side's for a session of these numbers. */
static error make_tables(client *c) {
    const struct geometry *g = &c->geometry;
    uint32_t held = g->is_shared ? g->client_count : g->server_count;
    c->own.base = g->is_shared ? c->server_data : c->own_data;
    c->own.bytes = g->client_bytes;
    c->own.count = g->client_count;
    c->theirs.base = c->server_data;
    c->theirs.bytes = g->server_bytes;
    c->theirs.count = g->server_count;
    c->request_room = g->request_stride > 16 ? g->request_stride - 16 : 0;
    c->response_room = g->response_stride > 16 ? g->response_stride - 16 : 0;
    c->held = calloc(div_up(held, 32), sizeof *c->held);
    c->slots = calloc(g->capacity, sizeof *c->slots);
    c->free_slots = calloc(g->capacity, sizeof *c->free_slots);
    c->unused = calloc(g->capacity, sizeof *c->unused);
    if (!c->held || !c->slots || !c->free_slots || !c->unused) return STREAMTABLE_ERROR_MEMORY;
    while (1U << c->slot_bits < g->capacity) c->slot_bits++;
    for (uint32_t i = 0; i < g->capacity; i++) {
        c->slots[i].generation = 1;
        c->free_slots[c->free_slot_count++] = g->capacity - 1 - i;
    }
    return OK;
}

/* The handshake behind Hello; `welcome` and `own` are closed by the caller. */
static error agree(client *c, struct message *welcome, int *own, uint64_t until) {
    uint8_t bytes[MESSAGE_BYTES];
    struct message go;
    error code = expect(c, welcome, WELCOME, until);
    if (code != OK) return code;
    if (!read_geometry(c, welcome->bytes)) return STREAMTABLE_ERROR_GEOMETRY;
    if ((code = map_offered(c, welcome)) != OK) return code;
    if (!c->geometry.is_shared && (code = make_own(c, own)) != OK) return code;
    if ((code = make_tables(c)) != OK) return code;
    new_message(bytes, READY);
    put64(bytes + 56, c->own_bytes);
    int failed = send_message(c, bytes, *own);
    /* A server that has hung up may have said why before. */
    if (failed && failed != EPIPE && failed != ECONNRESET) {
        errno = failed;
        return STREAMTABLE_ERROR_SYSTEM;
    }
    if ((code = expect(c, &go, GO, until)) != OK) return code;
    /* From here on nobody can take away pages of the queue region. */
    return is_sealed(welcome->descriptors[0], c->queue_bytes, true) ? OK : STREAMTABLE_ERROR_REGION;
}

/* Tells the server why there will be no session, if that is this side's to say: it need not wait for its limit then. */
static void refuse(const client *c, error code) {
    uint8_t bytes[MESSAGE_BYTES];
    uint32_t reason = 3;
    switch (code) {
    case STREAMTABLE_ERROR_VERSION: reason = 1; break;
    case STREAMTABLE_ERROR_MEMORY:
    case STREAMTABLE_ERROR_SYSTEM: reason = 4; break;
    case STREAMTABLE_ERROR_TIMEOUT: reason = 6; break;
    case STREAMTABLE_ERROR_GEOMETRY:
    case STREAMTABLE_ERROR_REGION:
    case STREAMTABLE_ERROR_BAD_MESSAGE: break;
    default: return;
    }
    new_message(bytes, REFUSED);
    put32(bytes + 16, reason);
    send_message(c, bytes, -1);
}

static void free_client(client *c) {
    if (!c) return;
    while (c->streams) {
        streamtable_stream *stream = c->streams;
        c->streams = stream->next;
        for (uint32_t i = 0; i <= stream->credits; i++) free(stream->chains[i].many);
        free(stream);
    }
    while (c->loans) {
        streamtable_loan *loan = c->loans;
        c->loans = loan->next;
        free(loan->chain.many);
        free(loan);
    }
    for (uint32_t i = 0; c->slots && i < c->geometry.capacity; i++) {
        free(c->slots[i].payload.many);
        free(c->slots[i].chain.many);
    }
    drop(&c->inbox);
    drop(&c->parcel);
    close_if(c->socket);
    unmap(c->queue, c->queue_bytes);
    unmap(c->own_data, c->own_bytes);
    unmap(c->server_data, c->server_bytes);
    free(c->free_blocks);
    free(c->held);
    free(c->releases);
    free(c->slots);
    free(c->free_slots);
    free(c->unused);
    free(c);
}

static uint64_t limit_of(uint32_t limit_ms) { return (limit_ms ? limit_ms : DEFAULT_LIMIT_MS) * MS; }

/* A session over a connected socket, which is closed if there will be none. */
static error join(int socket, const streamtable_options *options, uint64_t until, client **made) {
    uint8_t bytes[MESSAGE_BYTES];
    struct message welcome;
    int own = -1;
    client *c = calloc(1, sizeof *c);
    if (!c) {
        close(socket);
        return STREAMTABLE_ERROR_MEMORY;
    }
    c->socket = socket;
    c->process = getpid();
    c->waiting = options->waiting;
    c->limit_ns = limit_of(options->limit_ms);
    c->max_data_bytes = options->max_data_bytes ? options->max_data_bytes : DEFAULT_MAX_DATA_BYTES;
    memset(&welcome, 0, sizeof welcome);
    new_message(bytes, HELLO);
    int failed = send_message(c, bytes, -1);
    error code = OK;
    if (failed && failed != EPIPE && failed != ECONNRESET) {
        errno = failed;
        code = STREAMTABLE_ERROR_SYSTEM;
    }
    if (code == OK) code = agree(c, &welcome, &own, until);
    if (code != OK) {
        int saved = errno;
        refuse(c, code);
        drop(&welcome);
        close_if(own);
        free_client(c);
        errno = saved;
        return code;
    }
    drop(&welcome);
    close_if(own);
    *made = c;
    return OK;
}

/* Connects a socket. Where the server's backlog is full this waits in line. */
static error connect_socket(const char *address, uint64_t until, int *connected) {
    struct sockaddr_un name;
    size_t len = strlen(address);
    bool is_abstract = address[0] == '@';
    if (is_abstract ? len < 2 : !strchr(address, '/')) return STREAMTABLE_ERROR_ADDRESS;
    if (is_abstract ? len > sizeof name.sun_path : len >= sizeof name.sun_path) return STREAMTABLE_ERROR_ADDRESS;
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, address, len);
    if (is_abstract) name.sun_path[0] = 0;
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) return STREAMTABLE_ERROR_SYSTEM;
    for (;;) {
        uint64_t left = left_ns(until, UINT64_MAX);
        struct timeval limit;
        limit.tv_sec = (time_t)(left / (1000 * MS));
        limit.tv_usec = (suseconds_t)(left % (1000 * MS) / 1000 + 1);
        if (limit.tv_usec > 999999) limit.tv_usec = 999999;
        error code = OK;
        if (left == 0)
            code = STREAMTABLE_ERROR_TIMEOUT;
        else if (setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
            code = STREAMTABLE_ERROR_SYSTEM;
        else if (connect(made, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) ==
                 0) {
            *connected = made;
            return OK;
        } else if (errno != EAGAIN && errno != EINTR)
            code = STREAMTABLE_ERROR_SYSTEM;
        if (code != OK) {
            int saved = errno;
            close(made);
            errno = saved;
            return code;
        }
    }
}

static bool are_options(const streamtable_options *options) {
    return (unsigned)options->waiting <= STREAMTABLE_WAITING_POLL;
}

error streamtable_connect(const char *address, const streamtable_options *options, streamtable_client **made) {
    static const streamtable_options defaults;
    const streamtable_options *o = options ? options : &defaults;
    if (made) *made = NULL;
    if (!address || !made || !are_options(o)) return STREAMTABLE_ERROR_ARGUMENT;
    uint64_t until = now_ns() + limit_of(o->limit_ms);
    int socket = -1;
    error code = connect_socket(address, until, &socket);
    return code == OK ? join(socket, o, until, made) : code;
}

error streamtable_connect_over(int socket, const streamtable_options *options, streamtable_client **made) {
    static const streamtable_options defaults;
    const streamtable_options *o = options ? options : &defaults;
    if (made) *made = NULL;
    if (socket < 0 || !made || !are_options(o)) {
        close_if(socket);
        return STREAMTABLE_ERROR_ARGUMENT;
    }
    return join(socket, o, now_ns() + limit_of(o->limit_ms), made);
}

error streamtable_over(const streamtable_client *c) { return c ? c->over : STREAMTABLE_ERROR_ARGUMENT; }

void streamtable_set_limit(streamtable_client *c, uint32_t limit_ms) {
    if (c) c->limit_ns = limit_of(limit_ms);
}

/* 6. The list of a shared region */

#define NONE UINT32_MAX

static volatile _Atomic uint64_t *list_head(const client *c) {
    size_t at = round_up((size_t)c->own.bytes * c->own.count, LINE);
    return (volatile _Atomic uint64_t *)(uintptr_t)(c->own.base + at);
}

static uint8_t *list_link(const client *c, uint32_t block) {
    return c->own.base + round_up((size_t)c->own.bytes * c->own.count, LINE) + LINE + (size_t)4 * block;
}

static uint64_t changed(uint64_t head, uint32_t first) { return (uint64_t)((uint32_t)(head >> 32) + 1) << 32 | first; }

static error take_listed(client *c, uint32_t count, uint32_t *blocks) {
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        uint64_t head = atomic_load_explicit(list_head(c), memory_order_acquire);
        uint32_t block = (uint32_t)head, got = 0;
        for (; got < count && block != NONE; got++) {
            if (block >= c->own.count) return end(c, STREAMTABLE_ERROR_BAD_BLOCK);
            blocks[got] = block;
            block = load(list_link(c, block), memory_order_relaxed);
        }
        if (got < count) {
            if (atomic_load_explicit(list_head(c), memory_order_acquire) == head) return STREAMTABLE_ERROR_NO_BLOCKS;
            continue;
        }
        if (atomic_compare_exchange_strong_explicit(list_head(c), &head, changed(head, block), memory_order_acquire,
                                                    memory_order_relaxed))
            return OK;
    }
    return end(c, STREAMTABLE_ERROR_BAD_LIST);
}

static error put_listed(client *c, uint32_t count, const uint32_t *blocks) {
    for (uint32_t i = 0; i + 1 < count; i++) store(list_link(c, blocks[i]), blocks[i + 1], memory_order_relaxed);
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        uint64_t head = atomic_load_explicit(list_head(c), memory_order_relaxed);
        store(list_link(c, blocks[count - 1]), (uint32_t)head, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(list_head(c), &head, changed(head, blocks[0]), memory_order_release,
                                                    memory_order_relaxed))
            return OK;
    }
    return end(c, STREAMTABLE_ERROR_BAD_LIST);
}

/* 5. Slices, and whose each block is */

/* Notes that this side holds a block, which it must not yet. */
static error hold(client *c, uint32_t block, uint32_t count) {
    uint32_t bit = 1U << block % 32;
    if (block >= count) return end(c, STREAMTABLE_ERROR_BAD_BLOCK);
    if (c->held[block / 32] & bit) return end(c, STREAMTABLE_ERROR_BLOCK_TWICE);
    c->held[block / 32] |= bit;
    return OK;
}

static void let_go(client *c, uint32_t count, const uint32_t *blocks) {
    for (uint32_t i = 0; i < count; i++) c->held[blocks[i] / 32] &= ~(1U << blocks[i] % 32);
}

static uint32_t *blocks_of(struct chain *chain) { return chain->many ? chain->many : &chain->one; }

static uint32_t data_at(const struct chain *chain, uint32_t index) {
    return chain->many ? chain->many[index] : chain->one;
}

/* The block that a slice names: the first list block, or the only block. */
static uint32_t named_by(const struct chain *chain) {
    return chain->total > 1 ? chain->many[chain->data] : chain->total == 1 ? chain->one : 0;
}

static uint64_t slice_of(const struct chain *chain) { return (uint64_t)chain->len << 32 | named_by(chain); }

static void count_blocks(struct chain *chain, uint32_t len, uint32_t block_bytes) {
    memset(chain, 0, sizeof *chain);
    chain->len = len;
    chain->data = div_up(len, block_bytes);
    chain->total = chain->data + (chain->data > 1 ? div_up(chain->data - 1, block_bytes / 4 - 1) : 0);
}

static void forget(struct chain *chain) {
    free(chain->many);
    memset(chain, 0, sizeof *chain);
}

/* Takes own blocks: all, or none. */
static error take_blocks(client *c, uint32_t count, uint32_t *blocks) {
    if (c->geometry.is_shared) {
        error code = take_listed(c, count, blocks);
        for (uint32_t i = 0; code == OK && i < count; i++) code = hold(c, blocks[i], c->own.count);
        return code;
    }
    uint32_t old = c->free_count < count ? c->free_count : count, fresh = count - old;
    if (fresh > c->own.count - c->fresh) return STREAMTABLE_ERROR_NO_BLOCKS;
    if (c->fresh + fresh > c->free_room) {
        /* There is always room to give back all that were ever taken. */
        uint32_t room = c->fresh + fresh > c->own.count / 2 ? c->own.count : 2 * (c->fresh + fresh);
        uint32_t *more = realloc(c->free_blocks, (size_t)room * sizeof *more);
        if (!more) return STREAMTABLE_ERROR_MEMORY;
        c->free_blocks = more;
        c->free_room = room;
    }
    for (uint32_t i = 0; i < old; i++) blocks[i] = c->free_blocks[--c->free_count];
    for (uint32_t i = old; i < count; i++) blocks[i] = c->fresh++;
    return OK;
}

/* Gives own or shared blocks back, and forgets the chain. */
static error give_blocks(client *c, struct chain *chain) {
    uint32_t count = chain->total, *blocks = blocks_of(chain);
    error code = OK;
    if (count > 0 && c->geometry.is_shared) {
        let_go(c, count, blocks);
        code = put_listed(c, count, blocks);
    } else {
        /* The first one on top, so that neighbours are taken in order again. */
        while (count > 0) c->free_blocks[c->free_count++] = blocks[--count];
    }
    forget(chain);
    return code;
}

/* Takes own blocks for `len` bytes, and writes their list blocks. */
static error allocate(client *c, uint32_t len, struct chain *chain) {
    uint32_t bytes = c->own.bytes, last = bytes / 4 - 1;
    count_blocks(chain, len, bytes);
    if (chain->total == 0) return OK;
    if (chain->total > c->own.count) return STREAMTABLE_ERROR_NO_BLOCKS;
    if (chain->total > 1) {
        chain->many = malloc(chain->total * sizeof *chain->many);
        if (!chain->many) return STREAMTABLE_ERROR_MEMORY;
    }
    error code = take_blocks(c, chain->total, blocks_of(chain));
    if (code != OK) {
        forget(chain);
        return code;
    }
    for (uint32_t list = chain->data, entry = 0; list < chain->total; list++) {
        uint8_t *at = c->own.base + (size_t)chain->many[list] * bytes;
        bool is_last = list + 1 == chain->total;
        uint32_t count = is_last ? chain->data - entry : last;
        for (uint32_t i = 0; i < count; i++) store(at + 4 * i, chain->many[entry++], memory_order_relaxed);
        if (!is_last) store(at + (size_t)4 * last, chain->many[list + 1], memory_order_relaxed);
    }
    return OK;
}

/* Makes `chain` the one that a response names, and holds its blocks. On an error the session is over. */
static error resolve(client *c, uint64_t slice, struct chain *chain) {
    const struct blocks *theirs = &c->theirs;
    uint32_t list = (uint32_t)slice, last = theirs->bytes / 4 - 1;
    error code = OK;
    count_blocks(chain, (uint32_t)(slice >> 32), theirs->bytes);
    if (chain->total == 0) return OK;
    if (chain->total > theirs->count) return end(c, STREAMTABLE_ERROR_BAD_LENGTH);
    if (chain->total == 1) {
        chain->one = list;
        return hold(c, list, theirs->count);
    }
    chain->many = malloc(chain->total * sizeof *chain->many);
    if (!chain->many) return end(c, STREAMTABLE_ERROR_MEMORY);
    for (uint32_t at = chain->data, entry = 0; code == OK && at < chain->total; at++) {
        bool is_last = at + 1 == chain->total;
        uint32_t count = is_last ? chain->data - entry : last;
        code = hold(c, list, theirs->count);
        if (code != OK) break;
        chain->many[at] = list;
        const uint8_t *entries = theirs->base + (size_t)list * theirs->bytes;
        for (uint32_t i = 0; code == OK && i < count; i++) {
            chain->many[entry] = load(entries + 4 * i, memory_order_relaxed);
            code = hold(c, chain->many[entry++], theirs->count);
        }
        if (!is_last) list = load(entries + (size_t)4 * last, memory_order_relaxed);
    }
    if (code != OK) forget(chain);
    return code;
}

/* The next bytes of a chain that lie side by side, from its data block `*at` on; false at its end. */
static bool next_run(const struct blocks *blocks, const struct chain *chain, uint32_t *at, uint32_t *left,
                     streamtable_part *run) {
    if (*left == 0 || *at >= chain->data) return false;
    uint32_t first = data_at(chain, *at);
    uint64_t len = blocks->bytes;
    while (++*at < chain->data && len < *left && data_at(chain, *at) == data_at(chain, *at - 1) + 1)
        len += blocks->bytes;
    run->bytes = blocks->base + (size_t)first * blocks->bytes;
    run->len = min32(len, *left);
    *left -= (uint32_t)run->len;
    return true;
}

static void copy_from(client *c, const struct chain *chain, uint8_t *to) {
    uint32_t at = 0, left = chain->len;
    for (streamtable_part run; next_run(&c->theirs, chain, &at, &left, &run); to += run.len)
        copy_out(to, run.bytes, run.len);
}

static void copy_to(client *c, const struct chain *chain, const uint8_t *from) {
    uint32_t at = 0, left = chain->len;
    for (streamtable_part run; next_run(&c->own, chain, &at, &left, &run); from += run.len)
        memcpy(run.bytes, from, run.len);
}

/* 2. and 3. The queue region and its rings */

/* The lap bits of messages and of releases. */
#define LAP 0x80U
#define RELEASE_LAP (1U << 31)

static uint32_t lap(const client *c, uint32_t index, uint32_t bit) { return index & c->geometry.capacity ? 0 : bit; }

/* Whether one more entry can be written to a ring of this side's. Copies the reader's head out if that is needed. */
static error has_room(client *c, size_t head_at, uint32_t tail, uint32_t *head, bool *has) {
    *has = tail - *head < c->geometry.capacity;
    if (*has) return OK;
    uint32_t claimed = load(c->queue + head_at, memory_order_acquire);
    if (claimed - *head > tail - *head) return end(c, STREAMTABLE_ERROR_BAD_HEAD);
    *head = claimed;
    *has = tail - *head < c->geometry.capacity;
    return OK;
}

/* Publishes releases as far as there is room. */
static error send_releases(client *c) {
    while (c->release_count > 0) {
        bool has;
        error code = has_room(c, RELEASE_HEAD, c->release_tail, &c->release_head, &has);
        if (code != OK) return code;
        if (!has) break;
        uint32_t index = c->release_tail++;
        uint8_t *at = c->queue + c->releases_at + (size_t)4 * (index & (c->geometry.capacity - 1));
        store(at, c->releases[--c->release_count] | lap(c, index, RELEASE_LAP), memory_order_release);
    }
    return OK;
}

/* Gives the server's blocks back, and forgets the chain. */
static error release(client *c, struct chain *chain) {
    if (chain->total == 0 || c->geometry.is_shared) return give_blocks(c, chain);
    if (c->release_count == c->release_room) {
        uint32_t room = c->release_room ? 2 * c->release_room : 16;
        uint32_t *more = realloc(c->releases, room * sizeof *more);
        if (!more) return end(c, STREAMTABLE_ERROR_MEMORY);
        c->releases = more;
        c->release_room = room;
    }
    c->releases[c->release_count++] = named_by(chain);
    let_go(c, chain->total, blocks_of(chain));
    forget(chain);
    return send_releases(c);
}

/* Gives the messages of a stream back that were not taken. */
static error release_waiting(client *c, streamtable_stream *stream) {
    error code = c->over;
    for (; code == OK && stream->waiting > 0; stream->waiting--) {
        code = release(c, &stream->chains[stream->first]);
        stream->first = (stream->first + 1) % (stream->credits + 1);
    }
    return code;
}

static long futex(const client *c, size_t at, int operation, uint32_t value, const struct timespec *limit) {
    return syscall(SYS_futex, c->queue + at, operation, value, limit, NULL, 0);
}

/* 7. Wakes the server if it waits. Behind what it is to find. */
static void ring(client *c) {
    atomic_thread_fence(memory_order_seq_cst);
    if (load(c->queue + SERVER_BELL, memory_order_relaxed) == 0) return;
    uint32_t how = atomic_exchange_explicit((volatile _Atomic uint32_t *)(uintptr_t)(c->queue + SERVER_BELL), 0,
                                            memory_order_relaxed);
    if (how == 1) futex(c, SERVER_BELL, FUTEX_WAKE, INT_MAX, NULL);
    if (how == 2) {
        uint8_t bytes[MESSAGE_BYTES];
        new_message(bytes, WAKE);
        /* Where the socket is full there are wakes in it; that the server is gone the next wait finds out. */
        send_message(c, bytes, -1);
    }
}

/* 4. Requests and responses */

enum { READ, WRITE, OPEN, CLOSE, CREATE, DESTROY, SEEK_START, SEEK_CURRENT, SEEK_FROM_END, SHARE, STREAM, CREDIT };
enum { DATA = 1 << 4, ADVANCE = 1 << 5, META = 1 << 6, HAS_OBJECT = 1, HAS_MORE = 2 };
#define FIRST_ERROR UINT64_C(0xFFFFFFFFFFFFF000)
#define IS_INLINE UINT32_MAX

struct request {
    uint32_t kind, flags, number, handle;
    uint64_t args;
    /* Bytes in the entry. */
    const void *bytes;
    uint32_t len;
};

/* Writes a request into a place that is free, and publishes it. */
static void push(client *c, const struct request *request) {
    uint32_t index = c->request_tail++;
    uint32_t first = request->kind | request->flags | request->number << 8;
    uint8_t *at = c->queue + REQUESTS + (size_t)(index & (c->geometry.capacity - 1)) * c->geometry.request_stride;
    if (request->len > 0) memcpy(at + 16, request->bytes, request->len);
    store(at + 4, request->handle, memory_order_relaxed);
    store(at + 8, (uint32_t)request->args, memory_order_relaxed);
    store(at + 12, (uint32_t)(request->args >> 32), memory_order_relaxed);
    store(at, first | lap(c, index, LAP), memory_order_release);
    ring(c);
}

static void free_slot(client *c, struct slot *slot) {
    uint32_t last = (1U << (24 - c->slot_bits)) - 1;
    slot->state = FREE;
    slot->stream = NULL;
    /* From 1 on: a number is never 0. */
    slot->generation = slot->generation == last ? 1 : slot->generation + 1;
    c->free_slots[c->free_slot_count++] = (uint32_t)(slot - c->slots);
}

/* Takes the bytes that a slice names: into `bytes` if they are in the entry, else as a chain. */
static error take_slice(client *c, const uint8_t *entry, uint64_t slice, uint32_t asked, struct chain *chain,
                        uint8_t *bytes, bool *is_inline) {
    uint32_t len = (uint32_t)(slice >> 32);
    *is_inline = len > 0 && (uint32_t)slice == IS_INLINE && c->response_room > 0;
    if (len > asked) return end(c, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    if (!*is_inline) return resolve(c, slice, chain);
    if (len > c->response_room) return end(c, STREAMTABLE_ERROR_BAD_LENGTH);
    memset(chain, 0, sizeof *chain);
    chain->len = len;
    copy_out(bytes, entry + 16, len);
    return OK;
}

/* A response to a stream: a message, or its end. */
static error take_message(client *c, struct slot *slot, const uint8_t *entry, bool has_more, error code,
                          uint64_t value) {
    streamtable_stream *stream = slot->stream;
    bool has_bytes = code == OK && value >> 32 != 0;
    if (has_more && (code != OK || stream->used == stream->credits)) return end(c, STREAMTABLE_ERROR_NO_CREDIT);
    if (has_more) stream->used++;
    if (has_more || has_bytes) {
        uint32_t at = (stream->first + stream->waiting) % (stream->credits + 1);
        bool is_inline;
        error failed = take_slice(c, entry, value, stream->most, &stream->chains[at],
                                  stream->inlines + (size_t)at * c->response_room, &is_inline);
        if (failed != OK) return failed;
        if (slot->state == ABANDONED) {
            failed = release(c, &stream->chains[at]);
            if (failed != OK) return failed;
        } else {
            stream->waiting++;
        }
    }
    if (!has_more) {
        stream->is_over = true;
        stream->code = code == OK ? STREAMTABLE_ERROR_ENDED : code;
    }
    return OK;
}

/* What a response means for the request that it answers, if it can be an answer to it. */
static error take_answer(client *c, struct slot *slot, const uint8_t *entry, uint64_t value) {
    bool is_inline;
    memset(&slot->chain, 0, sizeof slot->chain);
    slot->value = value;
    if (slot->code != OK) return OK;
    switch (slot->kind) {
    case READ: return take_slice(c, entry, value, slot->asked, &slot->chain, c->inline_bytes, &is_inline);
    case SEEK_START:
    case SEEK_CURRENT:
    case SEEK_FROM_END: return OK;
    case SHARE:
        if (!slot->has_object) return end(c, STREAMTABLE_ERROR_NO_OBJECT);
        return OK;
    default: return value <= slot->asked ? OK : end(c, STREAMTABLE_ERROR_MORE_THAN_ASKED);
    }
}

static void drop_stream(client *c, streamtable_stream *stream) {
    for (streamtable_stream **at = &c->streams; *at; at = &(*at)->next) {
        if (*at != stream) continue;
        *at = stream->next;
        for (uint32_t i = 0; i <= stream->credits; i++) free(stream->chains[i].many);
        free(stream);
        return;
    }
}

/* Where the next response is, or will be. */
static const uint8_t *response_at(const client *c) {
    size_t place = c->response_head & (c->geometry.capacity - 1);
    return c->queue + c->responses_at + place * c->geometry.response_stride;
}

/* Whether an entry with that first word is the next response. */
static bool is_response(const client *c, uint32_t first) { return (first & LAP) == lap(c, c->response_head, LAP); }

/* Takes in one response, if one has come. */
static error take_response(client *c, bool *has_come) {
    const uint8_t *at = response_at(c);
    uint32_t first = load(at, memory_order_acquire), mask = c->geometry.capacity - 1;
    *has_come = false;
    if (!is_response(c, first)) return OK;
    uint64_t value = load(at + 4, memory_order_relaxed) | (uint64_t)load(at + 8, memory_order_relaxed) << 32;
    struct slot *slot = &c->slots[first >> 8 & mask];
    if ((slot->state != WAITING && slot->state != ABANDONED) || slot->generation != first >> 8 >> c->slot_bits)
        return end(c, STREAMTABLE_ERROR_NO_SUCH_REQUEST);
    bool is_abandoned = slot->state == ABANDONED, has_more = slot->stream && first & HAS_MORE;
    uint32_t refused = (uint32_t)(value & 0xFFF);
    error code = value < FIRST_ERROR ? OK : refused ? (error)refused : STREAMTABLE_ERROR_UNNAMED;
    error failed;
    if (slot->stream) {
        failed = take_message(c, slot, at, has_more, code, value);
    } else {
        slot->code = code;
        slot->has_object = first & HAS_OBJECT && (slot->kind == OPEN || slot->kind == CREATE || slot->kind == SHARE);
        failed = take_answer(c, slot, at, value);
    }
    if (failed != OK) return failed;
    *has_come = true;
    store(c->queue + RESPONSE_HEAD, ++c->response_head, memory_order_release);
    if (has_more) return OK;
    failed = give_blocks(c, &slot->payload);
    if (slot->stream) {
        c->credits -= slot->stream->credits;
        if (is_abandoned) drop_stream(c, slot->stream);
        free_slot(c, slot);
    } else if (is_abandoned) {
        bool is_opened = code == OK && (slot->kind == OPEN || slot->kind == CREATE);
        if (is_opened) c->unused[c->unused_count++] = (uint32_t)value;
        c->has_unwanted |= code == OK && slot->has_object;
        error also = release(c, &slot->chain);
        free_slot(c, slot);
        if (failed == OK) failed = also;
    } else {
        slot->state = DONE;
    }
    return failed;
}

/* Whether a response may have come: what is looked at last before a sleep. */
static bool may_have_response(const client *c) { return is_response(c, load(response_at(c), memory_order_acquire)); }

/* Takes in the messages that have come. The object that is waited for is kept, others are closed. All errors but GONE
 * end the session: behind GONE there may be answers. */
static error take_messages(client *c) {
    for (int i = 0; i < MAX_MESSAGES; i++) {
        struct message message;
        bool has_come;
        error code = receive_now(c, &message, &has_come);
        if (code == STREAMTABLE_ERROR_NOT_A_TABLE) code = STREAMTABLE_ERROR_BAD_MESSAGE;
        if (code == OK && !has_come) c->has_unwanted = false;
        if (code == STREAMTABLE_ERROR_GONE || (code == OK && !has_come)) return code;
        if (code != OK) return end(c, code);
        uint32_t kind = get32(message.bytes + 12);
        if (get32(message.bytes + 8) != STREAMTABLE_PROTOCOL_VERSION || (kind != WAKE && kind != PARCEL)) {
            drop(&message);
            return end(c, STREAMTABLE_ERROR_BAD_MESSAGE);
        }
        if (kind == PARCEL && get64(message.bytes + 16) == c->awaited) {
            drop(&c->parcel);
            c->parcel = message;
        } else {
            drop(&message);
        }
    }
    return OK;
}

static void relax(void) {
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* 7. Sleeps until the server rings, but for no longer than that. */
static error sleep_for(client *c, uint64_t for_ns) {
    bool by_socket = c->waiting == STREAMTABLE_WAITING_SOCKET;
    uint32_t how = by_socket ? 2 : 1;
    error code = OK;
    store(c->queue + CLIENT_BELL, how, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (!may_have_response(c)) {
        if (by_socket) {
            code = wait_for_socket(c, for_ns);
            if (code == OK) code = take_messages(c);
        } else {
            struct timespec limit;
            limit.tv_sec = (time_t)(for_ns / (1000 * MS));
            limit.tv_nsec = (long)(for_ns % (1000 * MS));
            futex(c, CLIENT_BELL, FUTEX_WAIT, how, &limit);
        }
    }
    store(c->queue + CLIENT_BELL, 0, memory_order_relaxed);
    return code;
}

/* What is waited for: whether it is there, or an error that ends the wait. */
typedef error condition(client *c, void *what, bool *is_there);

/* Takes in what has come, and says whether that is it. */
static error look(client *c, condition *is_met, void *what, bool *is_there) {
    bool has_come = true;
    while (has_come) {
        error code = is_met(c, what, is_there);
        if (code != OK || *is_there) return code;
        code = take_response(c, &has_come);
        if (code != OK) return code;
    }
    return OK;
}

/* Waits until something is there, taking in responses meanwhile. TIMEOUT at the limit. */
static error wait_until(client *c, condition *is_met, void *what) {
    uint64_t start = 0, checked = 0;
    for (;;) {
        bool is_there;
        int looks = c->waiting == STREAMTABLE_WAITING_SLEEP ? 1 : LOOKS;
        for (int i = 0; i < looks; i++) {
            error code = look(c, is_met, what, &is_there);
            if (code != OK || is_there) return code;
            relax();
        }
        uint64_t now = now_ns();
        if (start == 0) start = checked = now;
        uint64_t waited = now - start;
        bool is_late = waited >= c->limit_ns;
        bool spins =
            c->waiting == STREAMTABLE_WAITING_POLL || (c->waiting != STREAMTABLE_WAITING_SLEEP && waited < SPIN_NS);
        error code = OK;
        if (!is_late && !spins) {
            uint64_t most = c->waiting == STREAMTABLE_WAITING_SOCKET ? SOCKET_SLEEP_NS
                            : checked == start                       ? FIRST_SLEEP_NS
                                                                     : SLEEP_NS;
            code = sleep_for(c, c->limit_ns - waited < most ? c->limit_ns - waited : most);
            now = now_ns();
            if (c->over != OK) return c->over;
        }
        if (is_late || now - checked >= SLEEP_NS) {
            checked = now;
            if (code == OK && has_hung_up(c)) code = STREAMTABLE_ERROR_GONE;
        }
        if (code == OK && !is_late) continue;
        /* What it answered before it went is still an answer. */
        error last = look(c, is_met, what, &is_there);
        if (last != OK || is_there) return last;
        if (code == STREAMTABLE_ERROR_GONE) return end(c, code);
        return code != OK ? code : STREAMTABLE_ERROR_TIMEOUT;
    }
}

/* Whether a request can be sent to which there are so many responses. What was given up is closed first. */
static error can_send(client *c, void *responses, bool *is_there) {
    error code = has_room(c, REQUEST_HEAD, c->request_tail, &c->request_head, is_there);
    while (code == OK && *is_there && c->unused_count > 0) {
        struct request request = {CLOSE, META, 0, c->unused[--c->unused_count], 0, NULL, 0};
        push(c, &request);
        code = has_room(c, REQUEST_HEAD, c->request_tail, &c->request_head, is_there);
    }
    if (c->free_slot_count < c->credits + *(const uint32_t *)responses) *is_there = false;
    return code;
}

static error is_done(client *c, void *slot, bool *is_there) {
    (void)c;
    *is_there = ((const struct slot *)slot)->state == DONE;
    return OK;
}

/* Begins a request to which there are so many responses: waits for room, sends releases that had none, and receives
 * what is not wanted. */
static error begin(client *c, uint32_t responses) {
    if (c->over != OK) return c->over;
    if (c->release_count > 0) {
        error code = send_releases(c);
        if (code != OK) return code;
    }
    /* A server that is gone has perhaps answered before. */
    if (c->has_unwanted && take_messages(c) != OK && c->over != OK) return c->over;
    error code = wait_until(c, can_send, &responses);
    return code == STREAMTABLE_ERROR_TIMEOUT ? STREAMTABLE_ERROR_FULL : code;
}

/* Sends a request that has an answer, after `begin`. The payload is its own from here on. */
static struct slot *submit(client *c, struct request *request, const struct chain *payload, uint32_t asked) {
    struct slot *slot = &c->slots[c->free_slots[--c->free_slot_count]];
    slot->state = WAITING;
    slot->kind = request->kind;
    slot->asked = asked;
    if (payload)
        slot->payload = *payload;
    else
        memset(&slot->payload, 0, sizeof slot->payload);
    request->number = slot->generation << c->slot_bits | (uint32_t)(slot - c->slots);
    drop(&c->parcel);
    c->awaited = request->number;
    push(c, request);
    return slot;
}

/* The object that came for the last request. */
static error receive_object(client *c) {
    uint64_t until = now_ns() + OBJECT_LIMIT_NS;
    for (;;) {
        error code = take_messages(c);
        if (code == OK && c->parcel.count > 0) return OK;
        uint64_t left = left_ns(until, SOCKET_SLEEP_NS);
        if (code == OK && left == 0) code = STREAMTABLE_ERROR_NO_OBJECT;
        if (code == OK) code = wait_for_socket(c, left);
        if (code != OK) return end(c, code);
    }
}

/* Waits for the answer to a request: its value, or why not. `chain` is the answer's, where it has bytes. */
static error finish(client *c, struct slot *slot, uint64_t *value, struct chain *chain) {
    error code = wait_until(c, is_done, slot);
    if (code != OK) {
        if (slot->state == WAITING) slot->state = ABANDONED;
        c->awaited = 0;
        drop(&c->parcel);
        return code;
    }
    bool has_object = slot->has_object && slot->code == OK;
    code = slot->code;
    *value = slot->value;
    if (chain) *chain = slot->chain;
    memset(&slot->chain, 0, sizeof slot->chain);
    free_slot(c, slot);
    if (has_object) {
        error failed = receive_object(c);
        if (failed != OK) return failed;
    }
    return code;
}

/* A request without a payload, and its answer. */
static error ask(client *c, uint32_t kind, uint32_t flags, uint32_t handle, uint64_t args, uint64_t *value) {
    struct request request = {kind, flags, 0, handle, args, NULL, 0};
    error code = begin(c, 1);
    return code != OK ? code : finish(c, submit(c, &request, NULL, 0), value, NULL);
}

/* A request with a payload of at most one transfer, and its answer, which is at most `asked`. */
static error ask_with(client *c, struct request request, const void *bytes, uint32_t len, uint32_t asked,
                      uint64_t *value) {
    struct chain payload;
    error code = begin(c, 1);
    if (code != OK) return code;
    if (len > 0 && len <= c->request_room) {
        memset(&payload, 0, sizeof payload);
        request.bytes = bytes;
        request.len = len;
        request.args = (uint64_t)len << 32 | IS_INLINE;
    } else {
        if ((code = allocate(c, len, &payload)) != OK) return code;
        copy_to(c, &payload, bytes);
        request.args = slice_of(&payload);
    }
    return finish(c, submit(c, &request, &payload, asked), value, NULL);
}

static size_t max_transfer(const struct blocks *blocks) {
    uint32_t entries = blocks->bytes / 4, count = blocks->count;
    uint32_t lists = count < 3 ? count - 1 : div_up(count - 1, entries);
    uint64_t len = (uint64_t)(count - lists) * blocks->bytes;
    return len < UINT32_MAX ? (size_t)len : UINT32_MAX;
}

size_t streamtable_max_read(const streamtable_client *c) { return c ? max_transfer(&c->theirs) : 0; }

size_t streamtable_max_write(const streamtable_client *c) { return c ? max_transfer(&c->own) : 0; }

size_t streamtable_max_post(const streamtable_client *c) { return c ? c->request_room : 0; }

/* Objects */

static error ask_named(client *c, uint32_t kind, uint32_t flags, const char *name, uint32_t asked, uint32_t *result) {
    struct request request = {kind, flags, 0, 0, 0, NULL, 0};
    uint64_t value;
    if (!c || !name || !result) return STREAMTABLE_ERROR_ARGUMENT;
    size_t len = strlen(name);
    if (len > streamtable_max_write(c)) return STREAMTABLE_ERROR_TOO_LONG;
    error code = ask_with(c, request, name, (uint32_t)len, asked, &value);
    if (code == OK) *result = (uint32_t)value;
    return code;
}

error streamtable_open(streamtable_client *c, const char *name, streamtable_handle *handle) {
    return ask_named(c, OPEN, 0, name, UINT32_MAX, handle);
}

error streamtable_create(streamtable_client *c, const char *name, streamtable_handle *handle) {
    return ask_named(c, CREATE, 0, name, UINT32_MAX, handle);
}

error streamtable_create_or_replace(streamtable_client *c, const char *name, streamtable_handle *handle) {
    return ask_named(c, CREATE, META, name, UINT32_MAX, handle);
}

error streamtable_destroy(streamtable_client *c, const char *name) {
    uint32_t zero;
    return ask_named(c, DESTROY, 0, name, 0, &zero);
}

/* Sends a request that has no answer. */
static error tell(client *c, const struct request *request) {
    error code = begin(c, 0);
    if (code == OK) push(c, request);
    return code;
}

error streamtable_close(streamtable_client *c, streamtable_handle handle) {
    struct request request = {CLOSE, 0, 0, handle, 0, NULL, 0};
    return c ? tell(c, &request) : STREAMTABLE_ERROR_ARGUMENT;
}

/* Reads bytes of an answer: in `chain`, or if that has no blocks in the client's own. */
static error read_chain(client *c, uint32_t handle, size_t len, struct chain *chain) {
    uint32_t most = min32(len, (uint32_t)streamtable_max_read(c));
    struct request request = {READ, DATA | ADVANCE, 0, handle, most, NULL, 0};
    uint64_t value;
    error code = begin(c, 1);
    return code != OK ? code : finish(c, submit(c, &request, NULL, most), &value, chain);
}

/* Copies a chain, or the bytes that came in an entry, and gives the blocks back. */
static error take_bytes(client *c, struct chain *chain, const uint8_t *inline_bytes, void *bytes, size_t *got) {
    size_t len = chain->len;
    if (chain->total > 0)
        copy_from(c, chain, bytes);
    else if (len > 0)
        memcpy(bytes, inline_bytes, len);
    error code = release(c, chain);
    if (code == OK) *got = len;
    return code;
}

error streamtable_read(streamtable_client *c, streamtable_handle handle, void *bytes, size_t len, size_t *got) {
    struct chain chain;
    if (!c || (!bytes && len > 0) || !got) return STREAMTABLE_ERROR_ARGUMENT;
    error code = read_chain(c, handle, len, &chain);
    return code != OK ? code : take_bytes(c, &chain, c->inline_bytes, bytes, got);
}

static error write_bytes(client *c, uint32_t flags, uint32_t handle, const void *bytes, size_t len, size_t *taken) {
    struct request request = {WRITE, flags, 0, handle, 0, NULL, 0};
    uint32_t now = min32(len, (uint32_t)streamtable_max_write(c));
    uint64_t value;
    error code = ask_with(c, request, bytes, now, now, &value);
    if (code == OK && taken) *taken = (size_t)value;
    return code;
}

error streamtable_write(streamtable_client *c, streamtable_handle handle, const void *bytes, size_t len,
                        size_t *taken) {
    if (!c || (!bytes && len > 0) || !taken) return STREAMTABLE_ERROR_ARGUMENT;
    return write_bytes(c, DATA | ADVANCE, handle, bytes, len, taken);
}

error streamtable_write_meta(streamtable_client *c, streamtable_handle handle, const void *bytes, size_t len,
                             size_t *taken) {
    if (!c || (!bytes && len > 0)) return STREAMTABLE_ERROR_ARGUMENT;
    if (len > streamtable_max_write(c)) return STREAMTABLE_ERROR_TOO_LONG;
    return write_bytes(c, META, handle, bytes, len, taken);
}

error streamtable_publish(streamtable_client *c, streamtable_handle handle, unsigned int how) {
    static const char *const words[] = {"publish", "publish replace", "publish sync", "publish replace sync"};
    if (how > 3) return STREAMTABLE_ERROR_ARGUMENT;
    return streamtable_write_meta(c, handle, words[how], strlen(words[how]), NULL);
}

error streamtable_discard(streamtable_client *c, streamtable_handle handle) {
    return streamtable_write_meta(c, handle, "discard", strlen("discard"), NULL);
}

error streamtable_seek(streamtable_client *c, streamtable_handle handle, int64_t distance, streamtable_from from,
                       uint64_t *position) {
    uint64_t value;
    if (!c || (unsigned)from > STREAMTABLE_FROM_END) return STREAMTABLE_ERROR_ARGUMENT;
    error code = ask(c, SEEK_START + (uint32_t)from, 0, handle, (uint64_t)distance, &value);
    if (code == OK && position) *position = value;
    return code;
}

/* Without a copy */

/* A loan of a chain, or of bytes of its own if that has no blocks. The chain is the loan's from here on. */
static streamtable_loan *lend(client *c, struct chain *chain, const struct blocks *blocks, bool is_lease) {
    bool is_inline = chain->total == 0;
    size_t parts = is_inline ? 1 : chain->data;
    streamtable_loan *loan = malloc(sizeof *loan + parts * sizeof *loan->parts + (is_inline ? chain->len : 0));
    if (!loan) return NULL;
    loan->chain = *chain;
    loan->len = chain->len;
    loan->is_lease = is_lease;
    loan->is_inline = is_inline;
    loan->parts = (streamtable_part *)(loan + 1);
    loan->count = 0;
    if (is_inline) {
        loan->parts->bytes = loan->parts + 1;
        loan->parts->len = chain->len;
        loan->count = chain->len > 0;
    } else {
        uint32_t at = 0, left = chain->len;
        while (next_run(blocks, chain, &at, &left, &loan->parts[loan->count])) loan->count++;
    }
    loan->next = c->loans;
    c->loans = loan;
    return loan;
}

/* Takes a loan out of the client's; false if it is none of them. */
static bool take_back(client *c, streamtable_loan *loan) {
    for (streamtable_loan **at = &c->loans; *at; at = &(*at)->next) {
        if (*at != loan) continue;
        *at = loan->next;
        return true;
    }
    return false;
}

error streamtable_read_in_place(streamtable_client *c, streamtable_handle handle, size_t len, streamtable_loan **loan) {
    struct chain chain;
    if (!c || !loan) return STREAMTABLE_ERROR_ARGUMENT;
    error code = read_chain(c, handle, len, &chain);
    if (code != OK) return code;
    streamtable_loan *made = lend(c, &chain, &c->theirs, false);
    if (!made) {
        code = release(c, &chain);
        return code != OK ? code : STREAMTABLE_ERROR_MEMORY;
    }
    if (made->is_inline && made->len > 0) memcpy(made->parts->bytes, c->inline_bytes, made->len);
    *loan = made;
    return OK;
}

error streamtable_lease(streamtable_client *c, size_t len, streamtable_loan **loan) {
    struct chain chain;
    if (!c || !loan) return STREAMTABLE_ERROR_ARGUMENT;
    if (c->over != OK) return c->over;
    if (len > streamtable_max_write(c)) return STREAMTABLE_ERROR_TOO_LONG;
    error code = OK;
    if (len <= c->request_room) {
        memset(&chain, 0, sizeof chain);
        chain.len = (uint32_t)len;
    } else {
        code = allocate(c, (uint32_t)len, &chain);
    }
    if (code != OK) return code;
    *loan = lend(c, &chain, &c->own, true);
    if (*loan) return OK;
    code = give_blocks(c, &chain);
    return code != OK ? code : STREAMTABLE_ERROR_MEMORY;
}

error streamtable_write_in_place(streamtable_client *c, streamtable_handle handle, streamtable_loan *loan,
                                 size_t *taken) {
    struct request request = {WRITE, DATA | ADVANCE, 0, handle, 0, NULL, 0};
    uint64_t value = 0;
    if (!c || !loan || !taken) return STREAMTABLE_ERROR_ARGUMENT;
    if (!take_back(c, loan)) return STREAMTABLE_ERROR_NOT_LENT;
    if (!loan->is_lease) {
        loan->next = c->loans;
        c->loans = loan;
        return STREAMTABLE_ERROR_NOT_LENT;
    }
    uint32_t len = loan->len;
    error code = begin(c, 1);
    if (code != OK) {
        give_blocks(c, &loan->chain);
    } else {
        struct chain payload = loan->chain;
        request.args = slice_of(&payload);
        if (loan->is_inline && len > 0) {
            request.bytes = loan->parts->bytes;
            request.len = len;
            request.args = (uint64_t)len << 32 | IS_INLINE;
        }
        code = finish(c, submit(c, &request, &payload, len), &value, NULL);
    }
    free(loan);
    if (code == OK) *taken = (size_t)value;
    return code;
}

const streamtable_part *streamtable_parts(const streamtable_loan *loan, size_t *count) {
    if (count) *count = loan ? loan->count : 0;
    return loan ? loan->parts : NULL;
}

size_t streamtable_loan_len(const streamtable_loan *loan) { return loan ? loan->len : 0; }

error streamtable_release(streamtable_client *c, streamtable_loan *loan) {
    if (!c) return STREAMTABLE_ERROR_ARGUMENT;
    if (!loan) return OK;
    if (!take_back(c, loan)) return STREAMTABLE_ERROR_NOT_LENT;
    error code = loan->is_lease ? give_blocks(c, &loan->chain) : release(c, &loan->chain);
    free(loan);
    return c->over != OK ? c->over : code;
}

void streamtable_disconnect(streamtable_client *c) {
    /* From a shared list they would be missing until all clients are gone; once the table has hung up it may be another
     * list, with all blocks on it. */
    bool gives_back =
        c && c->over == OK && c->geometry.is_shared && c->process == getpid() && !has_hung_up(c);
    while (gives_back && c->loans && c->over == OK) streamtable_release(c, c->loans);
    for (streamtable_stream *stream = gives_back ? c->streams : NULL; stream; stream = stream->next)
        release_waiting(c, stream);
    free_client(c);
}

/* Maps an object that came, as it was asked for. */
static error map_object(const uint8_t *parcel, int descriptor, uint64_t asked_start, uint64_t asked_len,
                        bool is_writable, streamtable_object *object) {
    uint64_t start = get64(parcel + 24), len = get64(parcel + 32), whole = get64(parcel + 40);
    uint32_t may_write = get32(parcel + 48), sealing = get32(parcel + 52);
    bool is_inside =
        start == asked_start && start <= whole && len <= whole - start && (asked_len == 0 || len == asked_len);
    if (!is_inside || len == 0 || len % PAGE != 0 || len > SIZE_MAX / 2 || (is_writable && may_write != 1))
        return STREAMTABLE_ERROR_OBJECT;
    if (sealing < 1 || sealing > 2 || !is_sealed(descriptor, whole, sealing == 2)) return STREAMTABLE_ERROR_OBJECT;
    uint8_t *at = map(descriptor, start, (size_t)len, is_writable);
    if (!at) return STREAMTABLE_ERROR_SYSTEM;
    object->bytes = at;
    object->len = (size_t)len;
    object->is_writable = is_writable;
    return OK;
}

error streamtable_share(streamtable_client *c, streamtable_handle handle, uint64_t start, uint64_t len,
                        bool is_writable, streamtable_object *object) {
    uint64_t value, pages = len / PAGE, first = start / PAGE;
    if (!c || !object) return STREAMTABLE_ERROR_ARGUMENT;
    if (start % PAGE != 0 || len % PAGE != 0 || first >= UINT64_C(1) << 31 || pages > UINT32_MAX)
        return STREAMTABLE_ERROR_UNALIGNED;
    error code = ask(c, SHARE, 0, handle, (uint64_t)is_writable | first << 1 | pages << 32, &value);
    if (code == OK) code = map_object(c->parcel.bytes, c->parcel.descriptors[0], start, len, is_writable, object);
    drop(&c->parcel);
    return code;
}

void streamtable_unshare(streamtable_object *object) {
    if (!object) return;
    unmap(object->bytes, object->len);
    memset(object, 0, sizeof *object);
}

/* Short messages */

error streamtable_post(streamtable_client *c, streamtable_handle handle, const void *bytes, size_t len) {
    struct request request = {WRITE, DATA | ADVANCE, 0, handle, (uint64_t)len << 32 | IS_INLINE, bytes, (uint32_t)len};
    if (!c || !bytes || len == 0) return STREAMTABLE_ERROR_ARGUMENT;
    if (c->over != OK) return c->over;
    return len > c->request_room ? STREAMTABLE_ERROR_TOO_LONG : tell(c, &request);
}

error streamtable_stream_open(streamtable_client *c, streamtable_handle handle, uint32_t most, uint32_t credits,
                              streamtable_stream **made) {
    struct request request = {STREAM, DATA | ADVANCE, 0, handle, (uint64_t)credits << 32 | most, NULL, 0};
    if (!c || !made || credits < 1 || credits >= c->geometry.capacity) return STREAMTABLE_ERROR_ARGUMENT;
    size_t places = (size_t)credits + 1;
    streamtable_stream *stream = calloc(1, sizeof *stream + places * (sizeof *stream->chains + c->response_room));
    if (!stream) return STREAMTABLE_ERROR_MEMORY;
    stream->most = most;
    stream->credits = credits;
    stream->chains = (struct chain *)(stream + 1);
    stream->inlines = (uint8_t *)(stream->chains + places);
    error code = begin(c, credits + 1);
    if (code != OK) {
        free(stream);
        return code;
    }
    c->credits += credits;
    stream->next = c->streams;
    c->streams = stream;
    c->slots[c->free_slots[c->free_slot_count - 1]].stream = stream;
    stream->slot = (uint32_t)(submit(c, &request, NULL, most) - c->slots);
    stream->number = request.number;
    *made = stream;
    return OK;
}

static bool is_own_stream(const client *c, const streamtable_stream *stream) {
    const streamtable_stream *at = c->streams;
    while (at && at != stream) at = at->next;
    return at != NULL;
}

/* Gives credits back once half of them are used, if there is room for that; else while the next one is waited for. */
static error give_credits(client *c, streamtable_stream *stream) {
    struct request request = {CREDIT, 0, stream->number, 0, stream->taken, NULL, 0};
    bool has;
    if (stream->is_over || stream->taken < div_up(stream->credits, 2)) return OK;
    error code = has_room(c, REQUEST_HEAD, c->request_tail, &c->request_head, &has);
    if (code != OK || !has) return code;
    push(c, &request);
    stream->used -= stream->taken;
    stream->taken = 0;
    return OK;
}

static error has_message(client *c, void *what, bool *is_there) {
    streamtable_stream *stream = what;
    *is_there = stream->waiting > 0 || stream->is_over;
    return *is_there ? OK : give_credits(c, stream);
}

error streamtable_next(streamtable_client *c, streamtable_stream *stream, void *bytes, size_t len, size_t *got) {
    if (!c || !stream || !got) return STREAMTABLE_ERROR_ARGUMENT;
    if (c->over != OK) return c->over;
    if (!is_own_stream(c, stream)) return STREAMTABLE_ERROR_NOT_LENT;
    if (len < stream->most || (!bytes && len > 0)) return STREAMTABLE_ERROR_ARGUMENT;
    error code = wait_until(c, has_message, stream);
    if (code != OK) return code;
    if (stream->waiting == 0) return stream->code;
    uint32_t at = stream->first;
    stream->first = (at + 1) % (stream->credits + 1);
    stream->waiting--;
    stream->taken++;
    code = take_bytes(c, &stream->chains[at], stream->inlines + (size_t)at * c->response_room, bytes, got);
    return code != OK ? code : give_credits(c, stream);
}

error streamtable_stream_close(streamtable_client *c, streamtable_stream *stream) {
    if (!c) return STREAMTABLE_ERROR_ARGUMENT;
    if (!stream) return OK;
    if (!is_own_stream(c, stream)) return STREAMTABLE_ERROR_NOT_LENT;
    error code = c->over;
    if (code == OK && !stream->is_over) code = begin(c, 0);
    if (code == OK && !stream->is_over) {
        /* No credits ask for the last response. */
        struct request request = {CREDIT, 0, stream->number, 0, 0, NULL, 0};
        push(c, &request);
    }
    if (stream->waiting > 0) code = release_waiting(c, stream);
    if (stream->is_over || c->over != OK)
        drop_stream(c, stream);
    else
        c->slots[stream->slot].state = ABANDONED;
    return code;
}

/* Errors */

struct text {
    error code;
    const char *name, *message;
};

#define TEXT(name, message)                                                                                            \
    { STREAMTABLE_##name, "STREAMTABLE_" #name, message }
#define BROKEN ": the server breaks the protocol, the session is over; connect again, and do not trust it more"

static const struct text texts[] = {
    TEXT(OK, "done"),
    TEXT(ERROR_UNSUPPORTED, "the table does not do that: nothing was changed; ask for what it documents"),
    TEXT(ERROR_NOT_FOUND, "there is no object of that name: nothing was opened; check the name, or create it"),
    TEXT(ERROR_EXISTS, "there is an object of that name already: nothing was created; open it, or destroy it first"),
    TEXT(ERROR_BAD_NAME, "the name is not one that the table serves: nothing was done; use a plain relative name"),
    TEXT(ERROR_WRONG_HANDLE, "the handle is not, or no longer, open: nothing was done; open the object again"),
    TEXT(ERROR_TABLE_FULL, "the table has no room for another object: nothing was opened; close one first"),
    TEXT(ERROR_OUT_OF_BLOCKS,
         "the table has no free blocks for this client: nothing was done; release loans, or ask for less at "
         "once"),
    TEXT(ERROR_TOO_LARGE,
         "more bytes than the table, or the object, can take: nothing was done; ask for less at once, or make "
         "the object shorter"),
    TEXT(ERROR_UNALIGNED,
         "the part does not lie on pages of the object: nothing was shared; align its start and length to "
         "4096"),
    TEXT(ERROR_DENIED, "the table does not allow that: nothing was done; ask its operator"),
    TEXT(ERROR_IO, "the object could not be read or written: what was done is unknown; look at the table's side"),
    TEXT(ERROR_BAD_POSITION, "a position before the start: the handle stays where it was; seek to 0 or beyond"),
    TEXT(ERROR_BUSY, "another program holds the object: nothing was opened; try again later"),
    TEXT(ERROR_NO_SPACE,
         "there is no room for the bytes where the table keeps them: they are not there as a whole; make room"),
    TEXT(ERROR_UNNAMED,
         "the table refused, and did not say why: nothing is known of what was done; look at the table's side"),
    TEXT(ERROR_ARGUMENT, "a null pointer, or a number that is not allowed: nothing was done; see the header"),
    TEXT(ERROR_MEMORY,
         "this process has not enough memory: nothing was done; free some, or ask the server for fewer blocks"),
    TEXT(ERROR_SYSTEM,
         "the system refused, errno says why: nothing was done; check the address, whether the server runs, "
         "and this process's limits"),
    TEXT(ERROR_TIMEOUT,
         "no answer within the limit: it is dropped should it come; see whether the server is stuck, or allow "
         "more time"),
    TEXT(ERROR_FULL, "as many requests are under way as the ring holds: nothing was sent; see whether the server is "
                     "stuck, or allow more time"),
    TEXT(ERROR_NO_BLOCKS,
         "no free blocks for so many bytes: nothing was sent; send or release leases, or ask the server for "
         "more blocks"),
    TEXT(ERROR_TOO_LONG, "more bytes than one transfer or message can have: nothing was sent; divide them"),
    TEXT(ERROR_NOT_LENT,
         "a loan or a stream that is not this client's, or was ended before: nothing was done; use each with "
         "its client, once"),
    TEXT(ERROR_OBJECT, "the memory of the object is not sealed, or not what was asked for: it was not mapped; have the "
                       "table share a sealed region"),
    TEXT(ERROR_ENDED, "the stream has ended: there are no more messages; close it"),
    TEXT(ERROR_ADDRESS,
         "not an address: no table can be there; write @name, or a path with a slash, of at most 107 bytes"),
    TEXT(ERROR_NOT_A_TABLE,
         "what answers there is not a table: there is no connection; connect to the address that a table's "
         "server was given"),
    TEXT(ERROR_VERSION,
         "the other side speaks another version of the protocol: there is no connection; build both from the "
         "same version"),
    TEXT(ERROR_SERVER_FULL, "the server has as many clients as it takes: there is no connection; try again later"),
    TEXT(ERROR_REFUSED,
         "the server refused what it was sent: there is no connection; build both from the same version"),
    TEXT(ERROR_SERVER_SHORT,
         "the server is short of memory or descriptors: there is no connection; see what it says, try again "
         "later"),
    TEXT(ERROR_OTHER_USER,
         "the server takes clients of its own user only: there is no connection; run as that user, or have "
         "the server take others"),
    TEXT(ERROR_LATE, "the server gave up waiting for this side: there is no connection; try again"),
    TEXT(ERROR_GEOMETRY,
         "the server offers numbers that no session can have, or that are beyond this side's limits: there is "
         "no connection; see its settings"),
    TEXT(ERROR_REGION, "the server passed a region that is not sealed or not as long as it must be: it was not mapped, "
                       "there is no connection; do not trust that server"),
    TEXT(ERROR_GONE, "the other side hung up: the session is over and what was under way is lost; connect again"),
    TEXT(ERROR_BAD_MESSAGE, "a message on the socket that does not belong there" BROKEN),
    TEXT(ERROR_BAD_HEAD, "a ring's head where it cannot be" BROKEN),
    TEXT(ERROR_NO_SUCH_REQUEST, "a response to a request that is not waiting for one" BROKEN),
    TEXT(ERROR_MORE_THAN_ASKED, "a response with more than was asked for" BROKEN),
    TEXT(ERROR_BAD_LENGTH, "more bytes than the region or the entry holds" BROKEN),
    TEXT(ERROR_BAD_BLOCK, "a block beyond the region" BROKEN),
    TEXT(ERROR_BLOCK_TWICE, "a block in use twice" BROKEN),
    TEXT(ERROR_NO_OBJECT, "the memory of an object was promised and did not come" BROKEN),
    TEXT(ERROR_BAD_LIST, "a list of free blocks that changed under every attempt to use it" BROKEN),
    TEXT(ERROR_NO_CREDIT, "more messages of a stream than it had credits for" BROKEN),
};

static const struct text *text_of(error code) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].code == code) return &texts[i];
    return NULL;
}

const char *streamtable_version(void) { return STREAMTABLE_VERSION; }

const char *streamtable_error_name(error code) {
    const struct text *text = text_of(code);
    return text ? text->name : "no streamtable_error";
}

const char *streamtable_message(error code) {
    const struct text *text = text_of(code);
    if (text) return text->message;
    return (unsigned)code < STREAMTABLE_ERROR_UNNAMED
               ? "an error of the table's own: nothing more is known here; see its documentation"
               : "not an error of this library: nothing is known of it";
}
