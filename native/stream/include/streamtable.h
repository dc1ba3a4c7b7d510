/*
 * StreamTable for C and C++: a client of tables that other processes serve over shared memory.
 *
 *     #include <streamtable.h>
 *
 *     streamtable_client *client;
 *     streamtable_handle file;
 *     char text[100];
 *     size_t got;
 *     streamtable_error error = streamtable_connect("@memcpy-select-files", NULL, &client);
 *     if (!error) error = streamtable_open(client, "hello.txt", &file);
 *     if (!error) error = streamtable_read(client, file, text, sizeof text, &got);
 *     if (error) fprintf(stderr, "%s\n", streamtable_message(error));
 *     streamtable_disconnect(client);
 *
 *     cc program.c $(pkg-config --cflags --libs streamtable)
 *
 * A table has objects by name, which a client opens, reads and writes. What they are is the table's to say: those of
 * streamtable-server are files. Requests and answers are entries of rings, bytes are in blocks that both sides map; a
 * request makes no system call while both sides are awake. src/transport/PROTOCOL.md has every byte of it.
 *
 * The other side may be hostile: it may write anything to what it can write, at any time, and end at any instruction.
 * Regions are mapped only once their seals keep them from being truncated, each number is copied out once and checked,
 * every walk and every wait is bounded. A server that breaks the protocol ends its own session: the call returns which
 * rule it broke, and so do all later ones. With a table whose allocator is "shared" both sides write all blocks; the
 * client is as safe there, the bytes are not.
 *
 * Waiting. Each call ends at the limit of its client, five seconds unless it is changed. A request that was not
 * answered in time is given up, its answer is dropped when it comes, and the session goes on. A handle that comes so is
 * closed with the next request, and what was created with it is discarded. The end of the server is noticed at its
 * hang-up, or at the limit if a process that it forked still holds the socket.
 *
 * Threads. There is no global state: clients are independent of each other. One client is for one thread at a time.
 * Signals and fork. A client is neither for signal handlers nor for both processes after a fork: the one that did not
 * make it may disconnect, which changes nothing for the other one.
 *
 * Errors. A call that can fail returns a streamtable_error and leaves everything as it was unless it says otherwise.
 * Where that is STREAMTABLE_ERROR_SYSTEM, errno says what the system said. Results go where the last arguments point
 * to, and are written only if the call succeeds. Null pointers, except where they are allowed, are refused.
 */

#ifndef STREAMTABLE_H
#define STREAMTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. */
#define STREAMTABLE_VERSION "0.1.0"

/* The version of the protocol. */
#define STREAMTABLE_PROTOCOL_VERSION 4

