//! A notifier that a set watches, and the members that its marks name.

#![forbid(unsafe_code)]

use super::marks::{Taken, Turn};
use super::notifier::Notifier;
use super::{Member, Semaphore};
use crate::transport::slots::Slots;
use std::collections::HashMap;
use std::sync::Arc;

/// So many marks of a notifier are gone through in its turn.
const MAX_MARKS: usize = 64;

/// A notifier that is watched, and the members that it may name.
#[derive(Debug)]
pub(super) struct Notified {
    pub(super) notifier: Arc<Notifier>,
    turn: Turn,
    /// By their marks, with what a mark leads to at once.
    members: Vec<Option<(Member, Arc<Semaphore>)>>,
    /// Those whose mark is another one's, too.
    others: HashMap<usize, Vec<(Member, Arc<Semaphore>)>>,
    count: usize,
}

/// What marks have told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The member that was marked last.
    pub(super) last: Option<Member>,
    /// Whether it is the same one again and again.
    pub(super) is_again: bool,
}

impl Notified {
    /// No members yet. What was marked before is not theirs.
    pub(super) fn new(notifier: Arc<Notifier>) -> Self {
        let turn = notifier.marks.turn();
        Self { notifier, turn, members: Vec::new(), others: HashMap::new(), count: 0 }
    }

    /// Whether the semaphore is a member.
    pub(super) fn has(&self, semaphore: &Arc<Semaphore>) -> bool {
        let mark = self.mark(semaphore);
        let first = self.members.get(mark).and_then(Option::as_ref);
        let mut all = first.into_iter().chain(self.others.get(&mark).into_iter().flatten());
        all.any(|(_, other)| Arc::ptr_eq(other, semaphore))
    }

    /// Takes a member in.
    pub(super) fn add(&mut self, member: Member, semaphore: Arc<Semaphore>) {
        let mark = self.mark(&semaphore);
        if self.members.len() <= mark {
            self.members.resize(mark + 1, None);
        }
        match &mut self.members[mark] {
            Some(_) => self.others.entry(mark).or_default().push((member, semaphore)),
            first => *first = Some((member, semaphore)),
        }
        self.count += 1;
    }

    /// Takes a member out; whether it was the last one.
    pub(super) fn remove(&mut self, member: Member, semaphore: &Semaphore) -> bool {
        let mark = self.mark(semaphore);
        let mut all = self.others.remove(&mark).unwrap_or_default();
        let Some(first) = self.members.get_mut(mark) else { return false };
        all.extend(first.take());
        all.retain(|(other, _)| *other != member);
        *first = all.pop();
        if !all.is_empty() {
            self.others.insert(mark, all);
        }
        self.count -= 1;
        self.count == 0
    }

    fn mark(&self, semaphore: &Semaphore) -> usize {
        self.notifier.marks.shared(semaphore.place())
    }

    /// Takes from the first member that is marked and has something; it stays armed, unless more is left or it is the same one again
    /// and again. None if there is no mark, and then the notifier is armed, if it is not kept; without a member it has to
    /// be looked at again. Members that share a mark are polled, and where marks are missing all that have something.
    #[inline]
    pub(super) fn take(
        &mut self,
        polled: &mut Slots<Arc<Semaphore>>,
        told: &mut Told,
        is_kept: bool,
    ) -> Option<Option<Member>> {
        let Self { notifier, turn, members, others, .. } = self;
        for _ in 0..MAX_MARKS {
            let mark = match notifier.marks.take(turn) {
                Taken::Member(mark) => mark,
                Taken::Nothing if is_kept || notifier.marks.arm(turn) => return None,
                Taken::Nothing => continue,
                Taken::Soon => break,
                Taken::Missing => {
                    let all = members.iter().flatten().chain(others.values().flatten());
                    all.filter(|(_, semaphore)| semaphore.count() > 0).for_each(|(member, _)| polled.poll(*member));
                    break;
                }
            };
            let Some(Some((member, semaphore))) = members.get(mark) else { continue };
            if !others.is_empty() {
                others.get(&mark).into_iter().flatten().for_each(|(other, _)| polled.poll(*other));
            }
            told.is_again = told.last.replace(*member) == Some(*member);
            if let Some(is_polled) = semaphore.word.take_watched(told.is_again) {
                if is_polled {
                    polled.poll(*member);
                }
                return Some(Some(*member));
            }
        }
        Some(None)
    }
}
