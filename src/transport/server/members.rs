//! What a table watches: its listening socket, clients that connect, and sessions.
//!
//! All are watched together. A session is *polled* while it is looked at in user space; one that has told its client to ring is
//! left alone until it does ([`Watch`]).

use super::member::{Kind, Member};
use super::offer::TableOptions;
use super::pending::PendingClient;
use super::served::Session;
use crate::transport::connect::{ConnectError, Listener, MAX_GREETINGS, Refusal, expendable};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::{Job, Payload};
use crate::transport::semaphore::{Key, Ready, Via, Watch};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// While a client is connecting, it is seen so often whether its time is over.
const GREETING_LOOK: Duration = Duration::from_millis(50);
/// How long a client is muted that rings without a request.
const MUTED_FOR: Duration = Duration::from_millis(5);

/// All that is watched.
#[derive(Debug)]
pub(super) struct Members {
    watch: Watch,
    members: Vec<Option<Member>>,
    sessions: usize,
    /// In the order in which their time is over.
    greetings: Vec<Key>,
    listener: Option<Key>,
    /// Whether no client is accepted for a while: the system refused, or too many are connecting.
    is_resting: bool,
    /// Muted sessions, and until when, in that order.
    muted: VecDeque<(Key, Instant)>,
    touched: Vec<Key>,
}

impl Members {
    pub(super) fn new() -> Result<Self, TableError> {
        Ok(Self {
            watch: Watch::new()?,
            members: Vec::new(),
            sessions: 0,
            greetings: Vec::new(),
            listener: None,
            is_resting: false,
            muted: VecDeque::new(),
            touched: Vec::new(),
        })
    }

    /// Watches one more. A client that is connecting is told if that cannot be.
    pub(super) fn add(&mut self, mut member: Member) -> Result<Key, ConnectError> {
        let watch = &mut self.watch;
        let result = match &member {
            Member::Listener(listener) => watch.add_once(listener.as_fd()),
            Member::Greeting(pending) => watch.add_once(pending.greeting.as_fd()),
            Member::Session(session) => watch.add(session.channel.as_fd()),
            Member::Process(_, process) => watch.add(process.as_fd()),
        };
        let key = result.map_err(|cause| {
            let error = ConnectError::socket(cause);
            if let Member::Greeting(pending) = &mut member {
                pending.greeting.refuse_for(&error);
            }
            error
        })?;
        if self.members.len() <= key.slot() {
            self.members.resize_with(key.slot() + 1, || None);
        }
        match member {
            Member::Listener(_) => self.listener = Some(key),
            Member::Greeting(_) => self.greetings.push(key),
            Member::Session(_) => self.sessions += 1,
            Member::Process(..) => {}
        }
        self.members[key.slot()] = Some(member);
        Ok(key)
    }

    #[inline(always)]
    fn member(&self, key: Key) -> Option<&Member> {
        if self.watch.contains(key) { self.members.get(key.slot())?.as_ref() } else { None }
    }

    /// Forgets a member; its socket is closed.
    pub(super) fn remove(&mut self, key: Key) {
        if !self.watch.contains(key) {
            return;
        }
        let Some(member) = self.members.get_mut(key.slot()).and_then(Option::take) else { return };
        let mut process = None;
        let descriptor = match &member {
            Member::Listener(listener) => listener.as_fd(),
            Member::Greeting(pending) => {
                self.greetings.retain(|other| *other != key);
                pending.greeting.as_fd()
            }
            Member::Session(session) => {
                self.sessions -= 1;
                process = session.process;
                session.channel.as_fd()
            }
            Member::Process(_, process) => process.as_fd(),
        };
        self.watch.remove(key, descriptor);
        if let Some(process) = process {
            self.remove(process);
        }
    }

    pub(super) fn kind(&self, key: Key) -> Option<Kind> {
        self.member(key).map(|member| match member {
            Member::Listener(_) => Kind::Listener,
            Member::Greeting(_) => Kind::Greeting,
            Member::Session(_) => Kind::Session,
            Member::Process(session, _) => Kind::Process(*session),
        })
    }

    #[inline(always)]
    pub(super) fn session(&mut self, key: Key) -> Option<&mut Session> {
        if !self.watch.contains(key) {
            return None;
        }
        match self.members.get_mut(key.slot()) {
            Some(Some(Member::Session(session))) => Some(session),
            _ => None,
        }
    }

