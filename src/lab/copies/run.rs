//! A run: every contender that copies rightly, at every cell of a grid, in passes.

use super::cell::Cell;
use super::contender::{Contender, MEMCPY_AUTO};
use super::peer::{self, PeerError};
use super::samples::{CopyGrowth, GrowingCopies};
use super::scope::Scope;
use super::sweep::{Failure, Pass, Sweep};
use super::verify::verify;
use crate::lab::LabError;
use crate::lab::experiment::{Experiment, Observer};
use crate::lab::instruments::effort::Effort;
use crate::lab::record::{CallLengths, Environment};
use crate::lab::show::say;

/// The contenders that copy rightly, and what is wrong with the others.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Those that are timed.
    pub right: Vec<Contender>,
    /// Names, and what is wrong.
    pub wrong: Vec<(String, String)>,
    /// How many copies were compared byte by byte.
    pub cases: usize,
}

impl Verified {
    /// Verifies contenders, and says what is wrong.
    pub fn of(contenders: impl IntoIterator<Item = Contender>) -> Self {
        let mut verified = Self::default();
        for contender in contenders {
            match verify(&contender) {
                Ok(cases) => {
                    verified.cases += cases;
                    verified.right.push(contender);
                }
                Err(wrong) => verified.leave_out(contender.name(), wrong.to_string()),
            }
        }
        verified
    }

    /// Leaves one out, and says why.
    pub fn leave_out(&mut self, name: &str, cause: String) {
        say(format_args!("error: {cause}"));
        self.wrong.push((name.to_owned(), cause));
    }

    /// In a sentence how many were verified.
    pub fn sentence(&self) -> String {
        let (right, all) = (self.right.len(), self.right.len() + self.wrong.len());
        format!("verified: {right} of {all} routines, {} copies compared byte by byte\n", self.cases)
    }

    /// Why there is no timing of those that are left out, in each of these cells.
    pub fn failures(&self, cells: impl Iterator<Item = Cell> + Clone) -> Vec<Failure> {
        let of_cells = |(name, cause): &(String, String)| Failure::in_all(cells.clone(), name, cause);
        self.wrong.iter().flat_map(of_cells).collect()
    }

    /// What a scope asks for, each verified. A peer that cannot be had is an error, for it was asked for; what is known of the
    /// others goes into the environment.
    ///
    /// # Errors
    ///
    /// Which peer cannot be measured, and why.
    pub fn of_scope(scope: &Scope, environment: &mut Environment) -> Result<Self, LabError> {
        let is_wanted = |contender: &Contender| contender.name() == MEMCPY_AUTO || scope.has_kernel(contender.name());
        let mut verified = Self::of(Contender::all_available().into_iter().filter(is_wanted));
        for word in &scope.peers {
            let name = word.split('=').next().unwrap_or_default();
            if environment.peers.iter().any(|peer| peer.name == name) {
                let cause = "the name is given twice; nothing was measured; choose another";
                return Err(LabError::Asked(format!("--peer {word}: {cause}")));
            }
            match peer::try_apart(word).and_then(|()| peer::load(word)) {
                Ok(peer) => {
                    environment.peers.push(peer.recorded());
                    verified.right.push(peer.contender);
                }
                // It is as it was asked for, and not fit to be measured; the others are.
                Err(error @ (PeerError::Wrong(_) | PeerError::Crashed { .. })) => {
                    environment.peers.push(peer::unknown(name));
                    verified.leave_out(name, error.without_variable());
                }
                Err(error) => {
                    let cause = error.without_variable();
                    return Err(LabError::Asked(format!("--peer: {cause}; nothing was measured")));
                }
            }
        }
        Ok(verified)
    }

    /// The same with the peers that the environment variable names; one that cannot be had is left out with a warning.
    pub fn with_peers(mut self, environment: &mut Environment) -> Self {
        let (peers, errors) = peer::from_environment();
        errors.iter().for_each(|error| say(format_args!("warning: {error}")));
        environment.peers = peers.iter().map(peer::Peer::recorded).collect();
        self.right.extend(peers.into_iter().map(|peer| peer.contender));
        self
    }
}

/// Contenders over a grid.
pub struct Copies {
    sweep: Sweep,
    grid: Vec<Vec<Cell>>,
    effort: Effort,
    failures: Vec<Failure>,
}

impl Copies {
    /// The contenders that copy rightly, and libc a second time, over this grid, whose buffers have to be that long.
    ///
    /// # Errors
    ///
    /// [`LabError::NothingVerified`]; [`LabError::Buffers`] if there is no memory.
    pub fn new(
        verified: &Verified,
        grid: Vec<Vec<Cell>>,
        buffer_bytes: usize,
        effort: Effort,
    ) -> Result<Self, LabError> {
        if verified.right.is_empty() {
            return Err(LabError::NothingVerified);
        }
        let mut contenders = verified.right.clone();
        contenders.extend(Contender::libc_again());
        let failures = verified.failures(grid.iter().flatten().copied());
        Ok(Self { sweep: Sweep::new(contenders, buffer_bytes, effort)?, grid, effort, failures })
    }

    /// With the lengths of a workload, for cells of its calls.
    pub fn with_lengths(mut self, lengths: Option<CallLengths>) -> Self {
        self.sweep = self.sweep.with_lengths(lengths);
        self
    }

    /// The grid, a column after the other.
    pub fn grid(&self) -> &[Vec<Cell>] {
        &self.grid
    }

    /// The passes over these columns, in the order of measuring.
    pub fn passes(&self, columns: &[Vec<Cell>]) -> Vec<Pass> {
        self.effort.steps(columns).map(|(cell, number)| Pass { cell, number }).collect()
    }
}

impl Experiment for Copies {
    type Growth = CopyGrowth;
    type Step = Pass;

    fn steps(&self, growing: &GrowingCopies) -> Vec<(Pass, f64)> {
        let passes = self.passes(&self.grid).into_iter();
        passes.filter(|pass| !growing.has(&Some(*pass))).map(|pass| (pass, 1.0)).collect()
    }

    fn measure(&mut self, pass: &Pass, growing: &mut GrowingCopies, _observer: &dyn Observer) -> Result<(), LabError> {
        // Why some have no timing comes before the first pass.
        if !self.failures.is_empty() && growing.kept().entries.iter().all(Result::is_ok) {
            growing.append(self.failures.drain(..).map(Err).collect())?;
        }
        growing.append(self.sweep.measure(pass.cell, pass.number).into_iter().map(Ok).collect())?;
        Ok(())
    }
}
