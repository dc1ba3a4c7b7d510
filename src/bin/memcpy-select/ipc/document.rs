//! What `ipc` prints for programs: paths, rows and predictions as JSON.

use memcpy_select::measure::ipc::{self, Cell, PartFigure, PartRefusal, Percentiles, Predicted, Row, Summary, Walked};
use memcpy_select::path::paths;
use memcpy_select::record::IpcRecord;
use serde_json::{Value, json};

/// The paths there are, as text or as JSON.
pub(super) fn list(is_json: bool) -> String {
    if is_json {
        let path = |path: &&dyn memcpy_select::path::Path| {
            let limits = path.limits();
            json!({
                "path": path.name(), "about": path.about(), "min_bytes": limits.min_bytes,
                "max_bytes": limits.max_bytes, "max_depth": limits.max_depth, "has_kernel": path.has_kernel(),
            })
        };
        return format!("{:#}\n", json!({ "paths": paths().iter().map(path).collect::<Vec<Value>>() }));
    }
    let line = |path: &&dyn memcpy_select::path::Path| {
        let limits = path.limits();
        format!("{:<28}{:>4} to {:<11} B  {}\n", path.name(), limits.min_bytes, limits.max_bytes, path.about())
    };
    paths().iter().map(line).collect()
}

/// The figures as JSON. Times are nanoseconds; what is given for a message counts both sides.
pub(super) fn document(folder: &str, record: &IpcRecord, summary: &Summary, left_out: &[PartRefusal]) -> Value {
    let without = |refusal: &PartRefusal| json!({ "part": refusal.part.name(), "reason": refusal.reason });
    let mut document = figures(record, summary);
    document["record"] = json!(folder);
    document["parts_left_out"] = left_out.iter().map(without).collect();
    document
}

/// The same as far as the record tells.
pub fn figures(record: &IpcRecord, summary: &Summary) -> Value {
    let part = |figure: &PartFigure| {
        json!({
            "part": figure.part.name(), "subject": figure.subject, "members": figure.members, "bytes": figure.bytes,
            "ns": figure.ns, "quartiles_ns": [figure.quartiles_ns.0, figure.quartiles_ns.1], "cpu_share": figure.cpu_share,
        })
    };
    let refusal = |refusal: &ipc::Refusal| {
        let mut of_it = cell_json(&refusal.cell, &refusal.path, refusal.kernel.as_deref());
        of_it["reason"] = json!(refusal.reason);
        of_it
    };
    json!({
        "noise_floor": summary.noise_floor,
        "rows": summary.rows.iter().map(row_json).collect::<Vec<Value>>(),
        "model": record.predictions().iter().map(predicted_json).collect::<Vec<Value>>(),
        "cache": ipc::walked(&record.cache).iter().map(walked_json).collect::<Vec<Value>>(),
        "unavailable": record.refusals.iter().map(refusal).collect::<Vec<Value>>(),
        "parts": ipc::part_figures(&record.parts).iter().map(part).collect::<Vec<Value>>(),
    })
}

/// A prediction as JSON, in nanoseconds of half a round trip.
pub(super) fn predicted_json(one: &Predicted) -> Value {
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
pub(super) fn walked_json(one: &Walked) -> Value {
    json!({
        "way": one.way.name(), "kernel": one.kernel, "touched": one.touch, "payload_bytes": one.payload_bytes,
        "walk_bytes": one.walk_bytes, "walk_ns": one.walk_ns, "slowdown": one.slowdown,
    })
}

fn cell_json(cell: &Cell, path: &str, kernel: Option<&str>) -> Value {
    let copies_itself = paths().iter().any(|known| known.name() == path && known.has_kernel());
    let kernel = kernel.or(copies_itself.then_some("memcpy_auto"));
    json!({
        "path": path,
        "payload_bytes": cell.payload_bytes,
        "mode": cell.mode.name(),
        "placement": cell.placement.name(),
        "touch": if cell.touch { "touched" } else { "untouched" },
        "depth": cell.depth,
        "connections": cell.connections,
        "src_offset": cell.src_offset,
        "dst_offset": cell.dst_offset,
        "kernel": kernel,
    })
}

/// A row of the record as JSON.
pub(super) fn row_json(row: &Row) -> Value {
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