/* What became of a call. */
typedef enum streamtable_error {
    /* Done. */
    STREAMTABLE_OK = 0,

    /* 1 to 4095: the table refused. The session goes on. A table may have numbers of its own. */

    /* The table does not do that. */
    STREAMTABLE_ERROR_UNSUPPORTED = 1,
    /* There is no object of that name. */
    STREAMTABLE_ERROR_NOT_FOUND = 2,
    /* There is an object of that name already. */
    STREAMTABLE_ERROR_EXISTS = 3,
    /* The name is none, or leads where it must not. */
    STREAMTABLE_ERROR_BAD_NAME = 4,
    /* The handle is not, or no longer, one of this client's. */
    STREAMTABLE_ERROR_WRONG_HANDLE = 5,
    /* The table has no room for another object. */
    STREAMTABLE_ERROR_TABLE_FULL = 6,
    /* The table has no free blocks for this client: it has to release loans first. */
    STREAMTABLE_ERROR_OUT_OF_BLOCKS = 7,
    /* More bytes than the object, or the table's memory, can hold. */
    STREAMTABLE_ERROR_TOO_LARGE = 8,
    /* A part that does not begin and end on pages of the object. */
    STREAMTABLE_ERROR_UNALIGNED = 9,
    /* Not allowed to this client. */
    STREAMTABLE_ERROR_DENIED = 10,
    /* The object's own reading or writing failed. */
    STREAMTABLE_ERROR_IO = 11,
    /* A position before the start, or one that does not fit. */
    STREAMTABLE_ERROR_BAD_POSITION = 12,
    /* Another program holds the object. */
    STREAMTABLE_ERROR_BUSY = 13,
    /* There is no room for the bytes. */
    STREAMTABLE_ERROR_NO_SPACE = 14,

    /* 4096 and up: this side's own. The session goes on. */

    /* The table refused, and did not say why. */
    STREAMTABLE_ERROR_UNNAMED = 4096,
    /* A pointer that must not be null is, or a number is none of those that are allowed. Nothing was done. */
    STREAMTABLE_ERROR_ARGUMENT = 4097,
    /* There is not enough memory in this process. */
    STREAMTABLE_ERROR_MEMORY = 4098,
    /* The system refused; errno says why. */
    STREAMTABLE_ERROR_SYSTEM = 4099,
    /* No answer within the limit. */
    STREAMTABLE_ERROR_TIMEOUT = 4100,
    /* As many requests are under way as the ring holds, and none ended within the limit. Nothing was sent. */
    STREAMTABLE_ERROR_FULL = 4101,
    /* This side has no free blocks for so many bytes. Nothing was sent. */
    STREAMTABLE_ERROR_NO_BLOCKS = 4102,
    /* More bytes than one transfer, or one entry, can have. Nothing was sent. */
    STREAMTABLE_ERROR_TOO_LONG = 4103,
    /* A loan or a stream that is not, or no longer, one of this client's. */
    STREAMTABLE_ERROR_NOT_LENT = 4104,
    /* The memory of an object came that cannot be mapped safely, or not as asked for. */
    STREAMTABLE_ERROR_OBJECT = 4105,
    /* The stream has ended; there are no more messages. */
    STREAMTABLE_ERROR_ENDED = 4106,

    /* 4352 and up: there is no session. */

    /* Not an address: write @name, or a path with a slash. */
    STREAMTABLE_ERROR_ADDRESS = 4352,
    /* What answers is not a table. */
    STREAMTABLE_ERROR_NOT_A_TABLE = 4353,
    /* The other side speaks another version of the protocol. */
    STREAMTABLE_ERROR_VERSION = 4354,
    /* The server has as many clients as it takes. */
    STREAMTABLE_ERROR_SERVER_FULL = 4355,
    /* The server refused what it was sent. */
    STREAMTABLE_ERROR_REFUSED = 4356,
    /* The server is short of memory or descriptors. */
    STREAMTABLE_ERROR_SERVER_SHORT = 4357,
    /* The server takes clients of its own user only. */
    STREAMTABLE_ERROR_OTHER_USER = 4358,
    /* The server gave up waiting for this side. */
    STREAMTABLE_ERROR_LATE = 4359,
    /* Numbers that no session can have, or that are beyond this side's limits. */
    STREAMTABLE_ERROR_GEOMETRY = 4360,
    /* A region that is not sealed, or not as long, as the protocol asks for. It was not mapped. */
    STREAMTABLE_ERROR_REGION = 4361,
    /* The other side hung up. */
    STREAMTABLE_ERROR_GONE = 4362,

    /* 4608 and up: the server broke the protocol. The session is over. */

    /* A message on the socket that does not belong there, or has other descriptors than belong to it. */
    STREAMTABLE_ERROR_BAD_MESSAGE = 4608,
    /* A head beyond what was written, or one that goes back. */
    STREAMTABLE_ERROR_BAD_HEAD = 4609,
    /* A response to a request that is not waiting for one. */
    STREAMTABLE_ERROR_NO_SUCH_REQUEST = 4610,
    /* A response with more than was asked for. */
    STREAMTABLE_ERROR_MORE_THAN_ASKED = 4611,
    /* More bytes than the region, or the entry, holds. */
    STREAMTABLE_ERROR_BAD_LENGTH = 4612,
    /* A block beyond the region. */
    STREAMTABLE_ERROR_BAD_BLOCK = 4613,
    /* A block in use already: named twice, or in a chain that bites its tail. */
    STREAMTABLE_ERROR_BLOCK_TWICE = 4614,
    /* The memory of an object was promised and did not come. */
    STREAMTABLE_ERROR_NO_OBJECT = 4615,
    /* A list of free blocks that changes under every attempt to use it. */
    STREAMTABLE_ERROR_BAD_LIST = 4616,
    /* More messages of a stream than it had credits for. */
    STREAMTABLE_ERROR_NO_CREDIT = 4617
} streamtable_error;

/* How a client waits for an answer. */
typedef enum streamtable_waiting {
    /* Looks for a moment, then sleeps on a word of shared memory. */
    STREAMTABLE_WAITING_ADAPTIVE = 0,
    /* Sleeps at once. */
    STREAMTABLE_WAITING_SLEEP = 1,
    /* Looks for a moment, then waits for its socket. */
    STREAMTABLE_WAITING_SOCKET = 2,
    /* Looks all the time: the quickest where it has a processor to itself. */
    STREAMTABLE_WAITING_POLL = 3
} streamtable_waiting;

