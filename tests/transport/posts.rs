//! Promise: a write that is posted takes one entry and no answer, and arrives: in order, whatever its table does meanwhile.

use crate::programs::next_job;
use crate::sides::pair;
use crate::streams::{message, options, with_room};
use crate::table::{LONG, SOON, by_hand, by_hand_as};
use memcpy_select::transport::session::Reply;
use memcpy_select::transport::{
    Answer, Answered, Client, ClientError, Completion, Copier, ErrorCode, Event, Flags, Handle, Job, JobId, Kind,
    Operation, Pushed, Request, SessionError, Table, Value, Waiting,
};
use std::thread;

#[test]
fn posted_writes_arrive_in_order_and_have_no_answer() {
    let (mut client, mut server) = pair(&with_room(4));
    let (mut sent, mut seen) = (0, 0);
    while seen < 300 {
        while client.post(Request::new(Kind::Write, Flags::DATA, 7, Value(0)), &message(sent, 48), Copier::AUTO)
            == Ok(())
        {
            sent += 1;
        }
        assert_eq!(client.in_flight(), 0);
        client.flush().unwrap();
        let mut jobs = Vec::new();
        while let Some(incoming) = server.take_request().unwrap() {
            let job = incoming.job.unwrap();
            assert_eq!((incoming.request.kind, incoming.request.id), (Kind::Write, JobId::ZERO));
            let mut bytes = vec![0; 48];
            let len = server.job(job).unwrap().payload.read(&server.data.theirs, 0, &mut bytes, Copier::AUTO);
            assert_eq!(bytes[..len], message(seen, 48));
            seen += 1;
            jobs.push(job);
        }
        assert_eq!(jobs.len(), 4, "as many as there are places");
        for (number, job) in jobs.into_iter().enumerate() {
            let reply = if number.is_multiple_of(2) {
                Reply::Bytes(server.lend(60).unwrap())
            } else {
                Reply::Value(Value::number(1))
            };
            server.answer(job, reply).unwrap();
        }
        assert!(server.flush(), "the client may wait for room");
        assert!(!server.flush() && client.poll() == Ok(None), "nothing is sent");
    }
    assert_eq!((sent, server.unanswered(), server.lent_blocks()), (seen, 0, 0));
}

#[test]
fn a_post_to_a_table_that_has_gone_says_so() {
    let (table, mut client) = by_hand(options());
    for number in 0..8 {
        client.post(Handle(3), &message(number, 48)).unwrap();
    }
    drop(table);
    let posted = client.post(Handle(3), b"one more");
    assert!(matches!(posted, Err(ClientError::Session(SessionError::PeerGone))), "{posted:?}");
}

#[test]
fn what_was_posted_before_the_client_left_arrives() {
    let (mut table, mut client) = by_hand(options());
    for number in 0..8 {
        client.post(Handle(3), &message(number, 48)).unwrap();
    }
    client.flush().unwrap();
    drop(client);
    for number in 0..8 {
        let job = next_job(&mut table);
        assert_eq!(table.payload(&job).to_vec(), message(number, 48));
        let _ = table.answer(job, Answer::Done);
    }
    assert!(matches!(table.next(SOON).unwrap(), Some(Event::Left { why: SessionError::PeerGone, .. })));
}

#[test]
fn posts_wait_for_room_until_the_limit_and_say_what_does_not_fit() {
    let (mut table, mut client) = by_hand(options());
    let object = Handle(3);
    let long = client.post(object, &[0; 49]);
    assert!(matches!(long, Err(ClientError::TooLarge { len_bytes: 49, max_bytes: 48 })));
    for number in 0..8 {
        client.post(object, &message(number, 48)).unwrap();
    }
    client.set_limit(SOON);
    assert!(matches!(client.post(object, b"one more"), Err(ClientError::Full)));
    for number in 0..8 {
        let job = next_job(&mut table);
        assert_eq!((job.operation(), job.wants_answer()), (Operation::Write { handle: 3 }, false));
        assert_eq!(table.payload(&job).to_vec(), message(number, 48));
        let answer = match number % 3 {
            0 => Answer::Amount(number),
            1 => Answer::Error(ErrorCode::IO),
            _ => Answer::Bytes(b"for nobody"),
        };
        assert_eq!(table.answer(job, answer), Answered::Sent, "any answer just ends it");
    }
    table.flush();
    client.post(object, b"one more").unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    assert_eq!(table.payload(&job).to_vec(), b"one more");
    table.answer(job, Answer::Done);
    assert!(client.poll().unwrap().is_none());
}

