//! What a plot draws: lines of points, and how each looks.

#![forbid(unsafe_code)]

use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::{LIBC, LIBC_AGAIN, MEMCPY_AUTO};
use crate::lab::copies::show::page::Shown;
use crate::lab::copies::show::terminal::{ALIGNED, column, placed, relation};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::instruments::statistics::geometric_mean;
use crate::lab::show::page::series::{Look, Point, Series};
use crate::lab::show::page::{figure, finite};
use crate::lab::show::size;
use crate::select::Aliasing;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How a contender looks; a peer by its number.
pub(crate) fn look(name: &str, peer: usize) -> Look {
    let thin = |family, dashes| Look { family, dashes, is_thick: false };
    match name {
        MEMCPY_AUTO => Look { family: "auto", dashes: 0, is_thick: true },
        LIBC => Look { family: "base", dashes: 0, is_thick: true },
        "portable" => thin("base", 2),
        "rep_movsb" => thin("rep", 0),
        "rep_movsb_aligned" => thin("rep", 1),
        "rep_movsq" => thin("rep", 2),
        "rep_movsq_aligned" => thin("rep", 3),
        "gpr" => thin("gpr", 0),
        "sse2_aligned" => thin("sse2", 0),
        "sse2_nt" => thin("sse2", 1),
        "sse2_hybrid" => thin("sse2", 2),
        "sse2_nt_plain" => thin("sse2", 3),
        "avx_aligned" => thin("avx", 0),
        "avx_nt" => thin("avx", 1),
        "avx512vl_hi16" => thin("avx", 2),
        "avx_nt_plain" => thin("avx", 3),
        "avx_nt_4pages" => thin("avx", 4),
        "avx512_aligned" => thin("avx512", 0),
        "avx512_hi16" => thin("avx512", 2),
        "avx512_nt" => thin("avx512", 1),
        _ => thin("peer", peer % 5),
    }
}

/// Every contender of a cell: kernels simplest first, `memcpy_auto`, peers, the second libc.
pub(crate) fn contenders(cell: &CellSummary) -> Vec<&str> {
    let mut names: Vec<&str> = cell.kernels().collect();
    names.push(MEMCPY_AUTO);
    names.extend(cell.others());
    names.push(LIBC_AGAIN);
    names.retain(|name| cell.copy_ns(name).is_some());
    names
}

/// With more sizes than these, a curve through all of them is a comb.
const SIZES_DRAWN: usize = 40;

/// Which sizes curves are drawn through: all, or where a record has many, the multiples of 16 bytes among them. The others
/// are in the maps and tables.
pub(crate) fn is_drawn(summary: &Summary) -> impl Fn(usize) -> bool {
    let has_many = lengths(summary).len() > SIZES_DRAWN;
    move |len_bytes| !has_many || len_bytes.is_multiple_of(16)
}

