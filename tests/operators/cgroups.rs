//! Memory cgroups, of either version: who is charged, and what the others see when one is ended.

use crate::roles::{Other, address, ask, can_run, seek};
use crate::{LONG, eventually, turn};
use memcpy_select::transport::{Client, ClientError, ClientOptions, ConnectError, SessionError};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The blocks of one side, in a session of these tests.
const BLOCKS_BYTES: u64 = 4 << 20;
/// What is small beside them.
const LITTLE_BYTES: u64 = 1 << 20;

/// A group of this test's own below this process's; removed when dropped.
struct Group {
    path: PathBuf,
    is_second_version: bool,
}

impl Group {
    /// `None`, which it says, where this process can make none that counts memory.
    fn new(name: &str) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = |controllers: &str| own.lines().find_map(|line| line.split_once(controllers)?.1.strip_prefix('/'));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in mounts.lines() {
            let [_, at, kind, options, ..] = mount.split(' ').collect::<Vec<_>>()[..] else { continue };
            let is_second_version = kind == "cgroup2";
            let below = match kind {
                "cgroup2" => own("0::"),
                "cgroup" if options.split(',').any(|option| option == "memory") => own(":memory:"),
                _ => continue,
            };
            for parent in [below, Some("")].into_iter().flatten() {
                let path = Path::new(at).join(parent).join(format!("memcpy-select-{name}-{}", std::process::id()));
                if fs::create_dir(&path).is_err() {
                    continue;
                }
                let group = Self { path, is_second_version };
                let [program, arguments @ ..] = &group.entering()[..] else { continue };
                let enters = || Command::new(program).args(arguments).arg("true").status();
                if group.stat("shmem").is_some() && enters().is_ok_and(|status| status.success()) {
                    return Some(group);
                }
            }
        }
        println!("skipped: no memory cgroup can be made here");
        None
    }

    /// What runs a command in it.
    fn entering(&self) -> [String; 3] {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.path.display());
        ["sh".to_owned(), "-c".to_owned(), script]
    }

    fn start(&self, role: &str) -> Other {
        Other::start(&self.entering().each_ref().map(String::as_str), role)
    }

    /// Starts what the system may not end for want of memory. `None`, which it says, where this process may not have it so.
    fn start_exempt(&self, role: &str) -> Option<Other> {
        let [shell, option, script] = self.entering();
        let script = format!("echo -1000 > /proc/self/oom_score_adj && {script}");
        let before = [&shell, &option, &script].map(String::as_str);
        can_run(&before).then(|| Other::start(&before, role))
    }

    fn stat(&self, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("memory.stat")).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
    }

    /// Bytes of shared memory that it is charged for.
    fn shared_bytes(&self) -> u64 {
        self.stat("shmem").unwrap()
    }

    /// What it cannot give back.
    fn held_bytes(&self) -> u64 {
        self.shared_bytes() + self.stat(if self.is_second_version { "anon" } else { "rss" }).unwrap()
    }

    /// A file of it, of either version.
    fn file(&self, first: &str, second: &str) -> PathBuf {
        self.path.join(if self.is_second_version { second } else { first })
    }

    /// Leaves it so many bytes beside what it uses.
    fn leave(&self, bytes: u64) {
        let used = fs::read_to_string(self.file("memory.usage_in_bytes", "memory.current")).unwrap();
        self.limit(used.trim().parse::<u64>().unwrap() + bytes);
    }

    /// Whether its limit was met.
    fn is_at_limit(&self) -> bool {
        let text = fs::read_to_string(self.file("memory.failcnt", "memory.events")).unwrap();
        let count = if self.is_second_version { text.split_once("\nmax ").unwrap().1 } else { &text };
        !count.starts_with('0')
    }

    fn lift_the_limit(&self) {
        let unlimited = if self.is_second_version { "max" } else { "-1" };
        fs::write(self.file("memory.limit_in_bytes", "memory.max"), unlimited).unwrap();
    }

    fn limit(&self, bytes: u64) {
        let _ = fs::write(self.file("memory.swappiness", "memory.swap.max"), "0");
        fs::write(self.file("memory.limit_in_bytes", "memory.max"), bytes.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its last process may not be gone altogether.
        let start = Instant::now();
        while fs::remove_dir(&self.path).is_err() && start.elapsed() < LONG {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

#[test]
fn whoever_touches_a_page_first_is_charged() {
    let _turn = turn();
    let Some(servers) = Group::new("servers") else { return };
    let Some(clients) = Group::new("clients") else { return };
    // With pre-faulting that is the one who does it: for its own blocks, and for what the other one has not touched yet.
    for (server_role, client_role) in [("serve", "join prefault"), ("serve prefault", "join")] {
        let at = address("charged");
        let role = |role: &str| {
            let (what, words) = role.split_once(' ').unwrap_or((role, ""));
            format!("{what} {at} {words}").trim_end().to_owned()
        };
        let mut server = servers.start(&role(server_role));
        server.says("serves");
        let mut client = clients.start(&role(client_role));
        client.says("joined");
        let (charged, other) = if server_role == "serve" { (&clients, &servers) } else { (&servers, &clients) };
        eventually("all pages are charged", || charged.shared_bytes() >= 2 * BLOCKS_BYTES);
        assert!(other.shared_bytes() < LITTLE_BYTES, "{} bytes of the other one", other.shared_bytes());
        client.kill();
        server.kill();
        eventually("all pages are free", || charged.shared_bytes() < LITTLE_BYTES);
    }
}

/// A client need not touch what it sends: then it is the server that does.
#[test]
fn a_client_can_have_its_own_blocks_charged_to_the_server() {
    let _turn = turn();
    let Some(servers) = Group::new("servers") else { return };
    let Some(clients) = Group::new("clients") else { return };
    let at = address("untouched");
    let mut server = servers.start(&format!("serve {at}"));
    server.says("serves");
    let mut client = clients.start(&format!("join {at} untouched"));
    client.says("sent");
    // All but the list of the chain, and the queue.
    let (charged, own) = (servers.shared_bytes(), clients.shared_bytes());
    assert!(charged > BLOCKS_BYTES - LITTLE_BYTES && own < LITTLE_BYTES, "{charged} and {own} bytes");
    client.kill();
    server.says("left");
    eventually("all pages are free", || servers.shared_bytes() < LITTLE_BYTES);
}

#[test]
fn a_server_that_its_cgroup_ends_is_a_dead_peer() {
    let _turn = turn();
    let Some(group) = Group::new("limited-server") else { return };
    let at = address("limited");
    let mut server = group.start(&format!("serve {at} prefault"));
    server.says("serves");
    // It has room for its own blocks alone, and pre-faults the client's, too.
    group.limit(group.held_bytes() + BLOCKS_BYTES);
    match Client::connect(&at, ClientOptions::default().limit(LONG)) {
        Ok(mut client) => {
            let mut error = None;
            eventually("it is gone", || {
                error = seek(&mut client).err();
                error.is_some()
            });
            assert!(matches!(error, Some(ClientError::Session(SessionError::PeerGone))), "{error:?}");
        }
        // While it connected.
        Err(error) => assert!(matches!(error, ConnectError::PeerGone), "{error}"),
    }
    assert_eq!(server.end().signal(), Some(9));
}

#[test]
fn a_client_that_its_cgroup_ends_is_a_dead_peer() {
    let _turn = turn();
    let Some(group) = Group::new("limited-client") else { return };
    let at = address("limited");
    let mut server = Other::start(&[], &format!("serve {at}"));
    server.says("serves");
    let mut client = group.start(&format!("join {at} prefault"));
    client.says("joined");
    eventually("all pages are charged", || group.shared_bytes() >= 2 * BLOCKS_BYTES);
    let needed_bytes = group.held_bytes();
    client.kill();
    server.says("left");
    eventually("all pages are free", || group.shared_bytes() < LITTLE_BYTES);
    group.limit(needed_bytes - BLOCKS_BYTES);
    // It asks for a session, and is ended before there is one.
    let client = group.start(&format!("join {at} prefault"));
    assert_eq!(client.end().signal(), Some(9));
    assert!(ask(&at).is_ok(), "the server goes on");
}

#[test]
fn a_server_that_the_system_may_not_end_waits_for_room() {
    let _turn = turn();
    let Some(group) = Group::new("exempt") else { return };
    let at = address("exempt");
    let Some(mut server) = group.start_exempt(&format!("serve {at}")) else { return };
    server.says("serves");
    group.leave(LITTLE_BYTES);
    let mut client = Other::start(&[], &format!("join {at} untouched"));
    client.says("joined");
    eventually("its limit is met", || group.is_at_limit());
    group.lift_the_limit();
    client.says("sent");
    assert!(ask(&at).is_ok());
}

#[test]
fn a_server_that_the_system_may_not_end_says_that_it_cannot_pre_fault() {
    let _turn = turn();
    let Some(group) = Group::new("exempt") else { return };
    let at = address("exempt");
    let Some(mut server) = group.start_exempt(&format!("serve {at} prefault")) else { return };
    server.says("serves");
    group.leave(LITTLE_BYTES);
    let client = Client::connect(&at, ClientOptions::default().limit(LONG));
    assert!(server.says("left").contains("there is not enough memory"));
    drop(client);
    group.lift_the_limit();
    assert!(ask(&at).is_ok());
}

#[test]
fn a_server_above_its_high_mark_is_slow_and_not_ended() {
    let _turn = turn();
    let Some(group) = Group::new("high") else { return };
    let mark = group.path.join("memory.high");
    if !mark.exists() {
        println!("skipped: only memory cgroups of the second version have a high mark");
        return;
    }
    let at = address("high");
    let mut server = group.start(&format!("serve {at}"));
    server.says("serves");
    fs::write(&mark, group.held_bytes().to_string()).unwrap();
    let mut client = Other::start(&[], &format!("join {at} untouched"));
    client.says("joined");
    let events = || fs::read_to_string(group.path.join("memory.events")).unwrap();
    eventually("it is above its mark", || !events().contains("high 0\n"));
    fs::write(&mark, "max").unwrap();
    client.says("sent");
    assert!(events().contains("oom_kill 0\n") && ask(&at).is_ok());
}
