/*
 * memcpy-select for C and C++: copies by the kernel that is fastest on this CPU.
 *
 *     #include <memcpy_select.h>
 *
 *     memcpy_select_tune(NULL, 0, NULL);      // once, early in main: the best plan for this machine
 *     memcpy_select_memcpy(dst, src, bytes);  // instead of memcpy
 *
 *     cc program.c $(pkg-config --cflags --libs memcpy_select)
 *
 * A plan says which kernel copies which length at which alignment. The copies follow the first of these that there
 * is: the plan that the program puts in force; the profile of this CPU model, made from records of it; formulas over
 * what is known of the CPU. Nothing has to be initialised. Apart from memcpy_select_tune, memcpy_select_calibrate and
 * the calls that name a file, nothing here takes noticeable time, and no call but those that say so reads the
 * environment or a file of a user's.
 *
 * Threads. Every call may be made from any thread at any time; those for the saved plan, and memcpy_select_tune, read
 * the environment, which no other thread may change meanwhile. A memcpy_select_plan is never changed once it is made:
 * threads may share one until one of them frees it.
 *
 * Signals and fork. The first of the copies in a process decides on the plan: it reads what the system says of
 * the caches from /proc and /sys, and allocates. All later ones take no lock, allocate nothing and leave errno alone.
 * A program that copies in a signal handler calls memcpy_select_plan_in_force for that policy before. All other calls
 * may allocate and lock: they are neither for signal handlers nor for the child of a fork of a program with several
 * threads.
 *
 * Strings are UTF-8 and end in NUL; names of files are what the system takes them for. Strings that are returned
 * belong to the library and stay to the end of the program.
 *
 * Texts. A call that has something to say takes three arguments for it: a buffer, its size in bytes, and where the
 * length of the whole text goes, in bytes without the NUL. Buffer and size may be NULL and 0, the length may be NULL.
 * A buffer that is NULL with another size is refused before anything is done.
 * What is put into a buffer always ends in NUL; a text that does not fit is cut at the end of a character, and its
 * length is then not below the size of the buffer. Where the call fails, the text is a message: cause, effect, and
 * what to do. MEMCPY_SELECT_TEXT_BYTES are enough for every text but names of files.
 *
 * Errors. A call that can fail returns a memcpy_select_error, and leaves everything as it was unless it says
 * otherwise; which ones stands at each call, without the prefix. Of several reasons the first one found is told. Null
 * pointers, texts and numbers of any value are refused, and never end the program. What a call cannot see is the
 * caller's: pointers that are neither null nor valid, strings without a NUL, plans that were freed.
 */

#ifndef MEMCPY_SELECT_H
#define MEMCPY_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. */
#define MEMCPY_SELECT_VERSION_MAJOR 0
#define MEMCPY_SELECT_VERSION_MINOR 1
#define MEMCPY_SELECT_VERSION_PATCH 0
#define MEMCPY_SELECT_VERSION "0.1.0"

/* A buffer of this size, in bytes, takes every text but names of files. */
#define MEMCPY_SELECT_TEXT_BYTES 16384

/* What memcpy_select_calibrate usually gets, in milliseconds, and how long memcpy_select_tune measures. */
#define MEMCPY_SELECT_CALIBRATE_MS 300

/* What became of a call. */
typedef enum memcpy_select_error {
    /* Done. */
    MEMCPY_SELECT_OK = 0,
    /* A pointer that must not be null is. */
    MEMCPY_SELECT_ERROR_NULL = 1,
    /* Not a policy. */
    MEMCPY_SELECT_ERROR_POLICY = 2,
    /* A text, or the content of a file, is not UTF-8. */
    MEMCPY_SELECT_ERROR_NOT_UTF8 = 3,
    /* The text that was asked for does not fit into the buffer, which has its beginning. */
    MEMCPY_SELECT_ERROR_TRUNCATED = 4,
    /* There is no such file. */
    MEMCPY_SELECT_ERROR_NOT_FOUND = 5,
    /* The system refused to read or write a file, or it is no regular one; the message says why. */
    MEMCPY_SELECT_ERROR_SYSTEM = 6,
    /* Neither XDG_CACHE_HOME nor HOME has an absolute path: there is no place for a saved plan. */
    MEMCPY_SELECT_ERROR_NO_HOME = 7,
    /* New plans are in force but could not be saved: the next start measures again. */
    MEMCPY_SELECT_ERROR_NOT_SAVED = 8,
    /* The text is not a plan; the message names the line. */
    MEMCPY_SELECT_ERROR_NOT_A_PLAN = 9,
    /* The plan is for another CPU. */
    MEMCPY_SELECT_ERROR_OTHER_CPU = 10,
    /* Another version of memcpy-select saved the plan. */
    MEMCPY_SELECT_ERROR_OTHER_VERSION = 11,
    /* This CPU or its operating system cannot run the kernel. */
    MEMCPY_SELECT_ERROR_UNAVAILABLE = 12,
    /* A plan for callers without SIMD names a kernel that writes vector registers. */
    MEMCPY_SELECT_ERROR_VECTOR_REGISTERS = 13,
    /* The plan is for sections of kernel code that save vector registers, which have no calls in C. */
    MEMCPY_SELECT_ERROR_SECTIONS = 14,
    /* Not a kernel of this library. */
    MEMCPY_SELECT_ERROR_NOT_A_KERNEL = 15,
    /* The ranges overlap in a way that the kernel does not take. */
    MEMCPY_SELECT_ERROR_OVERLAP = 16
} memcpy_select_error;

