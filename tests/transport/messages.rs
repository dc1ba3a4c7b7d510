//! Messages travel in exactly the words that the protocol says, and what cannot be one is an error value.

use memcpy_select::transport::{
    Access, ErrorCode, Flags, JobId, Kind, LAP_BIT, PageRange, Request, Response, Slice, Value, Violation,
};

const SLICE: Slice = Slice { block: 0x0403_0201, length: 0x0807_0605 };

#[test]
fn requests_have_their_golden_words() {
    let range = PageRange::of_bytes(3 << 12, 7 << 12, Access::ReadWrite).unwrap();
    let golden = [
        (Kind::Read, Flags::DATA, 0x03_0201, 9, Value::number(0x0c0b_0a09), [0x0302_0130, 9, 0x0c0b_0a09, 0]),
        (
            Kind::Write,
            Flags::DATA,
            0xff_ffff,
            u32::MAX,
            Value::slice(SLICE),
            [0xffff_ff31, u32::MAX, 0x0403_0201, 0x0807_0605],
        ),
        (Kind::Open, Flags::NONE, 1, 0, Value::slice(Slice::EMPTY), [0x0102, 0, 0, 0]),
        (Kind::Close, Flags::NONE, 0, 9, Value(0), [3, 9, 0, 0]),
        (Kind::Create, Flags::META, 2, 0, Value::slice(SLICE), [0x0244, 0, 0x0403_0201, 0x0807_0605]),
        (Kind::Destroy, Flags::NONE, 2, 0, Value::slice(SLICE), [0x0205, 0, 0x0403_0201, 0x0807_0605]),
        (Kind::SeekStart, Flags::NONE, 1, 1, Value(0x0102_0304_0506_0708), [0x0106, 1, 0x0506_0708, 0x0102_0304]),
        (Kind::SeekCurrent, Flags::NONE, 1, 1, Value(5), [0x0107, 1, 5, 0]),
        (Kind::SeekEnd, Flags::NONE, 256, 1, Value(-2_i64 as u64), [0x01_0008, 1, u32::MAX - 1, u32::MAX]),
        (Kind::Share, Flags::NONE, 1, 1, Value(range.0), [0x0109, 1, 7, 7]),
        (Kind::Stream, Flags::NONE, 1, 1, Value::pair(100, 3), [0x010A, 1, 100, 3]),
        (Kind::Credit, Flags::NONE, 1, 0, Value::number(3), [0x010B, 0, 3, 0]),
    ];
    for (kind, flags, id, handle, args, words) in golden {
        let request = Request { kind, flags, id: JobId(id as u32), handle, args };
        assert_eq!(request.to_entry(), words, "{request:?}");
        for lap in [0, LAP_BIT] {
            assert_eq!(Request::from_entry([words[0] | lap, words[1], words[2], words[3]]), Ok(request));
        }
    }
    for kind in golden.len() as u32..16 {
        assert_eq!(Request::from_entry([kind, 0, 0, 0]), Err(Violation::Kind { kind }));
    }
    assert_eq!(Value::slice(SLICE).to_slice(), SLICE);
    assert_eq!((range.start_bytes(), range.len_bytes()), (3 << 12, 7 << 12));
}

#[test]
fn responses_have_their_golden_words() {
    let golden = [
        (false, false, 0x03_0201, Value::number(5), [0x0302_0100, 5, 0]),
        (false, true, 1, Value::slice(SLICE), [0x0102, 0x0403_0201, 0x0807_0605]),
        (true, false, 1, Value(0x0102_0304_0506_0708), [0x0101, 0x0506_0708, 0x0102_0304]),
        (false, false, 0xff_ffff, ErrorCode::WRONG_HANDLE.value(), [0xffff_ff00, 0xffff_f005, u32::MAX]),
    ];
    for (has_object, has_more, id, value, words) in golden {
        let response = Response { has_object, has_more, id: JobId(id as u32), value };
        assert_eq!(response.to_entry(), words, "{response:?}");
        assert_eq!(Response::from_entry([words[0] | LAP_BIT, words[1], words[2]]), response);
    }
    assert_eq!(Value::slice(SLICE).to_slice(), SLICE);
}

#[test]
fn errors_are_the_top_values_and_no_others() {
    assert_eq!(ErrorCode::of(Value(0xFFFF_FFFF_FFFF_EFFF)), None);
    for (raw, number) in [(0xFFFF_FFFF_FFFF_F000, 0), (0xFFFF_FFFF_FFFF_F005, 5), (u64::MAX, 0xFFF)] {
        let code = ErrorCode::of(Value(raw)).unwrap();
        assert_eq!((code.number(), code.value().0), (number, raw));
    }
    assert_eq!(ErrorCode::new(0xFFF).map(ErrorCode::number), Some(0xFFF));
    assert_eq!(ErrorCode::new(0x1000), None);
}

#[test]
fn numbers_and_parts_that_do_not_fit_are_not_made() {
    for (start, len) in [(1, 0), (0, 4095), (1 << 43, 0), (0, 1 << 44)] {
        assert!(PageRange::of_bytes(start, len, Access::Read).is_err());
    }
}

#[test]
fn every_error_says_what_happened_and_what_to_do() {
    for number in 0..20 {
        let text = ErrorCode::new(number).unwrap().to_string();
        assert!(text.contains(':') && text.len() > 20, "{text}");
    }
}
