//! The plan that a record gives, and how a program takes it.

#![forbid(unsafe_code)]

use crate::lab::copies::BENCH;
use crate::lab::copies::plan::plan;
use crate::lab::copies::show::page::Shown;
use crate::lab::show::page::escape;
use crate::select::{CpuName, PlanText, Policy};
use std::fmt::Write;

/// The file that the page names: the reader's is where the reader put it.
const FILE: &str = "copy.plan";

/// The plan of a record of the grid for callers that may use vector registers, and in a closed element the one for those
/// that may not. Nothing where the record gives none.
pub(crate) fn blocks(shown: &Shown<'_>) -> String {
    if shown.record.bench != BENCH || !shown.record.complete {
        return String::new();
    }
    let text = |policy| {
        let cpu = CpuName::named(&shown.record.environment.cpu.signature)?;
        Some(PlanText { cpu, policy, plan: plan([shown.record].into_iter(), policy)? }.to_string())
    };
    let Some(user) = text(Policy::User) else {
        return String::new();
    };
    let mut html = format!(
        "<h2>Use this plan</h2>\n{}<p class=\"note\"><code>memcpy-select plan RECORD --save {FILE}</code> writes that file from the \
         record’s folder.</p>\n",
        use_this_plan(&user, FILE)
    );
    if let Some(no_simd) = text(Policy::NoSimd) {
        let _ = write!(
            html,
            "<details><summary>The plan without vector registers, for <code>memcpy_auto_nosimd</code></summary>\n{}\
             </details>\n",
            use_this_plan(&no_simd, "nosimd.plan")
        );
    }
    html
}

/// A plan's text, the file to keep it in, and the line of code that puts it in force.
pub(crate) fn use_this_plan(text: &str, file: &str) -> String {
    let (text, file) = (escape(text.trim_end()), escape(file));
    format!(
        "<p>This run gives the plan below, which maps lengths and places to kernels for this model of CPU and no other. Keep \
         it as <code>{file}</code>, and write once at the start of a program:</p>\n\
         <pre>memcpy_select::select::install_file(&quot;{file}&quot;)?;</pre>\n<pre>{text}</pre>\n"
    )
}
