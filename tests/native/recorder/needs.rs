//! What the library expects of others, read from its own file.

use super::recorded;

/// Nothing is expected of other libraries, and nothing that the recorder itself does is a call that it would record.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn the_library_needs_nothing() {
    let dynamic = recorded::tool("readelf", &["-dW"]);
    assert!(!dynamic.contains("(NEEDED)"), "{dynamic}");
    assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
    let symbols = recorded::tool("readelf", &["-W", "--dyn-syms"]);
    for symbol in symbols.lines().filter(|line| line.contains(" UND ")).skip(1) {
        assert!(symbol.contains(" WEAK "), "{symbol}");
    }
    let segments = recorded::tool("readelf", &["-lW"]);
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).expect("a note on the stack");
    assert!(!stack.contains("RWE"), "{stack}");
    assert!(
        !segments.lines().any(|line| line.trim_start().starts_with("TLS")),
        "no thread-local variables: {segments}"
    );

    let counted = calls_of_what_is_counted();
    assert!(counted.iter().any(|(function, _)| function.contains("decide")), "such calls are seen: {counted:?}");
    for (function, line) in counted {
        let is_recorder = function.contains("memcpy_select_recorder") || function.contains("recording");
        let is_start = ["5start5start", "5start6record", "environment"].iter().any(|name| function.contains(name));
        assert!(!is_recorder || is_start, "{function} calls what it counts: {line}");
    }
}

/// Functions of the library, and where they call one of those that it counts calls of: by name, or through a word that holds
/// the address.
fn calls_of_what_is_counted() -> Vec<(String, String)> {
    const COUNTED: [&str; 4] = ["memcpy", "memmove", "mempcpy", "memset"];
    let symbols = recorded::tool("nm", &["-D", "--defined-only"]);
    let addresses: Vec<u64> = symbols
        .lines()
        .filter(|line| COUNTED.iter().any(|name| line.ends_with(&format!(" T {name}"))))
        .map(|line| u64::from_str_radix(line.split_once(' ').unwrap().0, 16).unwrap())
        .collect();
    assert_eq!(addresses.len(), COUNTED.len(), "{symbols}");
    let relocations = recorded::tool("readelf", &["-rW"]);
    let words: Vec<String> = relocations
        .lines()
        .filter_map(|line| line.split_once("R_X86_64_RELATIVE"))
        .filter(|(_, addend)| addresses.contains(&u64::from_str_radix(addend.trim(), 16).unwrap()))
        .map(|(place, _)| format!("# {} <", place.split_once(' ').unwrap().0.trim_start_matches('0')))
        .collect();
    let code = recorded::tool("objdump", &["-d", "--no-show-raw-insn"]);
    let mut function = "";
    let mut found = Vec::new();
    for line in code.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
            function = name;
        }
        let by_name = COUNTED.iter().any(|name| line.ends_with(&format!("<{name}>")));
        let by_word = words.iter().any(|word| line.contains(word));
        if (line.contains("call") || line.contains("jmp")) && (by_name || by_word) && !function.starts_with("__mem") {
            found.push((function.to_owned(), line.to_owned()));
        }
    }
    found
}
