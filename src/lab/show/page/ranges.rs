//! Ranges of lengths with one name each.

#![forbid(unsafe_code)]

/// Rising lengths, each with the names that are good there, as ranges with one name each: first length, last length, name.
/// A range goes on as long as one name is good at all of its lengths; of several such names it has the one that comes first
/// where it begins.
pub fn cover<'a>(lengths: impl IntoIterator<Item = (usize, Vec<&'a str>)>) -> Vec<(usize, usize, &'a str)> {
    let mut ranges: Vec<(usize, usize, Vec<&str>)> = Vec::new();
    for (len_bytes, good) in lengths {
        let common: Vec<&str> = match ranges.last() {
            Some((_, _, so_far)) => so_far.iter().copied().filter(|name| good.contains(name)).collect(),
            None => Vec::new(),
        };
        match ranges.last_mut().filter(|_| !common.is_empty()) {
            Some((_, to_bytes, so_far)) => (*to_bytes, *so_far) = (len_bytes, common),
            None => ranges.push((len_bytes, len_bytes, good)),
        }
    }
    ranges.into_iter().filter_map(|(from, to, good)| Some((from, to, *good.first()?))).collect()
}
