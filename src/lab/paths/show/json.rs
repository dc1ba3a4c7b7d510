//! Figures of paths as JSON. Times are nanoseconds; what is given for a message counts both sides.

use crate::lab::paths::ways::paths;
use crate::lab::paths::{
    Cell, PartFigure, PathRecord, Percentiles, Predicted, Refusal, Row, Summary, Walked, part_figures, walked,
};
use serde_json::{Map, Value, json};

/// The figures of a record.
pub fn figures(record: &PathRecord, summary: &Summary) -> Map<String, Value> {
    let part = |figure: &PartFigure| {
        json!({
            "part": figure.part.name(), "subject": figure.subject, "members": figure.members, "bytes": figure.bytes,
            "ns": figure.ns, "quartiles_ns": [figure.quartiles_ns.0, figure.quartiles_ns.1], "cpu_share": figure.cpu_share,
        })
    };
    let refusal = |refusal: &Refusal| {
        let mut of_it = cell_json(&refusal.cell, &refusal.path, refusal.kernel.as_deref());
        of_it["reason"] = json!(refusal.reason);
        of_it
    };
    let all = json!({
        "noise_floor": summary.noise_floor,
        "rows": summary.rows.iter().map(row_json).collect::<Vec<Value>>(),
        "model": record.predictions().iter().map(predicted_json).collect::<Vec<Value>>(),
        "cache": walked(&record.cache).iter().map(walked_json).collect::<Vec<Value>>(),
        "unavailable": record.refusals.iter().map(refusal).collect::<Vec<Value>>(),
        "parts": part_figures(&record.parts).iter().map(part).collect::<Vec<Value>>(),
    });
    all.as_object().cloned().unwrap_or_default()
}

/// A prediction as JSON, in nanoseconds of half a round trip.
pub fn predicted_json(one: &Predicted) -> Value {
    let mut of_it = cell_json(&one.cell, &one.path, one.kernel.as_deref());
    let figures = [
        ("in_place_ns", json!(one.in_place_ns)),
        ("wake_up_ns", json!(one.wake_up_ns)),
        ("copies_add_ns", json!(one.added.all_ns)),
        ("kernels_ns", json!(one.added.kernels_ns)),
        ("replaced_ns", json!(one.added.replaced_ns)),
        ("predicted_ns", json!(one.predicted_ns())),
        ("measured_ns", json!(one.measured_ns)),
        ("error", json!(one.error())),
    ];
    for (name, value) in figures {
        of_it[name] = value;
    }
    of_it
}

/// What a walk through the consumer's own data takes after a transfer, as JSON.
pub fn walked_json(one: &Walked) -> Value {
    json!({
        "way": one.way.name(), "kernel": one.kernel, "touched": one.touch, "payload_bytes": one.payload_bytes,
        "walk_bytes": one.walk_bytes, "walk_ns": one.walk_ns, "slowdown": one.slowdown,
    })
}

fn cell_json(cell: &Cell, path: &str, kernel: Option<&str>) -> Value {
    let copies_itself = paths().iter().any(|known| known.name() == path && known.has_kernel());
    let mut all = cell_map(cell);
    all.insert("path".to_owned(), json!(path));
    all.insert("kernel".to_owned(), json!(kernel.or(copies_itself.then_some("memcpy_auto"))));
    all.into()
}

/// Where something was measured, as JSON.
pub fn cell_map(cell: &Cell) -> Map<String, Value> {
    let all = json!({
        "payload_bytes": cell.payload_bytes,
        "mode": cell.mode.name(),
        "placement": cell.placement.name(),
        "touch": if cell.touch { "touched" } else { "untouched" },
        "depth": cell.depth,
        "connections": cell.connections,
        "src_offset": cell.src_offset,
        "dst_offset": cell.dst_offset,
    });
    all.as_object().cloned().unwrap_or_default()
}

/// A row of the record as JSON.
pub fn row_json(row: &Row) -> Value {
    let mut of_it = cell_json(&row.cell, &row.path, row.kernel.as_deref());
    let half = |Percentiles { p50, p99, p999 }: Percentiles| json!({ "p50": p50, "p99": p99, "p999": p999 });
    let figures = [
        ("half_rtt_ns", json!(row.half_rtt_ns.map(half))),
        ("message_ns", json!(row.message_ns)),
        ("gb_per_s", json!(row.gb_per_s)),
        ("cycles_per_byte", json!(row.cycles_per_byte)),
        ("copies", json!(row.copies)),
        ("syscalls", json!(row.system_calls)),
        ("faults", json!(row.faults)),
        ("cpu_ns", json!(row.cpu_ns)),
        ("set_up_ns", json!(row.set_up_ns)),
        ("set_up_faults", json!(row.set_up_faults)),
        ("repaid_after", json!(row.repaid_after)),
    ];
    for (name, value) in figures {
        of_it[name] = value;
    }
    of_it
}
