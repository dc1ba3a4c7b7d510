/* A server over one end of a socket pair, which keeps to the protocol only as far as it is told to. */

#ifndef SERVER_H
#define SERVER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno));            \
            _exit(3);                                                                                                  \
        }                                                                                                              \
    } while (0)

enum { HELLO = 1, WELCOME, READY, GO, REFUSED, PARCEL, WAKE };
enum { READ, WRITE, OPEN, CLOSE, CREATE, DESTROY, SEEK_START, SEEK_CURRENT, SEEK_FROM_END, SHARE, STREAM, CREDIT };
enum { HAS_OBJECT = 1, HAS_MORE = 2, LAP = 0x80 };
enum { REQUEST_HEAD = 0, RESPONSE_HEAD = 128, RELEASE_HEAD = 256, SERVER_BELL = 384, CLIENT_BELL = 512, REQUESTS = 640 };
enum { BLOCK = 1024, COUNT = 64 };
#define FIRST_ERROR UINT64_C(0xFFFFFFFFFFFFF000)
#define IS_INLINE UINT32_MAX

struct geometry {
    uint32_t capacity, request_stride, response_stride, shared;
};

/* How the list of a shared region begins, and whether its first block is followed by itself. */
static uint32_t list_head;
static bool list_is_cyclic;

struct server {
    struct geometry g;
    int socket, queue_fd, data_fd;
    uint8_t *queue, *data;
    size_t queue_bytes, data_bytes;
    uint32_t request_head, response_tail;
};

struct request {
    uint32_t kind, flags, number, handle;
    uint64_t args;
    uint8_t bytes[512];
};

static inline size_t up(size_t value, size_t to) { return (value + to - 1) / to * to; }

static inline void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }

static inline void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }

static inline _Atomic uint32_t *word(struct server *s, size_t at) {
    return (_Atomic uint32_t *)(void *)(s->queue + at);
}

static inline uint64_t slice(uint32_t block, uint32_t len) { return (uint64_t)len << 32 | block; }

static inline void new_message(uint8_t bytes[64], uint32_t kind) {
    memset(bytes, 0, 64);
    memcpy(bytes, "mcsTable", 8);
    put32(bytes + 8, 4);
    put32(bytes + 12, kind);
}