    pub(super) fn pending(&mut self, key: Key) -> Option<&mut PendingClient> {
        if !self.watch.contains(key) {
            return None;
        }
        match self.members.get_mut(key.slot()) {
            Some(Some(Member::Greeting(pending))) => Some(pending),
            _ => None,
        }
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// The bytes that came with a job.
    #[inline(always)]
    pub(super) fn payload(&self, job: &Job) -> Payload<'_> {
        let session = match self.member(job.client.0) {
            Some(Member::Session(session)) => session,
            _ => return Payload { found: None, file: None },
        };
        let (memory, blocks) = session.side.client_data();
        Payload {
            found: session.side.payload(job.key).map(|chain| (chain, memory, blocks)),
            file: session.client_file.as_ref().map(OwnedFd::as_fd),
        }
    }

    /// The next client that waits to connect. None if there is none, and while as many are connecting as can be and all of
    /// them are new: the others wait in line then.
    pub(super) fn accept(&mut self, limit: Duration) -> Result<Option<Key>, ConnectError> {
        if self.is_crowded() {
            return Ok(None);
        }
        let Some(listener) = self.listener() else { return Ok(None) };
        let Some(greeting) = listener.accept(limit)? else { return Ok(None) };
        if self.greetings.len() >= MAX_GREETINGS
            && let Some(key) = self.expendable()
        {
            self.refuse(key, Refusal::Full);
        }
        self.add(Member::Greeting(PendingClient::new(greeting))).map(Some)
    }

    fn listener(&mut self) -> Option<&mut Listener> {
        match self.members.get_mut(self.listener?.slot()) {
            Some(Some(Member::Listener(listener))) => Some(listener),
            _ => None,
        }
    }

    /// Whether as many are connecting as can be, and all of them are new.
    fn is_crowded(&self) -> bool {
        self.greetings.len() >= MAX_GREETINGS && self.expendable().is_none()
    }

    /// A client that is connecting and has had its time.
    fn expendable(&self) -> Option<Key> {
        expendable(self.greetings.iter().filter_map(|key| match self.member(*key) {
            Some(Member::Greeting(pending)) => Some((*key, &pending.greeting)),
            _ => None,
        }))
    }

    /// Hangs up on a client that is connecting, and says why.
    pub(super) fn refuse(&mut self, key: Key, reason: Refusal) {
        if let Some(pending) = self.pending(key) {
            pending.greeting.refuse(reason);
        }
        self.remove(key);
    }

    /// Hears of the listener, when somebody can be accepted, or of a client that is connecting, once more. What cannot be
    /// watched any longer is forgotten.
    pub(super) fn accept_again(&mut self, key: Key) {
        if self.listener == Some(key) {
            self.is_resting = self.is_crowded() || self.listener().is_some_and(|listener| listener.rest().is_some());
            if self.is_resting {
                return;
            }
        }
        let result = match self.member(key) {
            Some(Member::Listener(listener)) => self.watch.once_more(key, listener.as_fd()),
            Some(Member::Greeting(pending)) => self.watch.once_more(key, pending.greeting.as_fd()),
            _ => Ok(()),
        };
        if result.is_err() {
            self.remove(key);
        }
    }

    /// Mutes a session for a while: its rings are not looked at, but its end is noticed.
    pub(super) fn stop_hearing(&mut self, key: Key) {
        if let Some(Member::Session(session)) = self.member(key)
            && self.watch.pause(key, session.channel.as_fd()).is_ok()
        {
            self.muted.push_back((key, Instant::now() + MUTED_FOR));
        }
    }

    /// Hears those again whose time is over.
    pub(super) fn unmute_all(&mut self) {
        if self.is_resting
            && let Some(listener) = self.listener
        {
            self.accept_again(listener);
        }
        // Each turn takes one off.
        while let Some(&(key, until)) = self.muted.front()
            && until <= Instant::now()
        {
            self.muted.pop_front();
            if let Some(Member::Session(session)) = self.member(key)
                && self.watch.resume(key, session.channel.as_fd()).is_err()
            {
                self.poll(key);
            }
        }
    }

