//! Promise: on real CPUs, for as long as one likes, each block has one owner and holds what that one wrote.
//!
//! Threads work as hard as they can over memory that they share; a checker beside them knows every block's owner. The
//! bounded part is about two seconds; `MEMCPY_SELECT_TEST_SECONDS` makes each part as long.

use crate::rng::Rng;
use crate::sides::pair;
use memcpy_select::transport::blocks::{AllocateError, FreeList, Pool};
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Blocks, Geometry};
use memcpy_select::transport::session::{Outcome, Reply};
use memcpy_select::transport::{Copier, Flags, Kind, Mapped, Memory, Request, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn time() -> Duration {
    let seconds = std::env::var("MEMCPY_SELECT_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(Duration::from_millis(400), Duration::from_secs)
}

/// Who has each block. Taking one from anybody but the one who has it fails the test.
struct Owners(Vec<AtomicU32>);

const NOBODY: u32 = 0;

impl Owners {
    fn new(count: u32) -> Self {
        Self((0..count).map(|_| AtomicU32::new(NOBODY)).collect())
    }

    fn pass(&self, block: u32, from: u32, to: u32) {
        let owner = self.0[block as usize].swap(to, Ordering::Relaxed);
        assert_eq!(owner, from, "block {block} is {owner}'s, and {from} had it to give to {to}");
    }
}

#[test]
fn a_shared_list_under_stress_hands_each_block_to_one() {
    const LIST: FreeList = FreeList { head_at: 0, links_at: 128 };
    const COUNT: u32 = 24;
    let geometry = Blocks { block_bytes: 64, count: COUNT };
    for max_kept in [0, 2] {
        let list = Mapped::private(4096).unwrap();
        let data = Mapped::private(geometry.total_bytes() as usize).unwrap();
        LIST.lay_out(&list, geometry);
        let owners = Owners::new(COUNT);
        let changes = AtomicU64::new(0);
        let (start, time) = (Instant::now(), time());
        thread::scope(|scope| {
            for me in 1..=3_u32 {
                let (list, data, owners, changes) = (list.clone(), &data, &owners, &changes);
                scope.spawn(move || {
                    let mut side = Pool::keeping(list, LIST, geometry, max_kept);
                    let mut rng = Rng::new(me.into());
                    let mut held: Vec<(u32, [u8; 64])> = Vec::new();
                    let mut done = 0;
                    while start.elapsed() < time {
                        for _ in 0..200 {
                            let mut blocks = Vec::new();
                            match side.allocate(0, 1 + rng.below(4) as u32, &mut blocks) {
                                Ok(()) | Err(AllocateError::OutOfBlocks) => {}
                                Err(AllocateError::Violation(violation)) => panic!("{violation}"),
                            }
                            for block in blocks {
                                owners.pass(block, NOBODY, me);
                                let mut bytes = [0; 64];
                                rng.fill(&mut bytes);
                                data.write(geometry.block_at(block), &bytes, Copier::AUTO);
                                held.push((block, bytes));
                                done += 1;
                            }
                            while held.len() > rng.below(8) {
                                let (block, bytes) = held.swap_remove(rng.below(held.len()));
                                let mut got = [0; 64];
                                data.read(geometry.block_at(block), &mut got, Copier::AUTO);
                                assert!(got == bytes, "somebody wrote into block {block}, which {me} holds");
                                owners.pass(block, me, NOBODY);
                                side.free(&[block]).unwrap();
                            }
                        }
                    }
                    for (block, _) in held {
                        owners.pass(block, me, NOBODY);
                        side.free(&[block]).unwrap();
                    }
                    changes.fetch_add(done, Ordering::Relaxed);
                });
            }
        });
        // Nothing is lost: whoever comes next gets all.
        let mut all = Vec::new();
        Pool::shared(list, LIST, geometry).allocate(0, COUNT, &mut all).unwrap();
        println!("a shared list that keeps {max_kept} aside: {} blocks taken and given back", changes.into_inner());
    }
}

const CLIENT: u32 = 1;
const SERVER: u32 = 2;

fn paint(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::new(number).fill(&mut bytes);
    bytes
}

/// Many writes and reads under way at once. Each write's bytes are made of a number, which also says what the server must
/// find; each read's answer is made of the amount that was asked for.
#[test]
fn a_session_under_stress_keeps_every_block_where_it_belongs() {
    let blocks = Blocks { block_bytes: 64, count: 96 };
    let geometry = Geometry::symmetric(16, 16, blocks);
    let (mut client, mut server) = pair(&geometry);
    let (sent, lent) = (Owners::new(blocks.count), Owners::new(blocks.count));
    let is_over = AtomicBool::new(false);
    let answers = AtomicU64::new(0);
    thread::scope(|scope| {
        let server_thread = scope.spawn(|| {
            let mut jobs = Vec::new();
            let mut rng = Rng::new(8);
            while !is_over.load(Ordering::Acquire) {
                server.take_releases().unwrap();
                while let Some(incoming) = server.take_request().unwrap() {
                    let job = incoming.job.unwrap();
                    let chain = &server.job(job).unwrap().payload;
                    chain.blocks().iter().for_each(|block| sent.pass(*block, CLIENT, SERVER));
                    jobs.push((job, incoming.request));
                }
                // In another order than they came, and not all at once.
                while jobs.len() > rng.below(8) {
                    let (job, request) = jobs.swap_remove(rng.below(jobs.len()));
                    if request.kind == Kind::Write {
                        let chain = &server.job(job).unwrap().payload;
                        let place = &server.data.theirs;
                        let mut bytes = vec![0; chain.length() as usize];
                        chain.read(place, 0, &mut bytes, Copier::AUTO);
                        assert!(bytes == paint(request.handle.into(), bytes.len()), "other bytes than were sent");
                        chain.blocks().iter().for_each(|block| sent.pass(*block, SERVER, CLIENT));
                        let amount = Value::number(bytes.len() as u32);
                        server.answer(job, Reply::Value(amount)).unwrap();
                        continue;
                    }
                    let amount = request.args.to_number();
                    match server.lend(amount) {
                        Ok(mut chain) => {
                            chain.blocks().iter().for_each(|block| lent.pass(*block, NOBODY, SERVER));
                            let place = &server.data.own;
                            chain.write(place, 0, &paint(amount.into(), amount as usize), Copier::AUTO);
                            chain.blocks().iter().for_each(|block| lent.pass(*block, SERVER, CLIENT));
                            server.answer(job, Reply::Bytes(chain)).unwrap();
                        }
                        Err(AllocateError::OutOfBlocks) => {
                            let refused = memcpy_select::transport::ErrorCode::OUT_OF_BLOCKS.value();
                            server.answer(job, Reply::Value(refused)).unwrap();
                        }
                        Err(AllocateError::Violation(violation)) => panic!("{violation}"),
                    }
                }
                server.flush();
                thread::yield_now();
            }
        });
        let mut rng = Rng::new(9);
        let mut under_way = HashMap::new();
        let mut views: Vec<Chain> = Vec::new();
        let (start, time) = (Instant::now(), time());
        let mut number = 0_u32;
        while start.elapsed() < time && !server_thread.is_finished() {
            for _ in 0..rng.below(6) {
                number += 1;
                let length = rng.below(400) as u32;
                if rng.below(2) == 0 {
                    let args = Value::number(length);
                    if let Ok(ticket) = client.submit(Request::new(Kind::Read, Flags::DATA, number, args), Chain::EMPTY)
                    {
                        under_way.insert(ticket, Vec::new());
                    }
                } else if let Ok(mut chain) = client.data.allocate(length) {
                    chain.blocks().iter().for_each(|block| sent.pass(*block, NOBODY, CLIENT));
                    let place = &client.data.own;
                    chain.write(place, 0, &paint(number.into(), length as usize), Copier::AUTO);
                    let mine = chain.blocks().to_vec();
                    match client.submit(Request::new(Kind::Write, Flags::DATA, number, Value(0)), chain) {
                        Ok(ticket) => drop(under_way.insert(ticket, mine)),
                        Err(_) => mine.iter().for_each(|block| sent.pass(*block, CLIENT, NOBODY)),
                    }
                }
            }
            client.flush().unwrap();
            while let Some(ticket) = client.poll().unwrap() {
                answers.fetch_add(1, Ordering::Relaxed);
                let mine = under_way.remove(&ticket).expect("an answer to what was asked");
                mine.iter().for_each(|block| sent.pass(*block, CLIENT, NOBODY));
                if let Some(Outcome::Read(chain)) = client.take(ticket) {
                    let place = &client.data.theirs;
                    let mut bytes = vec![0; chain.length() as usize];
                    chain.read(place, 0, &mut bytes, Copier::AUTO);
                    assert!(bytes == paint(bytes.len() as u64, bytes.len()), "other bytes than were answered");
                    views.push(chain);
                }
            }
            while views.len() > rng.below(12) {
                let chain = views.swap_remove(rng.below(views.len()));
                chain.blocks().iter().for_each(|block| lent.pass(*block, CLIENT, NOBODY));
                client.release(chain).unwrap();
            }
            thread::yield_now();
        }
        is_over.store(true, Ordering::Release);
    });
    let answers = answers.into_inner();
    println!("a session: {answers} answers");
    assert!(answers > 0, "nothing was answered");
}
