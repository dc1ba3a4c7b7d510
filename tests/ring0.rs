//! Promise: the crate does in ring 0 what it says, and figures that are not those of a CPU's ring 0 are not called so.
//!
//! `tests/ring0` is a kernel that checks this itself, on the CPUs that QEMU emulates: one that has all it can emulate, and some
//! that lack a part. It is built here as a reader would build it. A bug that is put into it has to be found.

#![cfg(all(target_arch = "x86_64", target_os = "linux", memcpy_select_asm, memcpy_select_repository))]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What QEMU ends with, by what the kernel wrote to its debug exit.
const PASSED: i32 = 33;
const FAILED: i32 = 35;
/// A boot takes some seconds, on a slow machine that does other things besides.
const LONGEST: Duration = Duration::from_secs(300);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("ring0")
}

/// The image; built without the network, from what the crate's own build has already fetched.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--offline", "--locked", "--target-dir"])
            .arg(folder())
            // Where its own configuration is found.
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ring0"))
            // What the surrounding build was told is not meant for this one.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .expect("cargo starts");
        assert!(
            output.status.success(),
            "the kernel does not build; if a package is missing offline, bring tests/ring0/Cargo.lock to the versions of \
             Cargo.lock:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        folder().join("x86_64-unknown-linux-gnu/release/ring0")
    })
}

/// How a boot ended, and what the kernel wrote.
struct Boot {
    code: Option<i32>,
    log: String,
}

/// Boots with these arguments of QEMU. `name` is this boot's alone.
fn boot(name: &str, arguments: &[&str]) -> Boot {
    let (serial, errors) = (folder().join(format!("{name}.log")), folder().join(format!("{name}.errors")));
    let _ = fs::remove_file(&serial);
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-m", "128", "-display", "none", "-no-reboot", "-net", "none", "-monitor", "none"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial"])
        .arg(format!("file:{}", serial.display()))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(File::create(&errors).expect("the build's folder can be written"))
        .spawn()
        .expect("qemu-system-x86_64 starts (Debian: apt install qemu-system-x86)");
    let start = Instant::now();
    let written = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let mut status = None;
    // KVM that cannot go on stops without ending.
    while status.is_none() && start.elapsed() < LONGEST && !written(&errors).contains("KVM internal error") {
        sleep(Duration::from_millis(50));
        status = qemu.try_wait().expect("a process of this one");
    }
    if status.is_none() {
        qemu.kill().expect("it still runs");
    }
    let ended = qemu.wait().expect("a process of this one");
    let took = start.elapsed();
    let log = format!("{}{}", written(&serial), written(&errors));
    println!("--- {name}, {:.1} s\n{log}", took.as_secs_f64());
    Boot { code: status.and(ended.code()), log }
}

fn emulated(name: &str, cpu: &str, command_line: &str) -> Boot {
    let kernel = image().to_str().expect("the build's folder has a name in UTF-8");
    boot(name, &["-accel", "tcg", "-cpu", cpu, "-kernel", kernel, "-append", command_line])
}

fn passes(name: &str, cpu: &str) -> String {
    let Boot { code, log } = emulated(name, cpu, "");
    assert_eq!(code, Some(PASSED), "{cpu}");
    assert!(log.contains("ring0 passed: ") && !log.contains("FAIL"), "{cpu}");
    log
}

#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64"]
fn every_check_passes_on_a_cpu_that_has_it_all() {
    let log = passes("max", "max");
    for has in [" avx2 ", " erms", "smap true"] {
        assert!(log.contains(has), "this QEMU has no{has}");
    }
}

#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64"]
fn every_check_passes_without_avx_and_without_xsave() {
    assert!(passes("no-avx", "max,-avx").contains("smap true"));
    assert!(passes("no-xsave", "max,-xsave").contains("enabled x87 sse;"));
}

#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64"]
fn every_check_passes_without_smap_and_without_erms() {
    let log = passes("no-smap-no-erms", "max,-smap,-erms");
    assert!(log.contains("smap false") && !log.contains(" erms"));
}

#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64"]
fn every_check_passes_on_older_cpus() {
    for cpu in ["Nehalem", "SandyBridge", "Haswell", "EPYC"] {
        passes(cpu, cpu);
    }
}

