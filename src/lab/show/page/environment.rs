//! What must be known of a run to judge its figures, or to repeat them; and files that have no part of the page of their own.

#![forbid(unsafe_code)]

use super::{HtmlTable, escape, figure, percent};
use crate::lab::record::{self, Environment};
use crate::lab::show::size;
use std::fmt::Write;

/// One line: what machine this is.
pub fn machine(environment: &Environment) -> String {
    let cpu = &environment.cpu;
    let cache = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |bytes| size(bytes as usize));
    let virtual_machine = if cpu.hypervisor.is_some() { ", a virtual machine" } else { "" };
    format!(
        "<p class=\"machine\">{}, core at {} GHz{virtual_machine}; L1d {}, L2 {}, L3 {}; {}.</p>\n",
        escape(&format!("{} ({}, {})", cpu.name, cpu.microarchitecture, cpu.signature)),
        figure(Some(environment.clock.core_cycles_per_ns)),
        cache(cpu.l1d_bytes),
        cache(cpu.l2_bytes),
        cache(cpu.l3_bytes),
        escape(environment.system.libc.as_deref().unwrap_or("libc not known"))
    )
}

/// What must be known to judge the figures, or to repeat them.
pub fn environment_table(environment: &Environment, noise_floor: f64) -> String {
    let Environment { build, cpu, clock, system, .. } = environment;
    let known = |text: &Option<String>| text.as_deref().map_or_else(|| "not known".to_owned(), escape);
    let cache = |bytes: Option<u64>| bytes.map_or_else(|| "not known".to_owned(), |bytes| size(bytes as usize));
    let dirty = if build.git_dirty == Some(true) { ", with changes" } else { "" };
    let mut table = HtmlTable::new(&[]);
    let mut fact = |name: &str, value: String| table.row(&[name.to_owned(), value]);
    fact("machine", escape(&environment.machine));
    fact("CPU", escape(&format!("{}, {}, {}", cpu.name, cpu.microarchitecture, cpu.signature)));
    fact("hypervisor", cpu.hypervisor.as_deref().map_or_else(|| "none shown".to_owned(), escape));
    fact("microcode", known(&cpu.microcode));
    fact("features", escape(&cpu.features));
    let caches = (cache(cpu.l1d_bytes), cache(cpu.l2_bytes), cache(cpu.l3_bytes));
    fact("caches of one core", format!("L1d {}, L2 {}, L3 {}", caches.0, caches.1, caches.2));
    let core = figure(Some(clock.core_cycles_per_ns));
    let tsc = figure(Some(clock.tsc_ticks_per_ns));
    fact("clocks", format!("core {core} GHz, time stamps {tsc} GHz, steps of {} ns", clock.precision_ns));
    fact("system", known(&system.kernel));
    fact("libc", known(&system.libc));
    if system.libc_tunables.is_some() {
        fact("GLIBC_TUNABLES", known(&system.libc_tunables));
    }
    fact("online CPUs", known(&system.online_cpus));
    let pinned = environment.pinned_to.map_or_else(|| "no".to_owned(), |cpu| format!("to logical CPU {cpu}"));
    fact("pinned", pinned);
    fact("huge pages", known(&system.huge_pages));
    fact("date and effort", escape(&format!("{}, {}", environment.date, environment.effort)));
    fact("noise floor", percent(noise_floor));
    fact("plan of memcpy_auto", escape(environment.plan.trim()).replace('\n', "<br>"));
    let revision = known(&build.git_revision);
    fact("build", format!("memcpy-select {}, revision {revision}{dirty}", escape(&build.version)));
    fact("compilers", format!("{}; {}", escape(&build.rustc), escape(&build.cc)));
    for peer in &environment.peers {
        fact("peer", escape(&format!("{}: {}", peer.name, peer.contents())));
    }
    let absent: Vec<&str> =
        environment.kernels.iter().filter(|kernel| !kernel.available).map(|kernel| &*kernel.name).collect();
    if !absent.is_empty() {
        fact("kernels this CPU cannot run", escape(&absent.join(", ")));
    }
    let mut html = format!("<div class=\"facts\">{}</div>\n<h2>Conditions</h2>\n<ul>\n", table.html());
    for condition in &environment.conditions {
        // State, name, finding; the name is padded.
        let (state, rest) = condition.trim().split_once(' ').unwrap_or((condition.as_str(), ""));
        let (name, finding) = rest.trim().split_once("  ").unwrap_or((rest.trim(), ""));
        let state = if state == "ok" { escape(state) } else { format!("<b>{}</b>", escape(state)) };
        let _ = writeln!(html, "<li>{state} – {}: {}", escape(name), escape(finding.trim()));
    }
    html.push_str("</ul>\n");
    html
}

/// More rows than these are for another program to read.
const ROWS_SHOWN: usize = 400;

/// The rows of a file as they are.
pub fn bare(file: &record::CsvFile) -> String {
    let name = format!("{}.csv", escape(file.name()));
    let mut html = format!("<h2><code>{name}</code></h2>\n");
    let rows = match file.cells() {
        Ok(rows) => rows,
        Err(error) => {
            let _ = writeln!(html, "<p>{}</p>", escape(&error.to_string()));
            return html;
        }
    };
    let Some((heads, rows)) = rows.split_first() else {
        html.push_str("<p>The file is empty.</p>\n");
        return html;
    };
    let mut table = HtmlTable::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows.iter().take(ROWS_SHOWN) {
        table.row(&row.iter().map(|cell| escape(cell)).collect::<Vec<_>>());
    }
    html.push_str(&table.html());
    if rows.len() > ROWS_SHOWN {
        let _ = writeln!(html, "<p class=\"note\">The first {ROWS_SHOWN} of {} rows.</p>", rows.len());
    }
    html
}
