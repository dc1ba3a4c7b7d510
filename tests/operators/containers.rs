//! Containers: what is not mounted there, and what is small.

use crate::roles::{Other, address, ask, can_run};
use crate::suite::folder::Folder;
use crate::turn;
use std::process::Command;

/// Runs a program, with its arguments, where there is nothing but the libraries of the system and a `/dev/shm` of 4 KiB: no
/// `/tmp`, no `/dev/null`, no folder that can be written. `FOLDER` is where that is put together.
const CONTAINER: &str = r#"
set -e
case $0 in /*) program=$0 ;; *) program=/usr/bin/$0 ;; esac
mount -t tmpfs -o size=1m none FOLDER
cd FOLDER
mkdir -p proc usr dev/shm
mount --rbind /proc proc
mount --rbind /usr usr
for folder in lib lib64; do
    if [ -L /$folder ]; then cp -P /$folder .; elif [ -d /$folder ]; then mkdir $folder; mount --rbind /$folder $folder; fi
done
touch program
mount --bind "$program" program
mount -t tmpfs -o size=4k none dev/shm
if head -c 8192 /dev/zero 2>/dev/null >dev/shm/file; then exit 1; fi
mount -o remount,bind,ro FOLDER
if touch file 2>/dev/null; then exit 1; fi
exec chroot . /program "$@"
"#;

#[test]
fn a_small_dev_shm_a_read_only_root_and_no_tmp_are_no_trouble() {
    let _turn = turn();
    let folder = Folder::new("container");
    let script = CONTAINER.replace("FOLDER", folder.0.to_str().unwrap());
    let container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script.as_str()];
    if !can_run(&container) {
        return;
    }
    // Each side's blocks are a thousand times as long as what that `/dev/shm` holds, and all of them are there.
    for (server_place, client_place) in [(&container[..], &[][..]), (&[][..], &container[..]), (&container, &container)]
    {
        let at = address("container");
        let mut server = Other::start(server_place, &format!("serve {at} prefault"));
        server.says("serves");
        let mut client = Other::start(client_place, &format!("join {at} prefault"));
        client.says("joined");
        client.kill();
        assert!(server.says("left").contains("is gone"));
    }
}

#[test]
fn without_descriptors_and_without_dev_null_a_newcomer_is_told() {
    let _turn = turn();
    let folder = Folder::new("bare");
    let script = CONTAINER.replace("FOLDER", folder.0.to_str().unwrap());
    let container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script.as_str()];
    if !can_run(&container) {
        return;
    }
    let at = address("bare");
    let mut server = Other::start(&container, &format!("serve {at} files=0"));
    server.says("serves");
    let error = ask(&at).map(drop).unwrap_err().to_string();
    assert!(error.contains("short of memory or descriptors"), "{error}");
    assert!(server.says("refused").contains("Too many open files"));
}

/// What covers `/proc` with nothing.
const NO_PROC: &[&str] =
    &["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" \"$@\""];

#[test]
fn without_proc_only_what_is_sealed_against_writing_is_handed_out() {
    let _turn = turn();
    if !can_run(NO_PROC) {
        return;
    }
    let said = Other::start(NO_PROC, "object -").says("failed");
    assert!(said.contains("it is not shared; mount /proc, or seal the region against writing"), "{said}");
    // Everything else works.
    let at = address("no-proc");
    let mut server = Other::start(NO_PROC, &format!("serve {at} prefault"));
    server.says("serves");
    Other::start(NO_PROC, &format!("join {at} prefault")).says("joined");
}

#[test]
fn the_programs_say_what_a_filter_or_a_mount_keeps_from_them() {
    let _turn = turn();
    let folder = Folder::new("programs");
    for (call, cause, expected) in [
        ("openat2", "EPERM", "a filter of system calls must allow openat2"),
        ("openat2", "ENOSYS", "Linux 5.6 is needed"),
        ("epoll_create1", "EPERM", "allow epoll_create1, epoll_ctl and epoll_pwait"),
        ("epoll_ctl", "ENOSYS", "allow epoll_create1, epoll_ctl and epoll_pwait"),
    ] {
        let inject = format!("inject={call}:error={cause}");
        let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", inject.as_str()];
        if !can_run(&strace) {
            return;
        }
        let mut command = Command::new(strace[0]);
        command.args(&strace[1..]).arg(env!("CARGO_BIN_EXE_streamtable-server")).arg(&folder.0);
        let output = command.args(["--at", &address("refused").to_string()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{call} {cause}: {said}");
    }
}