/* From where a position counts. */
typedef enum streamtable_from {
    STREAMTABLE_FROM_START = 0,
    STREAMTABLE_FROM_CURRENT = 1,
    STREAMTABLE_FROM_END = 2
} streamtable_from;

/* How to publish: 0, or some of these. */
enum {
    /* In the place of an object that has the name. */
    STREAMTABLE_PUBLISH_REPLACE = 1,
    /* On the disk before it is answered. */
    STREAMTABLE_PUBLISH_SYNC = 2
};

/* How to connect, and how to wait. All zeros are the defaults. */
typedef struct streamtable_options {
    /* The longest that connecting and each later call may wait, in milliseconds; 0: 5000. */
    uint32_t limit_ms;
    /* How it waits. */
    streamtable_waiting waiting;
    /* The most bytes of blocks that it maps for each side; 0: 16 GiB. What is not used takes no memory. */
    uint64_t max_data_bytes;
} streamtable_options;

/* A connection to a table. */
typedef struct streamtable_client streamtable_client;

/* An open object, by the table's number for it. */
typedef uint32_t streamtable_handle;

/* Bytes that are used where they are: those of an answer, or blocks to be filled and sent. */
typedef struct streamtable_loan streamtable_loan;

/* A read that is answered with many messages. */
typedef struct streamtable_stream streamtable_stream;

/* Some of the bytes of a loan. */
typedef struct streamtable_part {
    void *bytes;
    size_t len;
} streamtable_part;

/* The memory of an object, mapped. */
typedef struct streamtable_object {
    void *bytes;
    size_t len;
    /* Whether it may be written. */
    bool is_writable;
} streamtable_object;

/* The version of the library that is linked: STREAMTABLE_VERSION, if it is the header's. */
const char *streamtable_version(void);

/* The name of an error, as it stands above; "no streamtable_error" for a number that has none. Never NULL. */
const char *streamtable_error_name(streamtable_error error);

/* What an error means, and what to do: cause, effect, fix. Never NULL. */
const char *streamtable_message(streamtable_error error);

/* Connecting. */

/*
 * Connects to the table at an address: @name in the abstract namespace, or the path of a socket, with a slash.
 * `options` may be NULL. If it fails, `client` is NULL.
 *
 * ARGUMENT, MEMORY, SYSTEM, TIMEOUT, and those of the two last groups above.
 */
streamtable_error streamtable_connect(const char *address, const streamtable_options *options,
                                      streamtable_client **client);

/*
 * The same over a connected stream socket that this process was given, such as one end of a socket pair. The socket
 * is the client's from here on, and is closed if the call fails.
 *
 * As streamtable_connect.
 */
streamtable_error streamtable_connect_over(int socket, const streamtable_options *options, streamtable_client **client);

/* Ends the session and frees all that belongs to it: loans, streams, handles. Does nothing for NULL. */
void streamtable_disconnect(streamtable_client *client);

/* Why the session is over; OK if it is not. ARGUMENT for NULL. */
streamtable_error streamtable_over(const streamtable_client *client);

/* Changes the limit of every later call, in milliseconds; 0: 5000. */
void streamtable_set_limit(streamtable_client *client, uint32_t limit_ms);

/* Objects. Each call waits for the answer unless it says otherwise; it may return any error above. */

/* Opens an object. */
streamtable_error streamtable_open(streamtable_client *client, const char *name, streamtable_handle *handle);

/* Makes an object, and opens it. */
streamtable_error streamtable_create(streamtable_client *client, const char *name, streamtable_handle *handle);

/*
 * Makes an object, also where there is one of that name, and opens it. When the new one takes the place of the old one
 * is for the table to say.
 */
streamtable_error streamtable_create_or_replace(streamtable_client *client, const char *name,
                                                streamtable_handle *handle);

/* Removes an object. */
streamtable_error streamtable_destroy(streamtable_client *client, const char *name);

/* Ends a handle. There is no answer: a wrong handle is no error. */
streamtable_error streamtable_close(streamtable_client *client, streamtable_handle handle);

/*
 * Copies bytes from where the handle is to `bytes`, and moves it past them. `got` is how many: 0 at the end, and at
 * most streamtable_max_read. As with read(2), there may be fewer than were asked for before the end.
 */
streamtable_error streamtable_read(streamtable_client *client, streamtable_handle handle, void *bytes, size_t len,
                                   size_t *got);

/*
 * Copies bytes to where the handle is, and moves it past them. `taken` is how many, at most streamtable_max_write.
 */
streamtable_error streamtable_write(streamtable_client *client, streamtable_handle handle, const void *bytes,
                                    size_t len, size_t *taken);

