//! Promise: what a peer that owns a valid connection does, it does to its own session. The server under attack keeps
//! serving an honest client, whose bytes are checked all the time; a client under attack gets a typed error. Nothing is left
//! behind.
//!
//! Each attack is a test, and so is each hole that the first design of such a table had (`hole_...`). The enemy is a real
//! process. With `--nocapture --test-threads 1` each prints a row: attack, what happened, test.

#![cfg(target_os = "linux")]

#[path = "hostile_peer/attacks.rs"]
mod attacks;
#[path = "hostile_peer/enemy.rs"]
mod enemy;
#[path = "hostile_peer/false_server.rs"]
mod false_server;
#[path = "hostile_peer/floods.rs"]
mod floods;
#[path = "hostile_peer/holes.rs"]
mod holes;
mod neighbours;

use memcpy_select::transport::{Address, Allocator, SessionError, TableOptions};
use neighbours::cases::Effort;
use neighbours::{Belongings, Honest, Server, alone, geometry};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "MEMCPY_SELECT_TEST_ENEMY";

/// This test binary again, as the enemy of the server at an address.
fn other_process(role: &str, address: &Address) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "be_the_enemy", "--nocapture"])
        .env(ROLE, format!("{role} {address}"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn options(allocator: Allocator) -> TableOptions {
    TableOptions::default().geometry(geometry(allocator))
}

/// How often an attack is made that repeats itself: by default half as often.
fn times(full: usize) -> usize {
    if Effort::chosen() < Effort::Full { full / 2 } else { full }
}

fn owned() -> TableOptions {
    options(Allocator::Owned)
}

fn row(attack: &str, happened: &str, test: &str) {
    println!("| {attack} | {happened} | `{test}` |");
}

/// Lets an enemy loose on a server with an honest client; how each of the enemy's sessions ended.
fn attack(
    test: &str,
    what: &str,
    options: TableOptions,
    expected: impl Fn(&SessionError) -> bool,
) -> Vec<SessionError> {
    attack_with(test, what, options, expected, |child, _| assert!(child.wait().unwrap().success(), "the enemy failed"))
}

fn attack_with(
    test: &str,
    what: &str,
    options: TableOptions,
    expected: impl Fn(&SessionError) -> bool,
    watch: impl FnOnce(&mut Child, &Address),
) -> Vec<SessionError> {
    let _alone = alone();
    let outside = Belongings::now();
    let server = Server::start(options);
    let honest = Honest::start(&server.address, Duration::ZERO);
    honest.is_served();
    let before = Belongings::now();
    let rounds = honest.rounds();
    let mut child = other_process(test, &server.address);
    watch(&mut child, &server.address);
    before.are_back();
    honest.is_served();
    let ends: Vec<SessionError> = server.seen().left.iter().map(|(why, _)| *why).collect();
    assert_eq!(server.seen().joined as usize, ends.len() + 1);
    assert!(!ends.is_empty(), "no session was attacked");
    for end in &ends {
        assert!(expected(end), "a session ended with: {end}");
    }
    let rounds = honest.rounds() - rounds;
    drop(honest);
    drop(server);
    outside.are_back();
    row(what, &format!("{}; {rounds} rounds of the honest client all right", summary(&ends)), test);
    ends
}

/// How many sessions ended in which way.
fn summary(ends: &[SessionError]) -> String {
    let mut counts = BTreeMap::new();
    for end in ends {
        let text = match end {
            SessionError::Violation(violation) => format!("{violation:?}"),
            other => format!("{other:?}"),
        };
        let name: String = text.chars().take_while(|letter| letter.is_alphanumeric()).collect();
        *counts.entry(name).or_insert(0) += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} x {name}")).collect();
    parts.join(", ")
}

fn is_violation(end: &SessionError) -> bool {
    matches!(end, SessionError::Violation(_))
}

fn is_gone(end: &SessionError) -> bool {
    *end == SessionError::PeerGone
}

fn any(_: &SessionError) -> bool {
    true
}

/// The tests' names, and what an enemy does in each; in a run without a role nothing.
#[test]
fn be_the_enemy() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, address) = role.rsplit_once(' ').unwrap();
    let at = address.parse::<Address>().unwrap();
    match role {
        "scribbles_at_random" => attacks::scribble(&at),
        "scribbles_on_each_field" => attacks::target_fields(&at),
        "replays_old_values" => attacks::replay(&at),
        "names_blocks_one_beyond_and_far_beyond" => attacks::beyond(&at),
        "uses_one_block_twice" => attacks::twice(&at),
        "uses_one_job_id_for_all" => attacks::same_id(&at),
        "truncates_and_punches_holes" => attacks::truncate(&at),
        "remaps_its_memory" => attacks::remap(&at),
        "closes_what_it_has" => attacks::close(&at),
        "floods_with_descriptors" => floods::flood_descriptors(&at),
        "floods_with_connections" => floods::flood_connections(&at),
        "takes_the_places_of_newcomers_in_silence" => floods::take_places_in_silence(&at),
        "takes_the_places_of_newcomers_with_greetings" => floods::take_places_with_greetings(&at),
        "floods_with_requests" => floods::flood_requests(&at),
        "posts_steals_and_requeues_wakes" | "requeues_the_only_sleeper" => attacks::wakes(&at),
        "stops_and_dies" => attacks::stop(&at),
        "holds_all_blocks_it_may" => attacks::hold(&at),
        "spoils_a_shared_list" | "hole_a_pop_from_an_empty_list" => attacks::spoil_list(&at),
        "hole_chain_entries_are_not_checked" => holes::bad_chain(&at),
        "hole_cyclic_chains" => holes::cyclic_chain(&at),
        "hole_double_free" => holes::double_free(&at),
        "hole_descriptors_are_read_again_when_freeing" => holes::change_after_sending(&at),
        "hole_entries_make_four_billion_dequeues" => holes::endless_laps(&at),
        "hole_a_full_queue_panics" => holes::fill_queue(&at),
        "hole_a_partial_allocation_leaks" => holes::ask_for_too_much(&at),
        "hole_a_bad_job_id_panics" => holes::bad_job_id(&at),
        "hole_check_then_park" => holes::sleep_and_wake(&at),
        role if role.starts_with("server: ") => false_server::be(role, &at),
        role if role.starts_with("flood: ") => floods::be(role, &at),
        other => panic!("{other}"),
    }
}