    /// Makes a session of a greeting that was agreed on.
    pub(super) fn promote(&mut self, key: Key, options: &TableOptions) -> Result<(), ConnectError> {
        if self.pending(key).is_none() {
            return Err(ConnectError::PeerGone);
        }
        let Some(Member::Greeting(pending)) = self.members.get_mut(key.slot()).and_then(Option::take) else {
            return Err(ConnectError::PeerGone);
        };
        self.greetings.retain(|other| *other != key);
        let PendingClient { greeting, data } = *pending;
        let prefault = options.regions.prefault && !options.one_region;
        let session = greeting.finish().and_then(|greeted| {
            Session::new(greeted, data.ok_or(ConnectError::PeerGone)?, options.max_held_blocks, prefault)
        });
        let session = session.inspect_err(|_| {
            // The socket is closed, and with it no longer watched: only the key has to go.
            self.watch.forget(key);
        })?;
        if let Err(cause) = self.watch.resume(key, session.channel.as_fd()) {
            self.watch.remove(key, session.channel.as_fd());
            return Err(ConnectError::socket(cause));
        }
        let process = session.channel.process().and_then(|process| process.try_clone_to_owned().ok());
        self.members[key.slot()] = Some(Member::Session(Box::new(session)));
        self.sessions += 1;
        // Without it the socket's hang-up tells of the client's death, if later.
        if let Some(process) = process
            && let Ok(process) = self.add(Member::Process(key, process))
            && let Some(session) = self.session(key)
        {
            session.process = Some(process);
        }
        self.watch.poll(key);
        Ok(())
    }

    /// The client that is connecting for longest, if it takes too long.
    pub(super) fn late_greeting(&self) -> Option<Key> {
        let &key = self.greetings.first()?;
        match self.member(key) {
            Some(Member::Greeting(pending)) if pending.greeting.time_left().is_some() => None,
            _ => Some(key),
        }
    }

    /// How long a sleep may be, because of clients that are connecting or muted.
    pub(super) fn longest_sleep(&self) -> Duration {
        let greeting = if self.greetings.is_empty() && !self.is_resting { Duration::MAX } else { GREETING_LOOK };
        let muted = self.muted.front().map(|(_, until)| until.saturating_duration_since(Instant::now()));
        greeting.min(muted.unwrap_or(Duration::MAX))
    }

    pub(super) fn wait(&self, limit: Duration) -> Result<impl Iterator<Item = Ready> + use<>, TableError> {
        Ok(self.watch.wait(limit)?)
    }

    #[inline(always)]
    pub(super) fn polled(&self) -> usize {
        self.watch.polled_len()
    }

    #[inline(always)]
    pub(super) fn next_polled(&mut self) -> Option<Key> {
        self.watch.next_polled()
    }

    #[inline(always)]
    pub(super) fn poll(&mut self, key: Key) {
        self.watch.poll(key);
    }

    /// The only session, if there is just one, it is polled, and nobody is connecting.
    pub(super) fn only_session(&mut self) -> Option<&mut Session> {
        if self.sessions != 1 || !self.greetings.is_empty() {
            return None;
        }
        for _ in 0..self.polled() {
            let key = self.next_polled()?;
            if self.session(key).is_some() {
                self.poll(key);
                return self.session(key);
            }
        }
        None
    }

    /// Whether a polled client asks for something.
    pub(super) fn is_ready(&mut self) -> bool {
        for _ in 0..self.polled() {
            let Some(key) = self.next_polled() else { return false };
            let Some(session) = self.session(key) else { continue };
            let is_ready = session.side.is_ready();
            self.poll(key);
            if is_ready {
                return true;
            }
        }
        false
    }

    /// Tells every polled client to ring from now on; whether one asks for something already, and stays polled.
    pub(super) fn arm_all(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.polled() {
            let Some(key) = self.next_polled() else { break };
            let Some(session) = self.session(key) else { continue };
            session.own_bell.arm(Via::Socket);
            if session.side.is_ready() {
                session.own_bell.disarm();
                self.poll(key);
                any = true;
            }
        }
        any
    }

    /// This session has something to publish.
    #[inline(always)]
    pub(super) fn touch(&mut self, key: Key) {
        if let Some(session) = self.session(key)
            && !std::mem::replace(&mut session.is_touched, true)
        {
            self.touched.push(key);
        }
    }

    /// Publishes what a session has; the next of those that have something. `None` when all are done.
    #[inline(always)]
    pub(super) fn flush_next(&mut self) -> Option<(Key, Result<(), SessionError>)> {
        let key = self.touched.pop()?;
        let result = self.session(key).map_or(Ok(()), |session| {
            session.is_touched = false;
            session.flush()
        });
        Some((key, result))
    }
}
