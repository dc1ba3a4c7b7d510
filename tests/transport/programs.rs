//! Programs at both ends of a table: one that serves files in memory, one that compares what it gets with what they are.

use super::files::Files;
use super::rng::Rng;
use memcpy_select::transport::{
    Answer, Answered, Client, ClientError, ErrorCode, Event, Handle, Job, Operation, Table,
};
use std::collections::HashMap;
use std::io::SeekFrom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// Says that it is over when it is dropped, also by a test that fails: nobody waits for the server then.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers one job out of `files`.
pub fn answer(table: &mut Table, files: &mut Files, job: Job) -> Answered {
    let payload = table.payload(&job).to_vec();
    let bytes;
    let answer = match job.operation() {
        Operation::Read { handle, amount, advance } => match files.read(handle, amount as usize, advance) {
            Ok(got) => {
                bytes = got;
                Answer::Bytes(&bytes)
            }
            Err(code) => Answer::Error(code),
        },
        Operation::Write { handle } => files.write(handle, &payload).map_or_else(Answer::Error, Answer::Amount),
        Operation::Open => files.open(&payload).map_or_else(Answer::Error, Answer::Handle),
        Operation::Create => files.create(&payload).map_or_else(Answer::Error, Answer::Handle),
        Operation::Destroy => files.destroy(&payload).map_or_else(Answer::Error, |()| Answer::Done),
        Operation::Seek { handle, to } => match to {
            SeekFrom::Start(offset) => files.seek_start(handle, offset),
            SeekFrom::Current(offset) => files.seek_current(handle, offset),
            SeekFrom::End(offset) => files.seek_end(handle, offset),
        }
        .map_or_else(Answer::Error, Answer::Position),
        _ => Answer::Error(ErrorCode::UNSUPPORTED),
    };
    table.answer(job, answer)
}

/// Serves files until told to stop; gives back how many clients left.
pub fn serve(mut table: Table, is_over: &AtomicBool) -> usize {
    let mut files: HashMap<usize, Files> = HashMap::new();
    let mut left = 0;
    while !is_over.load(Ordering::Relaxed) {
        match table.next(SOON).unwrap() {
            Some(Event::Joined(client)) => drop(files.insert(client.slot(), Files::default())),
            Some(Event::Job(job)) => {
                let files = files.get_mut(&job.client().slot()).unwrap();
                answer(&mut table, files, job);
            }
            Some(Event::Closed { client, handle, .. }) => files.get_mut(&client.slot()).unwrap().close(handle),
            Some(Event::Left { client, .. }) => {
                files.remove(&client.slot());
                left += 1;
            }
            Some(_) | None => {}
        }
    }
    left
}

/// Random operations of one client against the same files called directly.
pub fn compare(client: &mut Client, seed: u64, rounds: usize, name_bytes: usize) {
    let mut model = Files::default();
    let mut rng = Rng::new(seed);
    let mut handles = vec![];
    let long = vec![b'n'; name_bytes];
    let refused = |error: ClientError| match error {
        ClientError::Refused(code) => code,
        other => panic!("{other}"),
    };
    for _ in 0..rounds {
        let name = [&b"one"[..], b"two", &long][rng.below(3)];
        let handle = handles.get(rng.below(handles.len() + 1)).copied();
        let handle = handle.unwrap_or(Handle(777));
        let number = handle.0;
        match rng.below(9) {
            0 => assert_eq!(client.open(name).map(|handle| handle.0).map_err(refused), model.open(name)),
            1 => match client.create(name) {
                Ok(handle) => {
                    assert_eq!(model.create(name), Ok(handle.0));
                    handles.push(handle);
                }
                Err(error) => assert_eq!(model.create(name), Err(refused(error))),
            },
            2 if rng.below(4) == 0 => assert_eq!(client.destroy(name).map_err(refused), model.destroy(name)),
            3 if rng.below(4) == 0 => {
                client.close(handle).unwrap();
                model.close(number);
            }
            4 | 5 => {
                let mut bytes = vec![0; rng.below(60_000)];
                rng.fill(&mut bytes);
                let got = if rng.below(2) == 0 {
                    client.write(handle, &bytes)
                } else {
                    let mut lease = client.lease(bytes.len()).unwrap();
                    assert_eq!(lease.write_at(0, &bytes), bytes.len());
                    client.write_in_place(handle, lease)
                };
                assert_eq!(got.map(|len| len as u32).map_err(refused), model.write(number, &bytes));
            }
            6 => {
                let to = rng.below(100_000) as i64 - 50_000;
                let (got, wanted) = match rng.below(3) {
                    0 => (client.seek(handle, SeekFrom::Start(to as u64)), model.seek_start(number, to as u64)),
                    1 => (client.seek(handle, SeekFrom::Current(to)), model.seek_current(number, to)),
                    _ => (client.seek(handle, SeekFrom::End(to)), model.seek_end(number, to)),
                };
                assert_eq!(got.map_err(refused), wanted);
            }
            _ => {
                let amount = rng.below(60_000);
                let got = if rng.below(2) == 0 {
                    let mut bytes = vec![0; amount];
                    client.read(handle, &mut bytes).map(|len| {
                        bytes.truncate(len);
                        bytes
                    })
                } else {
                    client.read_in_place(handle, amount).map(|view| view.to_vec())
                };
                assert_eq!(got.map_err(refused), model.read(number, amount, true));
            }
        }
    }
}

/// The next job, which has to come.
pub fn next_job(table: &mut Table) -> Job {
    match table.next(Duration::from_secs(5)).unwrap() {
        Some(Event::Job(job)) => job,
        other => panic!("{other:?}"),
    }
}