/* Which calls follow a plan. */
typedef enum memcpy_select_policy {
    /* None: what calls give that have no plan to look at. */
    MEMCPY_SELECT_POLICY_NONE = 0,
    /* Those that may use vector registers, as in any user program. */
    MEMCPY_SELECT_POLICY_USER = 1,
    /* Those whose names end in _nosimd. */
    MEMCPY_SELECT_POLICY_NO_SIMD = 2
} memcpy_select_policy;

/* How the two ranges of a copy may overlap. */
typedef enum memcpy_select_overlap {
    /* Not at all. */
    MEMCPY_SELECT_OVERLAP_NEVER = 0,
    /* With the destination below the source. */
    MEMCPY_SELECT_OVERLAP_DST_BELOW = 1,
    /* With the destination above the source. */
    MEMCPY_SELECT_OVERLAP_DST_ABOVE = 2
} memcpy_select_overlap;

/* A routine that copies. Kernels belong to the library and stay to the end of the program. */
typedef struct memcpy_select_kernel memcpy_select_kernel;

/* A plan. It belongs to the program, which frees it. */
typedef struct memcpy_select_plan memcpy_select_plan;

/* The version of the library that is linked: MEMCPY_SELECT_VERSION, if it is the header's. */
const char *memcpy_select_version(void);

/* The name of an error, as it stands above; "no memcpy_select_error" for any other number. Never NULL. */
const char *memcpy_select_error_name(memcpy_select_error error);

/* What an error means in general, and what to do. The message of the call that failed says more. Never NULL. */
const char *memcpy_select_error_message(memcpy_select_error error);

/*
 * Copies. They ask for what those of the same name in <string.h> ask for: `src` is valid for reads and `dst` for
 * writes of `n` bytes. They return `dst`. Where `n` is 0 the pointers may be anything, also NULL.
 */

/* Copies `n` bytes. The ranges do not overlap. */
void *memcpy_select_memcpy(void *dst, const void *src, size_t n);

/* Copies `n` bytes. The ranges may overlap: the source is read as it was before. */
void *memcpy_select_memmove(void *dst, const void *src, size_t n);

/* Sets `n` bytes to `byte`, converted to unsigned char. */
void *memcpy_select_memset(void *dst, int byte, size_t n);

/*
 * The same without touching vector registers, MXCSR or the x87 unit: for code that runs where they belong to other
 * code. The decision on the plan, in the first call, keeps them too.
 */
void *memcpy_select_memcpy_nosimd(void *dst, const void *src, size_t n);
void *memcpy_select_memmove_nosimd(void *dst, const void *src, size_t n);
void *memcpy_select_memset_nosimd(void *dst, int byte, size_t n);

/*
 * Memory that others may be writing meanwhile: another process, another CPU, a device. Such a read or write is a data
 * race in C, and a compiler may make two of it; here the library's machine code does it. Each byte is one that was
 * there at some time during the call: check the copy, never the memory. The ranges are apart; `n` bytes of both are
 * mapped. The calls are no barriers: flags are read with memory_order_acquire before, and written with
 * memory_order_release after.
 */
void memcpy_select_copy_from_shared(void *dst, const void *src, size_t n);
void memcpy_select_copy_to_shared(void *dst, const void *src, size_t n);

/*
 * Copies that may fault: from a mapped file that others truncate, from and to memory that a peer takes away. They need
 * a handler of SIGSEGV and SIGBUS that asks memcpy_select_fixup.
 */