/// Throughput against size, for aligned buffers in cache: one curve for each contender.
pub(crate) fn throughput(shown: &Shown<'_>) -> Vec<Series> {
    let summary = &shown.summary;
    let mut names: Vec<&str> = Vec::new();
    for cell in placed(summary, ALIGNED) {
        for name in contenders(cell) {
            if name != LIBC_AGAIN && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut peers = 0;
    let is_drawn = is_drawn(summary);
    let curve = |name: &str| {
        let look = look(name, peers);
        peers += usize::from(look.family == "peer");
        let point = |cell: &CellSummary| {
            let value = finite(cell.gb_per_s(name)).filter(|_| is_drawn(cell.cell.len_bytes))?;
            let said = format!(
                "{name}, {}: {} GB/s, {} B/cycle, {} ns",
                size(cell.cell.len_bytes),
                figure(Some(value)),
                figure(cell.bytes_per_cycle(name)),
                figure(cell.copy_ns(name))
            );
            Some(Point { len_bytes: cell.cell.len_bytes, value, said, id: Some(shown.id(&cell.cell)) })
        };
        Series { name: name.to_owned(), look, points: by_length(placed(summary, ALIGNED).filter_map(point)) }
    };
    names.into_iter().map(curve).collect()
}

/// A condition: name, look, whether a cell is of it, and what it means.
type Condition = (&'static str, &'static str, usize, fn(&CellSummary) -> bool, &'static str);

/// In which way cells are measured, apart from where in a line source and destination lie.
pub(crate) const CONDITIONS: [Condition; 8] = [
    (
        "in cache",
        "peer",
        0,
        |cell| is(cell, Residency::Hot) && cell.cell.class().aliasing == Aliasing::Apart,
        "the same two buffers again and again, in the smallest cache that holds both (“hot” in samples)",
    ),
    (
        ALIASED,
        "rep",
        1,
        |cell| is(cell, Residency::Hot) && cell.cell.class().aliasing != Aliasing::Apart,
        "the same, with destination and source at nearly the same place modulo 4096, where a CPU may take a load for one \
         that depends on a store before it; “dst 64 after src” says how far, modulo 4096",
    ),
    (
        "read afterwards",
        "avx",
        2,
        |cell| is(cell, Residency::Touch),
        "as in cache, and one word of each line of the copy is read, in the time that counts (“touch” in samples)",
    ),
    (
        "in use",
        "avx",
        3,
        |cell| is(cell, Residency::Used),
        "before each copy other code has written the destination and read the source, which does not count (“used” in \
         samples)",
    ),
    (
        "in use and read",
        "avx512",
        2,
        |cell| is(cell, Residency::Read),
        "as in use, and every byte of the copy is read, in the time that counts (“read” in samples)",
    ),
    (
        "cold",
        "sse2",
        3,
        |cell| is(cell, Residency::Cold),
        "other buffers each time, which are in no cache (“cold” in samples)",
    ),
    (
        "all cores at once",
        "avx512",
        1,
        |cell| is(cell, Residency::Crowd),
        "as in cache, while every other logical CPU copies in buffers of its own (“crowd” in samples)",
    ),
    (
        "several threads",
        "gpr",
        4,
        |cell| matches!(cell.cell.residency, Residency::Threads(_)),
        "as many threads as the name says copy at once, each in buffers of its own; the figures are of one",
    ),
];

const ALIASED: &str = "aliased";

fn is(cell: &CellSummary, residency: Residency) -> bool {
    cell.cell.residency == residency
}

/// How many times as fast as the best kernel `memcpy_auto` is, against size: aligned, and the mean of each condition.
pub(crate) fn against_best(shown: &Shown<'_>) -> Vec<Series> {
    let summary = &shown.summary;
    let auto = Look { family: "auto", dashes: 0, is_thick: true };
    let is_drawn = is_drawn(summary);
    let aligned = placed(summary, ALIGNED).filter_map(|cell| {
        let value = crate::lab::copies::show::page::against_best(cell).filter(|_| is_drawn(cell.cell.len_bytes))?;
        let fastest = cell.fastest().unwrap_or_default();
        let said = format!("{}, aligned: {value:.2} times as fast as {fastest}", size(cell.cell.len_bytes));
        Some(Point { len_bytes: cell.cell.len_bytes, value, said, id: Some(shown.id(&cell.cell)) })
    });
    let mut series = vec![Series { name: "aligned, in cache".to_owned(), look: auto, points: by_length(aligned) }];
    for (name, family, dashes, contains, _) in CONDITIONS {
        let mut speeds: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for cell in summary.cells.iter().filter(|cell| contains(cell) && is_drawn(cell.cell.len_bytes)) {
            speeds.entry(cell.cell.len_bytes).or_default().extend(crate::lab::copies::show::page::against_best(cell));
        }
        let points = speeds.into_iter().filter_map(|(len_bytes, speeds)| {
            let mean = geometric_mean(speeds.iter().copied())?;
            let count = speeds.len();
            let said = format!("{}, {name}: {mean:.2}, geometric mean of {count} placements", size(len_bytes));
            Some(Point { len_bytes, value: mean, said, id: None })
        });
        let label = if name == "in cache" { "in cache, all" } else { name };
        let look = Look { family, dashes, is_thick: false };
        series.push(Series { name: label.to_owned(), look, points: points.collect() });
    }
    series.retain(|series| !series.points.is_empty());
    series
}

/// The name of a column: where in a line destination and source begin, and the condition.
pub(crate) fn placement(cell: &Cell) -> String {
    let (dst, src, distance, residency) = column(cell);
    let condition = match residency {
        Residency::Hot => None,
        Residency::Calls(calls) => return calls.to_string(),
        Residency::Touch => Some(Cow::Borrowed("read afterwards")),
        Residency::Used => Some(Cow::Borrowed("in use")),
        Residency::Read => Some(Cow::Borrowed("in use and read")),
        Residency::Crowd => Some(Cow::Borrowed("all cores")),
        residency => Some(residency.name()),
    };
    let parts = distance.map(|bytes| Cow::Owned(relation(bytes))).into_iter().chain(condition);
    parts.fold(format!("dst+{dst} src+{src}"), |name, part| format!("{name}, {part}"))
}

/// All lengths of a record, rising. Sequences of calls have none.
pub(crate) fn lengths(summary: &Summary) -> Vec<usize> {
    let lengths: BTreeSet<usize> =
        summary.cells.iter().map(|cell| cell.cell.len_bytes).filter(|len| *len > 0).collect();
    lengths.into_iter().collect()
}

fn by_length(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut points: Vec<_> = points.filter(|point| point.len_bytes > 0).collect();
    points.sort_by_key(|point| point.len_bytes);
    points
}