/* Moves a handle, and says where it is then. `position` may be NULL. */
streamtable_error streamtable_seek(streamtable_client *client, streamtable_handle handle, int64_t distance,
                                   streamtable_from from, uint64_t *position);

/*
 * Sends what is known about an object, or is to be done with it as a whole, not what is in it. What a table understands
 * is its to say; `taken` may be NULL.
 */
streamtable_error streamtable_write_meta(streamtable_client *client, streamtable_handle handle, const void *bytes,
                                         size_t len, size_t *taken);

/*
 * Gives a file that was created at a streamtable-server its name; `how` is 0 or some of STREAMTABLE_PUBLISH_. After
 * TIMEOUT, IO and GONE it may have been done or not.
 */
streamtable_error streamtable_publish(streamtable_client *client, streamtable_handle handle, unsigned int how);

/* Drops a file that was created at a streamtable-server and has no name yet, and ends the handle. */
streamtable_error streamtable_discard(streamtable_client *client, streamtable_handle handle);

/* The longest transfer to and from here, in bytes; 0 for NULL. */
size_t streamtable_max_read(const streamtable_client *client);
size_t streamtable_max_write(const streamtable_client *client);

/* Without a copy. */

/*
 * As streamtable_read, but leaves the bytes where the server put them. The loan is to be released. A hostile server can
 * change them while they are read: copy first what is to be believed.
 */
streamtable_error streamtable_read_in_place(streamtable_client *client, streamtable_handle handle, size_t len,
                                            streamtable_loan **loan);

/*
 * Blocks for `len` bytes, to be filled and sent. What is in them before is not said.
 *
 * ARGUMENT, MEMORY, NO_BLOCKS, TOO_LONG; what ended the session.
 */
streamtable_error streamtable_lease(streamtable_client *client, size_t len, streamtable_loan **loan);

/* Sends a lease as streamtable_write does. The loan is over, also where this fails, but for ARGUMENT and NOT_LENT. */
streamtable_error streamtable_write_in_place(streamtable_client *client, streamtable_handle handle,
                                             streamtable_loan *loan, size_t *taken);

/* Where the bytes of a loan are, in order, and in `count` how many parts that is: 0 for no bytes. NULL for NULL. */
const streamtable_part *streamtable_parts(const streamtable_loan *loan, size_t *count);

/* How many bytes a loan has; 0 for NULL. */
size_t streamtable_loan_len(const streamtable_loan *loan);

/*
 * Ends a loan: gives the blocks of an answer back, or those of a lease that is not sent. Nothing for a NULL loan.
 *
 * ARGUMENT, NOT_LENT; what ended the session.
 */
streamtable_error streamtable_release(streamtable_client *client, streamtable_loan *loan);

/*
 * Maps the memory of an object: `len` bytes from `start` on, both multiples of 4096, or with a length of 0 all the
 * rest. Memory whose seals do not keep it from being truncated is refused (OBJECT). It stays mapped until
 * streamtable_unshare, also after the session.
 */
streamtable_error streamtable_share(streamtable_client *client, streamtable_handle handle, uint64_t start, uint64_t len,
                                    bool is_writable, streamtable_object *object);

/* Unmaps it. Does nothing for NULL or what was unmapped. */
void streamtable_unshare(streamtable_object *object);

/* Messages. */

/* The most bytes of one message that is posted: the room of a request; 0 if there is none. */
size_t streamtable_max_post(const streamtable_client *client);

/*
 * Writes a message without an answer: nothing says whether it was taken. Waits only for room in the ring.
 *
 * ARGUMENT, TOO_LONG, FULL; what ended the session.
 */
streamtable_error streamtable_post(streamtable_client *client, streamtable_handle handle, const void *bytes,
                                   size_t len);

/*
 * Asks for messages of at most `most` bytes each, of which `credits` may be on their way: from 1 to one less than the
 * ring holds (ARGUMENT), less what other streams have (FULL). Each credit is one request less that can be under way:
 * with all of them there is none, until the stream is closed. Messages come with streamtable_next, and may come while
 * other calls wait.
 */
streamtable_error streamtable_stream_open(streamtable_client *client, streamtable_handle handle, uint32_t most,
                                          uint32_t credits, streamtable_stream **stream);

/*
 * The next message, waiting for it. `len` is at least the stream's `most` (ARGUMENT). ENDED, or what the table says
 * instead, once all messages are taken.
 */
streamtable_error streamtable_next(streamtable_client *client, streamtable_stream *stream, void *bytes, size_t len,
                                   size_t *got);

/* Frees a stream. One that goes on is asked to end, and what still comes of it is dropped. */
streamtable_error streamtable_stream_close(streamtable_client *client, streamtable_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
