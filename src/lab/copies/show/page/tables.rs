//! The contenders that were left out.

#![forbid(unsafe_code)]

use super::Shown;
use crate::lab::show::count;
use crate::lab::show::page::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The contenders that have no timing somewhere, and why.
pub(crate) fn left_out(shown: &Shown<'_>) -> String {
    let mut causes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for failure in &shown.record.failures {
        *causes.entry((&failure.contender, &failure.cause)).or_default() += 1;
    }
    let mut html = String::new();
    for ((name, cause), cells) in causes {
        let (name, cause, cells) = (escape(name), escape(cause), count(cells, "cell"));
        let _ = writeln!(html, "<p class=\"warning\"><b>{name}</b> has no figure in {cells}: {cause}.</p>");
    }
    html
}