/*
 * Copies `n` bytes, or up to the first that cannot be read or written. Returns how many were not copied: 0 if all
 * were. Those before the first one that faults are copied exactly, and of those after it none is written. Touches no
 * vector registers. What can be accessed of the ranges is the caller's, and may be written by others meanwhile; all
 * else may be anything, also NULL. Where the ranges overlap the bytes of `dst` are unspecified. May be called in a
 * signal handler if it was called before.
 */
size_t memcpy_select_try_copy(void *dst, const void *src, size_t n);

/*
 * Installs such a handler for the whole process. Every other fault goes to the action that was there before, as the
 * system would have called it. Calling it again changes nothing.
 *
 * SYSTEM.
 */
memcpy_select_error memcpy_select_install_fault_handler(void);

/*
 * For a handler of the program's own: where to go on after a fault at an instruction, with all registers as they are;
 * NULL if it is none of a copy that may fault. May be called in a signal handler.
 */
const void *memcpy_select_fixup(const void *instruction);

/* How many rows the exception table has: instructions that may fault, and where to go on. */
size_t memcpy_select_exception_count(void);

/*
 * A row, by a position from 0: the first byte of the instructions, the first byte after them, and where to go on. Each
 * place may be NULL. False where there is no such row; nothing is written then.
 */
bool memcpy_select_exception_at(size_t index, const void **start, const void **end, const void **fixup);

/* Kernels. */

/* How many there are in this library, available on this CPU or not. */
size_t memcpy_select_kernel_count(void);

/* The kernel at a position from 0, simpler ones first; NULL where there is none. */
const memcpy_select_kernel *memcpy_select_kernel_at(size_t index);

/* The kernel of a name; NULL if there is none, or if `name` is NULL. */
const memcpy_select_kernel *memcpy_select_kernel_named(const char *name);

/* Its name, such as "avx_aligned"; NULL for what is no kernel. */
const char *memcpy_select_kernel_name(const memcpy_select_kernel *kernel);

/* The CPU features that it needs, with spaces between, such as "avx", or "none"; NULL for what is no kernel. */
const char *memcpy_select_kernel_needs(const memcpy_select_kernel *kernel);

/* Whether this CPU and its operating system can run it; false for what is no kernel. */
bool memcpy_select_kernel_is_available(const memcpy_select_kernel *kernel);

/* How source and destination may overlap; MEMCPY_SELECT_OVERLAP_NEVER for what is no kernel. */
memcpy_select_overlap memcpy_select_kernel_overlap(const memcpy_select_kernel *kernel);

/*
 * Copies `n` bytes with one kernel. Nothing is copied if it fails.
 *
 * NOT_A_KERNEL, UNAVAILABLE; where `n` is not 0, NULL for either pointer, and OVERLAP for ranges that overlap, if the
 * kernel does not take such.
 */
memcpy_select_error memcpy_select_kernel_copy(const memcpy_select_kernel *kernel, void *dst, const void *src, size_t n);

/* Plans. Those that a call gives are to be freed; where it fails, NULL is put in their place. */

/*
 * The plan that calls of a policy follow now, as a plan of the caller's.
 *
 * NULL, POLICY.
 */
memcpy_select_error memcpy_select_plan_in_force(memcpy_select_policy policy, memcpy_select_plan **plan);

/*
 * Reads a plan from its text, as memcpy_select_plan_text writes it. It is not put in force. Longer texts
 * than MEMCPY_SELECT_TEXT_BYTES are no plans.
 *
 * NULL, NOT_UTF8, NOT_A_PLAN, OTHER_CPU, UNAVAILABLE, VECTOR_REGISTERS, SECTIONS.
 */
memcpy_select_error memcpy_select_plan_from_text(const char *text, memcpy_select_plan **plan, char *message,
                                                 size_t message_bytes, size_t *length);

/*
 * The same from a regular file, such as `memcpy-select calibrate --save FILE` writes.
 *
 * As memcpy_select_plan_from_text; NOT_FOUND, SYSTEM.
 */
memcpy_select_error memcpy_select_plan_from_file(const char *path, memcpy_select_plan **plan, char *message,
                                                 size_t message_bytes, size_t *length);

/* The policy that it is for; MEMCPY_SELECT_POLICY_NONE if `plan` is NULL. */
memcpy_select_policy memcpy_select_plan_policy(const memcpy_select_plan *plan);

/*
 * Where it comes from: "start" (it serves before the CPU is known), "formulas", "profile", "calibrated", "saved"
 * (from a text or a file) or "program" (made by the program, in Rust); NULL if `plan` is NULL.
 */
