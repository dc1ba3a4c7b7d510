//! A server that has one client, which was busy and now asks for nothing.

use crate::lab::paths::parts::{Part, PartSample, Round, pin};
use crate::transport::connect::JoinOptions;
use crate::transport::{Answer, Client, ClientOptions, Event, Handle, Operation, Table, TableOptions, Waiting};
use std::io::SeekFrom;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(1);
/// What the client asks for before, so that the server has every reason to look for more.
const REQUESTS: u32 = 2000;
/// No wait is longer.
const LIMIT: Duration = Duration::from_secs(5);

/// How the server waits, by name.
const SUBJECTS: [(&str, Waiting); 2] = [("adaptive_server", Waiting::Adaptive), ("sleeping_server", Waiting::Sleep)];

pub(crate) fn idle(round: Round) -> Result<Vec<PartSample>, String> {
    SUBJECTS.into_iter().map(|(subject, waiting)| watch(round, subject, waiting)).collect()
}

fn watch(round: Round, subject: &str, waiting: Waiting) -> Result<PartSample, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (near, far) = UnixStream::pair().map_err(|error| text(&error))?;
    let options = TableOptions { waiting, ..TableOptions::default() };
    let mut table = Table::without_address(options).map_err(|error| text(&error))?;
    table.adopt(far).map_err(|error| text(&error))?;
    // The client stays until the server was watched.
    let (watched, until_watched) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let client = scope.spawn(move || -> Result<(), String> {
            pin(round.cpus.far);
            let join = JoinOptions::default().limit(LIMIT);
            let options = ClientOptions { join, limit: LIMIT, waiting };
            let mut client = Client::over(near, options).map_err(|error| error.to_string())?;
            for position in 0..REQUESTS {
                let seek = client.seek(Handle(1), SeekFrom::Start(position.into()));
                seek.map_err(|error| error.to_string())?;
            }
            // Whatever ended the server's side ends the wait too.
            let _ = until_watched.recv();
            Ok(())
        });
        let measured = serve(&mut table).and_then(|()| {
            let work = || match table.next(WATCHED) {
                Ok(None) => Ok(()),
                Ok(Some(event)) => Err(format!("{event:?} from a client that asks for nothing")),
                Err(error) => Err(error.to_string()),
            };
            round.time((Part::Idle, subject), (1, 0), 1, work)
        });
        drop(watched);
        let served = client.join().map_err(|_| "the client's thread panicked".to_owned())?;
        served.and(measured)
    })
}

/// Answers all that the client asks for.
fn serve(table: &mut Table) -> Result<(), String> {
    let (mut left, start) = (REQUESTS, Instant::now());
    while left > 0 && start.elapsed() < LIMIT {
        match table.next(LIMIT).map_err(|error| error.to_string())? {
            Some(Event::Job(job)) => {
                let Operation::Seek { to: SeekFrom::Start(position), .. } = job.operation() else {
                    return Err(format!("{:?} from a client that seeks", job.operation()));
                };
                table.answer(job, Answer::Position(position));
                left -= 1;
            }
            Some(Event::Left { why, .. }) => return Err(why.to_string()),
            Some(_) => {}
            None => break,
        }
    }
    table.flush();
    if left == 0 { Ok(()) } else { Err(format!("{left} requests did not come in {LIMIT:?}")) }
}