/// Each seeded bug, and what has to find it.
const BUGS: [(&str, &str); 6] = [
    ("missing-entry", "FAIL unexpected exception 14"),
    ("lost-byte", "FAIL 1 bytes copied instead of 0: fallible_gpr"),
    ("smap-open", "FAIL SMAP left open: fallible_gpr_smap"),
    ("clobber", "FAIL callee-saved registers changed: fallible_gpr"),
    ("clobber-vector", "FAIL vector state changed (sse): rep_movsb of 24000 bytes"),
    ("no-restore", "FAIL vector state changed"),
];

#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64"]
fn seeded_bugs_are_found() {
    for (bug, found) in BUGS {
        let Boot { code, log } = emulated(bug, "max", &format!("bug={bug}"));
        assert_eq!(code, Some(FAILED), "{bug}");
        assert!(log.contains(found), "{bug}: nothing says {found:?}");
    }
    let Boot { code, log } = emulated("unknown-bug", "max", "bug=none");
    assert!(code == Some(FAILED) && log.contains("FAIL no bug is called none"));
}

/// The lines that a record reads.
fn figures(log: &str) -> Vec<&str> {
    let lines = || log.lines().map(str::trim_end);
    let first = lines().position(|line| line == "memcpy-select ring0 1").expect("figures begin");
    let last = lines().position(|line| line == "end").expect("figures end");
    lines().take(last).skip(first + 1).collect()
}

#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64"]
fn figures_of_an_emulator_are_not_called_real() {
    for (name, cpu) in [("measure", "max"), ("measure-hidden", "max,-hypervisor,tcg-cpuid=off")] {
        let Boot { code, log } = emulated(name, cpu, "measure");
        assert_eq!(code, Some(PASSED), "{cpu}");
        let lines = figures(&log);
        assert!(lines.iter().any(|line| line.starts_with("real no: ")), "{cpu}");
        assert!(lines.iter().any(|line| line.starts_with("tsc_hz ")), "{cpu}");
        let rows: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("row ")).collect();
        for name in ["empty", "interrupt/clean", "fault_fixup", "kernel/gpr/64", "fallible_smap/rep_movsb/4096"] {
            assert!(rows.iter().any(|row| row.split(' ').next() == Some(name)), "{cpu}: {name}");
        }
        for row in rows {
            let [_, "cycles", middle, low, high, samples] = row.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{cpu}: {row}")
            };
            let number = |word: &str| word.parse::<f64>().expect("a number");
            let is_rising = number(low) <= number(middle) && number(middle) <= number(high);
            assert!(is_rising && number(samples) > 0.0, "{cpu}: {row}");
        }
    }
}

/// What a reader boots on a machine of their own.
#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64, and grub-mkrescue"]
fn grub_boots_it_from_a_disc() {
    let (root, disc) = (folder().join("disc"), folder().join("ring0.iso"));
    fs::create_dir_all(root.join("boot/grub")).expect("the build's folder can be written");
    fs::copy(image(), root.join("boot/ring0")).expect("the image was just built");
    let menu = "set timeout=0\nmenuentry ring0 { multiboot2 /boot/ring0 measure }\n";
    fs::write(root.join("boot/grub/grub.cfg"), menu).expect("the build's folder can be written");
    let made = Command::new("grub-mkrescue").arg("-o").args([&disc, &root]).output();
    let made = made.expect("grub-mkrescue starts (Debian: apt install grub-common grub-pc-bin xorriso mtools)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let disc = disc.to_str().expect("the build's folder has a name in UTF-8");
    let Boot { code, log } = boot("disc", &["-accel", "tcg", "-cpu", "max", "-cdrom", disc, "-boot", "d"]);
    assert_eq!(code, Some(PASSED));
    assert!(log.contains("booted with 'measure'") && !figures(&log).is_empty());
}

/// On the CPU itself, where the machine lets a guest have it: AVX-512, XSAVES and XRSTORS, which QEMU does not emulate.
#[test]
#[ignore = "boots a kernel: needs qemu-system-x86_64, and /dev/kvm"]
fn every_check_passes_on_this_cpu() {
    if File::options().read(true).write(true).open("/dev/kvm").is_err() {
        println!("skipped: /dev/kvm cannot be used here");
        return;
    }
    let kernel = image().to_str().expect("the build's folder has a name in UTF-8");
    let Boot { code, log } = boot("kvm", &["-accel", "kvm", "-cpu", "host", "-kernel", kernel]);
    // Paravirtual ones emulate ring 0, and do not know all of it.
    if ["KVM internal error", "failed to initialize kvm", "kvm/kvm.c:"].iter().any(|told| log.contains(told)) {
        println!("skipped: the KVM of this machine cannot run a kernel");
        return;
    }
    assert_eq!(code, Some(PASSED));
}
