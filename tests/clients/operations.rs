//! Clients that do what they are told, line by line, and say what came of it.
//!
//! | line | does | says |
//! |---|---|---|
//! | `open H NAME`, `create`, `replace`, `close H`, `discard H`, `destroy NAME` | as named; H is a letter | `ok` |
//! | `write H LEN SEED`, `put H LEN SEED` | writes a pattern, by copies or in place | `ok` |
//! | `meta H TEXT`, `publish H HOW` | as they are named | `ok` |
//! | `read H LEN`, `view H LEN` | reads so much or up to the end, by copies or in place | length and Adler-32 |
//! | `rounds H COUNT` | writes and reads 60 bytes, COUNT times | COUNT and Adler-32 of what was read |
//! | `post H LEN SEED` | writes a pattern without an answer | `ok` |
//! | `stream H MOST CREDITS` | takes messages until there are no more | how many, Adler-32, the code of the end |
//! | `seek H start`, `current` or `end N` | as it is named | where it is |
//! | `share H START LEN WRITABLE` | maps that part, and fills it if it may be written | length and Adler-32 as it was |
//! | `limit MS` | changes the limit | `ok` |
//! | `held` | counts | descriptors and mappings of the process |
//! | `connect COUNT` | connects once more and disconnects, so often | `ok` |
//!
//! What fails says `error` and its code, as it is in `streamtable.h`.

use super::LONG;
use super::built::{has, installed, sanitized, source, with_shared};
use memcpy_select::transport::{
    Access, Address, Client, ClientError, ClientOptions, Copier, Handle, Memory, PageRange, SessionError, View,
    Violation,
};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, SeekFrom, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

pub trait Obeys: Send {
    fn name(&self) -> &str;
    /// Sends a line; its answer is the next one that [`hear`](Self::hear) returns.
    fn tell(&mut self, line: &str);
    fn hear(&mut self) -> String;

    fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }
}

/// How to start a client in another language.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    words: Vec<String>,
}

/// Whoever is there: gcc's and clang's with the shared library, gcc's under sanitizers, Python.
pub fn programs() -> &'static [Program] {
    static ALL: OnceLock<Vec<Program>> = OnceLock::new();
    ALL.get_or_init(find)
}

fn find() -> Vec<Program> {
    let mut all = Vec::new();
    let mut add = |name: &str, words: Option<Vec<String>>| {
        all.extend(words.map(|words| Program { name: name.to_owned(), words }));
    };
    const SOURCE: &str = "tests/clients/operations.c";
    let word = |path: std::path::PathBuf| vec![path.display().to_string()];
    for compiler in ["gcc", "clang"] {
        add(compiler, with_shared(compiler, SOURCE, "-std=c11").map(word));
    }
    add("gcc, sanitized", sanitized("gcc", SOURCE).map(word));
    add("python3", python());
    all
}

fn python() -> Option<Vec<String>> {
    let library = installed("gcc").or_else(|| installed("clang"))?.join("lib/libstreamtable.so");
    has("python3").then(|| {
        let script = source("tests/clients/operations.py");
        vec!["python3".to_owned(), script.display().to_string(), library.display().to_string()]
    })
}

impl Program {
    pub fn start(&self, address: &str, waiting: u32) -> Driven {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args([address, &waiting.to_string()]);
        command.env("PYTHONPATH", source("native/stream/python")).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Driven { name: self.name.clone(), input: process.stdin.take(), process, lines }
    }
}

/// A client in another process.
pub struct Driven {
    name: String,
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Driven {
    /// Ends it, which has to go well.
    pub fn end(mut self) {
        self.input = None;
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{}: {status}", self.name);
    }
}

impl Obeys for Driven {
    fn name(&self) -> &str {
        &self.name
    }

    fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    fn hear(&mut self) -> String {
        self.lines.recv_timeout(LONG).unwrap_or_else(|error| panic!("{}: no answer: {error}", self.name))
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The crate's own client, which says the same.
pub struct Native {
    client: Client,
    handles: HashMap<String, Handle>,
    said: Option<String>,
}

impl Native {
    pub fn connect(address: &str) -> Self {
        let options = ClientOptions::default().limit(Duration::from_secs(30));
        let client = Client::connect(&address.parse::<Address>().unwrap(), options).unwrap();
        Self { client, handles: HashMap::new(), said: None }
    }

    fn obey(&mut self, line: &str) -> Result<String, ClientError> {
        let (verb, words) = line.split_once(' ').unwrap_or((line, ""));
        let client = &mut self.client;
        let ok = || Ok("ok".to_owned());
        if verb == "limit" {
            client.set_limit(Duration::from_millis(words.parse().unwrap()));
            return ok();
        }
        if verb == "destroy" {
            return client.destroy(words).and_then(|()| ok());
        }
        let (letter, words) = words.split_once(' ').unwrap_or((words, ""));
        let handle = self.handles.get(letter).copied().unwrap_or(Handle(0));
        let numbers: Vec<i64> = words.split(' ').filter_map(|word| word.parse().ok()).collect();
        let opened = match verb {
            "open" => client.open(words)?,
            "create" => client.create(words)?,
            "replace" => client.create_or_replace(words)?,
            "close" => return client.close(handle).and_then(|()| ok()),
            "discard" => return client.write_meta(handle, b"discard").and_then(|_| ok()),
            "meta" => return client.write_meta(handle, words.as_bytes()).and_then(|_| ok()),
            "publish" => {
                let text = ["publish", "publish replace", "publish sync", "publish replace sync"][numbers[0] as usize];
                return client.write_meta(handle, text.as_bytes()).and_then(|_| ok());
            }
            "write" | "put" => {
                let bytes = pattern(numbers[0] as usize, numbers[1] as usize);
                let mut done = 0;
                while done < bytes.len() || done == 0 {
                    let taken = client.write(handle, &bytes[done..])?;
                    done += taken;
                    if taken == 0 {
                        break;
                    }
                }
                return ok();
            }
            "read" => return read(client, handle, numbers[0] as usize),
            "view" => return view(client, handle, numbers[0] as usize),
            "rounds" => return go_round(client, handle, numbers[0]),
            "seek" => {
                let to = match words.split_once(' ').unwrap().0 {
                    "start" => SeekFrom::Start(numbers[0] as u64),
                    "current" => SeekFrom::Current(numbers[0]),
                    _ => SeekFrom::End(numbers[0]),
                };
                return client.seek(handle, to).map(|position| position.to_string());
            }
            "share" => {
                let access = if numbers[2] == 0 { Access::Read } else { Access::ReadWrite };
                let region =
                    client.share(handle, PageRange::of_bytes(numbers[0] as u64, numbers[1] as u64, access)?)?.map()?;
                let mut bytes = vec![0; region.len_bytes()];
                region.memory().read(0, &mut bytes, Copier::AUTO);
                if access == Access::ReadWrite {
                    region.memory().write(0, &vec![b'w'; bytes.len()], Copier::AUTO);
                }
                return Ok(summed(&bytes));
            }
            other => panic!("{other}"),
        };
        self.handles.insert(letter.to_owned(), opened);
        ok()
    }
}

impl Obeys for Native {
    fn name(&self) -> &str {
        "Rust"
    }

    fn tell(&mut self, line: &str) {
        let said = self.obey(line).unwrap_or_else(|error| format!("error {}", code(&error)));
        self.said = Some(said);
    }

    fn hear(&mut self) -> String {
        self.said.take().expect("a line was told")
    }
}

/// What `streamtable.h` calls an error.
fn code(error: &ClientError) -> u32 {
    match error {
        ClientError::Refused(code) => code.number().into(),
        ClientError::Unaligned { .. } => 9,
        ClientError::Timeout { .. } => 4100,
        ClientError::Session(SessionError::PeerGone) => 4362,
        ClientError::Session(SessionError::Violation(Violation::BlockTwice { .. })) => 4614,
        other => panic!("{other}"),
    }
}

pub fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 167 + seed * 31 + (at >> 8)) as u8).collect()
}

/// Adler-32.
fn sum_of(sum: u32, bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((sum & 0xFFFF, sum >> 16), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

/// Length and Adler-32.
pub fn summed(bytes: &[u8]) -> String {
    format!("{} {}", bytes.len(), sum_of(1, bytes))
}

/// Writes and reads some bytes at one place after the other, so that rings and blocks come round.
fn go_round(client: &mut Client, handle: Handle, count: i64) -> Result<String, ClientError> {
    let mut sum = 1;
    let mut bytes = [0; 60];
    for place in 0..count {
        client.seek(handle, SeekFrom::Start(place as u64))?;
        let taken = client.write(handle, &pattern(60, place as usize))?;
        client.seek(handle, SeekFrom::Current(-(taken as i64)))?;
        let got = client.read(handle, &mut bytes)?;
        sum = sum_of(sum, &bytes[..got]);
    }
    Ok(format!("{count} {sum}"))
}

fn read(client: &mut Client, handle: Handle, len: usize) -> Result<String, ClientError> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        let got = client.read(handle, &mut bytes[done..])?;
        if got == 0 {
            break;
        }
        done += got;
    }
    Ok(summed(&bytes[..done]))
}

fn view(client: &mut Client, handle: Handle, len: usize) -> Result<String, ClientError> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let view: View = client.read_in_place(handle, len - bytes.len())?;
        if view.is_empty() {
            break;
        }
        bytes.extend(view.to_vec());
        client.release(view)?;
    }
    Ok(summed(&bytes))
}
