//! Promise: what a sweep covers is read as it is written, and is the grid of its effort where nothing else is said.

use memcpy_select::lab::copies::cell::{Cell, Residency};
use memcpy_select::lab::copies::scope;
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::instruments::effort::Effort;
use std::collections::BTreeSet;

use crate::made_up::scope;

#[test]
fn sizes_are_bytes_units_and_ranges() {
    let cases: [(&str, &[usize]); 9] = [
        ("64", &[64]),
        ("64, 4KiB,1 MiB", &[64, 4096, 1 << 20]),
        ("4KiB..32KiB", &[4096, 8192, 16384, 32768]),
        ("5..9", &[8]),
        ("4KiB..4KiB,4096,64B", &[64, 4096]),
        ("1GiB", &[1 << 30]),
        ("1", &[1]),
        ("4KB,4kib", &[4096]),
        ("1.5KiB", &[1536]),
    ];
    for (list, sizes) in cases {
        assert_eq!(scope::sizes(list).unwrap(), sizes, "{list}");
    }
    let refused = ["", ",", "64,", "0", "0KiB", "1GiB,1073741825", "2GiB", "4KX", "-1", "+1", "1.3", "KiB"];
    for list in
        refused.into_iter().chain(["8..4", "5..7", "..8", "8..", "99999999999999999999", "18014398509481985KiB"])
    {
        let message = scope::sizes(list).unwrap_err().to_string();
        assert!(message.contains("--sizes") && message.contains("nothing was measured"), "{list}: {message}");
    }
}

#[test]
fn offsets_residencies_and_kernels_are_known_ones() {
    assert_eq!(scope::offsets("0:0,65:66,0:0").unwrap(), [(0, 0), (65, 66)]);
    assert_eq!(scope::offsets("2047:2047").unwrap(), [(2047, 2047)]);
    for list in ["", "0", "0:", ":0", "0:2048", "2048:0", "-1:0", "+1:0", "0:0:0", "a:b"] {
        assert!(scope::offsets(list).unwrap_err().to_string().contains("--offsets"), "{list}");
    }
    assert_eq!(scope::distances("15,0xA00,1..3,2,0").unwrap(), [15, 0xA00, 1, 2, 3, 0]);
    for list in ["", ",", "4096", "-1", "3..1", "..3", "1..", "0xFFFF", "0x", "a"] {
        assert!(scope::distances(list).unwrap_err().to_string().contains("--distances"), "{list}");
    }
    assert_eq!(scope::residencies("cold,hot").unwrap(), [Residency::Cold, Residency::Hot]);
    assert!(scope::residencies("warm").unwrap_err().to_string().contains("use hot, cold, touch, used, read or crowd"));
    assert_eq!(scope::kernel_names("portable,memcpy_auto,libc").unwrap(), ["libc", "memcpy_auto", "portable"]);
    let message = scope::kernel_names("portable,memmove").unwrap_err().to_string();
    assert!(message.contains("\"memmove\"") && message.contains("rep_movsb, "), "{message}");
}

#[test]
fn a_scope_reads_back_as_it_was_written() {
    let full = Scope {
        distances: vec![0, 15],
        residencies: vec![Residency::Hot, Residency::Cold],
        kernels: vec!["libc".to_owned(), "portable".to_owned()],
        peers: vec!["one=/a b/c,d.so".to_owned(), "two=/e.so".to_owned()],
        ..scope()
    };
    for scope in [full, scope(), Scope::of(Effort::Quick), Scope::of(Effort::Full)] {
        assert_eq!(Scope::read(&scope.to_string()).unwrap(), scope);
    }
    for text in ["efort quick\n", "effort\n", "effort fast\n", "sizes 0\n"] {
        assert!(Scope::read(text).is_err(), "{text}");
    }
}

#[test]
fn a_scope_without_lists_is_the_efforts_grid() {
    assert_eq!(Scope::of(Effort::Quick).grid().unwrap(), Effort::Quick.grid());
    let cells = |scope: Scope| scope.grid().unwrap().concat();
    let sizes_of = |bytes| Scope { sizes: vec![bytes], ..Scope::of(Effort::Quick) };
    assert_eq!(cells(sizes_of(64)), [Cell::hot(64, 0, 0)]);
    let distances = Scope { distances: vec![15, 0], offsets: vec![(1, 2)], ..sizes_of(64) };
    assert_eq!(cells(distances), [Cell::hot(64, 1, 2), Cell::at(64, 31, 16), Cell::at(64, 16, 16)]);
    let cold = Scope { residencies: vec![Residency::Cold], sizes: vec![64, 128], ..Scope::of(Effort::Quick) };
    assert_eq!(cells(cold), [64, 128].map(|bytes| Cell::hot(bytes, 0, 0).with(Residency::Cold)));
    let crowd = Scope { residencies: vec![Residency::Crowd], ..Scope::of(Effort::Full) };
    assert!(cells(crowd.clone()).iter().all(|cell| cell.len_bytes <= scope::CROWD_MAX_BYTES));
    assert!(Scope { sizes: vec![128 << 20], ..crowd }.grid().is_err());
}

#[test]
fn every_pass_over_every_cell_is_one_step() {
    for effort in Effort::ALL {
        let steps: Vec<(Cell, u32)> = effort.steps(&effort.grid()).collect();
        let count: u32 = effort.grid().iter().flatten().map(|cell| effort.passes(cell.len_bytes)).sum();
        assert_eq!(steps.len(), count as usize);
        assert_eq!(steps.iter().collect::<BTreeSet<_>>().len(), steps.len());
    }
}
