//! The promise: the exception table comes through the linker, as the page of the module says: it stays where its code
//! stays, also where garbage is collected; it moves with the program; a script may put it elsewhere, and one that
//! discards it does not link.
//!
//! A program in C, linked from the kernels' sources by each linker that is here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct exception { int32_t start, end, fixup; };
extern const struct exception __start_memcpy_select_exceptions[], __stop_memcpy_select_exceptions[];
#define ADDRESS(word) ((uintptr_t)&(word) + (word))

size_t test_fallible_gpr(void *, const void *, size_t);

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *ip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    const struct exception *row;
    (void)info;
    for (row = __start_memcpy_select_exceptions; row < __stop_memcpy_select_exceptions; row++) {
        if (ADDRESS(row->start) <= (uintptr_t)*ip && (uintptr_t)*ip < ADDRESS(row->end)) {
            *ip = (greg_t)ADDRESS(row->fixup);
            return;
        }
    }
    signal(number, SIG_DFL);
}

int main(void) {
    static unsigned char dst[500];
    unsigned char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action;
    size_t n;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    memset(pages, 7, 4096);
    mprotect(pages + 4096, 4096, PROT_NONE);
    for (n = 3; n < 500; n++) {
        memset(dst, 0, sizeof dst);
        if (test_fallible_gpr(dst, pages + 4096 - n + 2, n) != 2 || dst[n - 3] != 7 || dst[n - 2] != 0) {
            return 1;
        }
    }
    return 0;
}
"#;

/// As the page of the module says it.
const KEPT: &str = "SECTIONS { .of_the_script : ALIGN(4) { __start_memcpy_select_exceptions = .; \
                    KEEP(*(memcpy_select_exceptions)) __stop_memcpy_select_exceptions = .; } } INSERT AFTER .rodata;";
const DISCARDED: &str = "SECTIONS { /DISCARD/ : { *(memcpy_select_exceptions) } } INSERT AFTER .rodata;";

/// What is linked, in a folder of its own.
struct Sources(PathBuf);

impl Sources {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fallible-linked");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        for (name, text) in [("program.c", PROGRAM), ("kept.ld", KEPT), ("discarded.ld", DISCARDED)] {
            std::fs::write(folder.join(name), text).expect("a file can be written");
        }
        Self(folder)
    }

    fn link(&self, linker: &str, name: &str, arguments: &[&str]) -> Output {
        let asm = Path::new(env!("CARGO_MANIFEST_DIR")).join("asm");
        let kernels = ["fallible_gpr", "fallible_rep_movsb_smap"].map(|name| asm.join(name).with_extension("S"));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        Command::new(compiler)
            .current_dir(&self.0)
            .args(["-DMEMCPY_SELECT_PREFIX=test_", "-ffunction-sections", "-Wl,--gc-sections", "-o", name, "program.c"])
            .arg("-I")
            .arg(&asm)
            .args(kernels)
            .arg(format!("-fuse-ld={linker}"))
            .args(arguments)
            .output()
            .expect("the compiler that assembled the kernels starts")
    }
}

fn is_here(linker: &str) -> bool {
    Command::new(format!("ld.{linker}")).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "compiles files in a folder that only the repository's tests use")]
fn the_table_comes_through_every_linker() {
    let sources = Sources::new();
    for linker in ["bfd", "lld"] {
        if !is_here(linker) {
            println!("skipped: ld.{linker} is not installed");
            continue;
        }
        let ways: [(&str, &[&str]); 5] = [
            ("default", &[]),
            ("no_pie", &["-no-pie"]),
            ("static_pie", &["-static-pie"]),
            ("start_stop_gc", &["-static", "-Wl,-z,start-stop-gc"]),
            ("script", &["-static", "-Wl,-T,kept.ld"]),
        ];
        for (way, arguments) in ways {
            let name = format!("{linker}_{way}");
            let output = sources.link(linker, &name, arguments);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let status = Command::new(sources.0.join(&name)).status().expect("the program starts");
            assert_eq!(status.code(), Some(0), "{name}: {status}");
            println!("{name}: linked, and every fault is answered");
        }
        let output = sources.link(linker, &format!("{linker}_discarded"), &["-static", "-Wl,-T,discarded.ld"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("memcpy_select_exceptions"), "{linker}: {said}");
        println!("{linker}_discarded: {}", said.lines().find(|line| line.contains("exceptions")).unwrap_or_default());
    }
}