/// The table has no place for another job before it has answered one. What was posted meanwhile comes then, though its client says
/// nothing more.
#[test]
fn what_was_posted_to_a_table_without_a_place_for_it_arrives_when_there_is_one() {
    let (mut table, mut client) = by_hand(options());
    let object = Handle(3);
    let tickets: Vec<_> = (0..8).map(|_| client.submit_read(object, 1).unwrap()).collect();
    client.flush().unwrap();
    let mut reads: Vec<Job> = (0..8).map(|_| next_job(&mut table)).collect();
    assert!(table.next(SOON).unwrap().is_none());
    // It is woken for what it cannot take, and sleeps again: after a while as one with many clients does.
    client.post(object, b"posted").unwrap();
    client.flush().unwrap();
    for _ in 0..2 {
        assert!(table.next(8 * SOON).unwrap().is_none());
    }
    table.answer(reads.remove(0), Answer::Bytes(b"1"));
    let comes = |table: &mut Table, client: &mut Client, bytes: &[u8]| {
        let Some(Event::Job(job)) = table.next(LONG).unwrap() else { panic!("it does not come") };
        assert_eq!((table.payload(&job).to_vec(), client.in_flight()), (bytes.to_vec(), 8));
        job
    };
    // A post has the place, now.
    let posted = comes(&mut table, &mut client, b"posted");
    client.post(object, b"another").unwrap();
    client.flush().unwrap();
    assert!(table.next(SOON).unwrap().is_none());
    table.answer(posted, Answer::Done);
    let posted = comes(&mut table, &mut client, b"another");
    table.answer(posted, Answer::Done);
    for job in reads {
        table.answer(job, Answer::Bytes(b"1"));
    }
    table.flush();
    for ticket in tickets {
        client.finish(ticket).unwrap();
    }
}

/// A full ring has no room for the credits of a stream, until the table has taken what was posted: they are sent then, while the
/// client waits for the message that they are for.
#[test]
fn credits_that_have_no_room_beside_posts_are_sent_when_there_is_some() {
    for waiting in [Waiting::Adaptive, Waiting::Sleep, Waiting::Poll] {
        let (mut table, mut client) = by_hand_as(options(), waiting);
        let object = Handle(3);
        let ticket = client.stream(object, 48, 2).unwrap();
        client.flush().unwrap();
        let stream = next_job(&mut table);
        for number in 0..2 {
            assert!(matches!(table.push(&stream, Answer::Bytes(&message(number, 48))), Pushed::Sent));
        }
        table.flush();
        for number in 0..8 {
            client.post(object, &message(number, 48)).unwrap();
        }
        let mut expect = |number| {
            let Completion::Read(view) = client.next_message(ticket).unwrap() else { panic!("no message") };
            assert_eq!(view.to_vec(), message(number, 48));
        };
        expect(0);
        expect(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The client waits by now.
                thread::sleep(SOON);
                loop {
                    match table.next(LONG).unwrap().expect("no credit came") {
                        Event::Job(job) => drop(table.answer(job, Answer::Done)),
                        Event::Credit { .. } => break,
                        other => panic!("{other:?}"),
                    }
                }
                assert!(matches!(table.push(&stream, Answer::Bytes(&message(2, 48))), Pushed::Sent));
                table.flush();
            });
            expect(2);
        });
    }
}