const char *memcpy_select_plan_origin(const memcpy_select_plan *plan);

/*
 * The kernel that it names for a copy of `n` bytes between these addresses, which are not followed; NULL if `plan` is
 * NULL. memcpy_select_memcpy copies up to 64 bytes without a kernel.
 */
const memcpy_select_kernel *memcpy_select_plan_kernel(const memcpy_select_plan *plan, const void *dst, const void *src,
                                                      size_t n);

/*
 * Its text, with the name of this CPU.
 *
 * NULL, TRUNCATED.
 */
memcpy_select_error memcpy_select_plan_text(const memcpy_select_plan *plan, char *text, size_t text_bytes,
                                            size_t *length);

/*
 * Saves its text in a file, in the place of the one that is there: a process that reads meanwhile finds the old one
 * or the new one. The folder has to exist.
 *
 * NULL, SYSTEM.
 */
memcpy_select_error memcpy_select_plan_save(const memcpy_select_plan *plan, const char *path, char *message,
                                            size_t message_bytes, size_t *length);

/*
 * Puts it in force for its policy and all threads. Copies under way finish with the plan that they started with.
 * `plan` stays the caller's and may be freed; what is in force is a copy of some two kilobytes, kept to the end of
 * the program, one for all equal ones.
 *
 * NULL, UNAVAILABLE, VECTOR_REGISTERS.
 */
memcpy_select_error memcpy_select_plan_install(const memcpy_select_plan *plan);

/*
 * Takes the plan of a policy out of force: its calls follow the profile or the formulas again.
 *
 * POLICY.
 */
memcpy_select_error memcpy_select_plan_uninstall(memcpy_select_policy policy);

/* Frees a plan, or does nothing for NULL. */
void memcpy_select_plan_free(memcpy_select_plan *plan);

/* Measuring, and plans that stay from start to start. */

/*
 * Puts the best plans for this machine in force, for both policies: the saved ones, or else new ones, which are
 * measured in MEMCPY_SELECT_CALIBRATE_MS with at most 64 MiB, and saved for the next start. For one call early in
 * main.
 *
 * The file is memcpy-select/<cpu>-<version>.plan in $XDG_CACHE_HOME, or in $HOME/.cache where that is not set, empty
 * or relative. A program that runs with more rights than its user calls memcpy_select_tune_at instead. A file that is
 * damaged, of another version or for another CPU is replaced.
 *
 * The text says what was done. NOT_SAVED: new plans are in force, but were not saved.
 */
memcpy_select_error memcpy_select_tune(char *message, size_t message_bytes, size_t *length);

/*
 * The same with the plans in a file of the program's choice, whose folders are made.
 *
 * NULL: nothing was done. NOT_SAVED: as above.
 */
memcpy_select_error memcpy_select_tune_at(const char *path, char *message, size_t message_bytes, size_t *length);

/*
 * Measures the kernels and gives the best plans for this machine, without putting them in force. Takes `limit_ms`
 * milliseconds and at most 64 MiB; what there was no time to measure stays as it was, with 0 everything.
 *
 * The text is the verdict: what was decided for which lengths, and why. NULL for either plan.
 */
memcpy_select_error memcpy_select_calibrate(unsigned int limit_ms, memcpy_select_plan **user,
                                            memcpy_select_plan **no_simd, char *verdict, size_t verdict_bytes,
                                            size_t *length);

/*
 * The name of the file that memcpy_select_tune reads and writes, whether it is there or not.
 *
 * NULL, NO_HOME, TRUNCATED.
 */
memcpy_select_error memcpy_select_saved_plan_path(char *text, size_t text_bytes, size_t *length);

/*
 * Reads the plan of a policy from that file. It is not put in force.
 *
 * NULL, POLICY, NO_HOME, NOT_FOUND, SYSTEM, NOT_UTF8, NOT_A_PLAN, OTHER_CPU, OTHER_VERSION, UNAVAILABLE,
 * VECTOR_REGISTERS.
 */
memcpy_select_error memcpy_select_saved_plan(memcpy_select_policy policy, memcpy_select_plan **plan, char *message,
                                             size_t message_bytes, size_t *length);

/*
 * Removes that file. The next memcpy_select_tune measures.
 *
 * NO_HOME, NOT_FOUND, SYSTEM.
 */
memcpy_select_error memcpy_select_saved_plan_forget(char *message, size_t message_bytes, size_t *length);

#ifdef __cplusplus
}
#endif

#endif