/* Whether it could be sent at once. */
static inline bool send_with(struct server *s, const uint8_t *bytes, size_t len, const int *fds, int count) {
    union {
        char bytes[CMSG_SPACE(64 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, (size_t)count * sizeof(int));
    }
    return sendmsg(s->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* Receives a message of that kind; its descriptors are closed. */
static inline void expect(struct server *s, uint32_t kind) {
    uint8_t bytes[64];
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    CHECK(recvmsg(s->socket, &message, MSG_CMSG_CLOEXEC) == 64);
    CHECK(memcmp(bytes, "mcsTable", 8) == 0 && bytes[12] == kind);
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        int fd;
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
        close(fd);
    }
}

static inline int sealed(size_t len, int seals) {
    int fd = memfd_create("false server", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)len) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static inline uint8_t *mapped(int fd, size_t len) {
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static inline size_t responses_at(const struct server *s) {
    return up(REQUESTS + (size_t)s->g.capacity * s->g.request_stride, 128);
}

static inline size_t releases_at(const struct server *s) {
    return up(responses_at(s) + (size_t)s->g.capacity * s->g.response_stride, 128);
}

enum { LIST_HEAD = BLOCK * COUNT, LIST_LINKS = LIST_HEAD + 128 };

static inline void make_regions(struct server *s) {
    int size = F_SEAL_SHRINK | F_SEAL_GROW;
    s->queue_bytes = up(releases_at(s) + (size_t)4 * s->g.capacity, 4096);
    s->data_bytes = up(s->g.shared ? LIST_LINKS + 4 * COUNT : BLOCK * COUNT, 4096);
    s->queue_fd = sealed(s->queue_bytes, size);
    s->data_fd = sealed(s->data_bytes, size);
    s->queue = mapped(s->queue_fd, s->queue_bytes);
    s->data = mapped(s->data_fd, s->data_bytes);
    if (!s->g.shared) CHECK(fcntl(s->data_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    for (uint32_t block = 0; s->g.shared && block < COUNT; block++)
        put32(s->data + LIST_LINKS + 4 * block, block + 1 < COUNT ? block + 1 : UINT32_MAX);
    if (s->g.shared) put32(s->data + LIST_HEAD, list_head);
    if (s->g.shared && list_is_cyclic) put32(s->data + LIST_LINKS + 4 * list_head, list_head);
}

static inline void new_welcome(struct server *s, uint8_t bytes[64]) {
    new_message(bytes, WELCOME);
    put32(bytes + 16, s->g.capacity);
    put32(bytes + 20, s->g.request_stride | s->g.response_stride << 16);
    put32(bytes + 24, s->g.shared);
    for (int at = 28; at < 44; at += 8) {
        put32(bytes + at, BLOCK);
        put32(bytes + at + 4, COUNT);
    }
    put64(bytes + 48, s->queue_bytes);
    put64(bytes + 56, s->data_bytes);
}

static inline void send_welcome(struct server *s, const uint8_t bytes[64]) {
    int fds[] = {s->queue_fd, s->data_fd};
    CHECK(send_with(s, bytes, 64, fds, 2));
}

static inline void greet(struct server *s) {
    uint8_t bytes[64];
    make_regions(s);
    expect(s, HELLO);
    new_welcome(s, bytes);
    send_welcome(s, bytes);
    expect(s, READY);
    CHECK(fcntl(s->queue_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);
    new_message(bytes, GO);
    CHECK(send_with(s, bytes, 64, NULL, 0));
}

static inline bool is_left(const struct server *s) {
    struct pollfd one = {s->socket, POLLRDHUP, 0};
    return poll(&one, 1, 0) > 0;
}

static inline void pause_shortly(void) {
    struct timespec some = {0, 100000};
    nanosleep(&some, NULL);
}

/* Waits until the client has left. */
static inline void wait_left(const struct server *s) {
    for (int turn = 0; !is_left(s); turn++) {
        CHECK(turn < 300000);
        pause_shortly();
    }
}

/* The next request; false once the client has left. */
static inline bool next(struct server *s, struct request *request) {
    uint32_t at = s->request_head & (s->g.capacity - 1), lap = s->request_head & s->g.capacity ? 0 : LAP;
    size_t place = REQUESTS + (size_t)at * s->g.request_stride;
    for (int turn = 0;; turn++) {
        if ((atomic_load(word(s, place)) & LAP) == lap) break;
        if (is_left(s)) return false;
        CHECK(turn < 300000);
        pause_shortly();
    }
    uint32_t first = atomic_load(word(s, place));
    request->kind = first & 15;
    request->flags = first & 0x70;
    request->number = first >> 8;
    request->handle = atomic_load(word(s, place + 4));
    request->args = atomic_load(word(s, place + 8)) | (uint64_t)atomic_load(word(s, place + 12)) << 32;
    memcpy(request->bytes, s->queue + place + 16, s->g.request_stride - 16);
    atomic_store(word(s, REQUEST_HEAD), ++s->request_head);
    return true;
}

static inline void wake(struct server *s) {
    uint8_t bytes[64];
    uint32_t how = atomic_exchange(word(s, CLIENT_BELL), 0);
    if (how == 1) syscall(SYS_futex, s->queue + CLIENT_BELL, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    new_message(bytes, WAKE);
    if (how == 2) send_with(s, bytes, 64, NULL, 0);
}

/* Answers with a value, and with bytes in the entry if `len` is not 0. */
static inline void answer_with(struct server *s, uint32_t flags, uint32_t number, uint64_t value, const void *bytes,
                               size_t len) {
    uint32_t at = s->response_tail & (s->g.capacity - 1), lap = s->response_tail & s->g.capacity ? 0 : LAP;
    size_t place = responses_at(s) + (size_t)at * s->g.response_stride;
    if (len > 0) memcpy(s->queue + place + 16, bytes, len);
    atomic_store(word(s, place + 4), (uint32_t)value);
    atomic_store(word(s, place + 8), (uint32_t)(value >> 32));
    atomic_store(word(s, place), flags | number << 8 | lap);
    s->response_tail++;
    atomic_thread_fence(memory_order_seq_cst);
    wake(s);
}

static inline void answer(struct server *s, uint32_t number, uint64_t value) {
    answer_with(s, 0, number, value, NULL, 0);
}

static inline void answer_inline(struct server *s, uint32_t flags, uint32_t number, const void *bytes, uint32_t len) {
    answer_with(s, flags, number, slice(IS_INLINE, len), bytes, len);
}

static inline uint64_t failure(uint32_t code) { return FIRST_ERROR | code; }

#endif
