//! Messages travel in exactly the bytes that the protocol says, and what cannot be one is an error value.

use crate::rng::Rng;
use memcpy_select::transport::message::UnknownValue;
use memcpy_select::transport::message::widths::{u1, u3, u5, u7, u24, u48, u63};
use memcpy_select::transport::{
    Args, ErrorCode, Flags, JobId, Kind, PageRange, Request, Response, ResponseFlags, Slice, Value,
};

fn request(kind: Kind, flags: Flags, id: u64, handle: u32, args: Args) -> Request {
    Request { kind, flags, id: JobId::new(id).unwrap(), handle, args }
}

#[test]
fn requests_have_their_golden_bytes() {
    let slice = Slice { block: 0x0403_0201, length: 0x0807_0605 };
    let phase = Flags { phase: true, ..Flags::NONE };
    let range =
        PageRange { is_writable: true, first: memcpy_select::transport::message::Bits::new(3).unwrap(), count: 7 };
    let golden = [
        (
            request(Kind::Read, Flags::DATA, 0x0003_0201, 0x0807_0605, Args::of(Args::AMOUNT, 0x0c0b_0a09)),
            [0x30, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 0],
        ),
        (
            request(Kind::Write, Flags::DATA, 0xff_ffff, u32::MAX, Args::of(Args::SLICE, slice)),
            [0x31, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8],
        ),
        (
            request(Kind::Open, Flags::NONE, 1, 0, Args::of(Args::SLICE, Slice::EMPTY)),
            [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        (request(Kind::Close, phase, 0, 9, Args::from_raw(0)), [0x83, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (
            request(Kind::Create, Flags { meta: true, ..Flags::NONE }, 2, 0, Args::of(Args::SLICE, slice)),
            [0x44, 2, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        ),
        (
            request(Kind::SeekEnd, Flags::NONE, 256, 1, Args::of(Args::SIGNED_OFFSET, -2)),
            [8, 0, 1, 0, 1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            request(Kind::SeekStart, Flags::NONE, 1, 1, Args::of(Args::OFFSET, 0x0102_0304_0506_0708)),
            [6, 1, 0, 0, 1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1],
        ),
        (
            request(Kind::Share, Flags::NONE, 1, 1, Args::of(Args::RANGE, range)),
            [9, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0],
        ),
    ];
    for (request, bytes) in golden {
        assert_eq!(request.to_bytes(), bytes, "{request:?}");
        assert_eq!(Request::from_bytes(bytes), Ok(request));
        let words: Vec<u8> = request.to_entry().iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(words, bytes);
        assert_eq!(Request::from_entry(request.to_entry()), Ok(request));
    }
    assert_eq!(Request::BYTES, 16);
}

#[test]
fn responses_have_their_golden_bytes() {
    let object = ResponseFlags { has_object: true, ..ResponseFlags::NONE };
    let phase = ResponseFlags { phase: true, ..ResponseFlags::NONE };
    let slice = Slice { block: 0x0403_0201, length: 0x0807_0605 };
    let golden = [
        (ResponseFlags::NONE, 0x0003_0201, Value::of(Value::HANDLE, 5), [0, 1, 2, 3, 5, 0, 0, 0, 0, 0, 0, 0]),
        (phase, 1, Value::of(Value::SLICE, slice), [0x80, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (object, 1, Value::of(Value::POSITION, 0x0102_0304_0506_0708), [1, 1, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]),
        (
            ResponseFlags::NONE,
            0xff_ffff,
            ErrorCode::WRONG_HANDLE.value(),
            [0, 0xff, 0xff, 0xff, 5, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
    ];
    for (flags, id, value, bytes) in golden {
        let response = Response { flags, id: JobId::new(id).unwrap(), value };
        assert_eq!(response.to_bytes(), bytes, "{response:?}");
        assert_eq!(Response::from_bytes(bytes), Ok(response));
        let words: Vec<u8> = response.to_entry().iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(words, bytes);
        assert_eq!(Response::from_entry(response.to_entry()), response);
    }
    assert_eq!(Response::BYTES, 12);
}

#[test]
fn kinds_are_numbered_as_the_protocol_says_and_no_others_exist() {
    let kinds = [
        Kind::Read,
        Kind::Write,
        Kind::Open,
        Kind::Close,
        Kind::Create,
        Kind::Destroy,
        Kind::SeekStart,
        Kind::SeekCurrent,
        Kind::SeekEnd,
        Kind::Share,
    ];
    for number in 0..16_u8 {
        let mut bytes = [0; 16];
        bytes[0] = number;
        let got = Request::from_bytes(bytes).map(|request| request.kind);
        let value = u64::from(number);
        assert_eq!(got, kinds.get(usize::from(number)).copied().ok_or(UnknownValue { of: "Kind", value }));
    }
}

#[test]
fn errors_are_the_top_values_and_no_others() {
    assert_eq!(ErrorCode::of(Value::from_raw(0xFFFF_FFFF_FFFF_EFFF)), None);
    for (raw, number) in [(0xFFFF_FFFF_FFFF_F000, 0), (0xFFFF_FFFF_FFFF_F005, 5), (u64::MAX, 0xFFF)] {
        let code = ErrorCode::of(Value::from_raw(raw)).unwrap();
        assert_eq!((code.number(), code.value().raw()), (number, raw));
    }
    assert_eq!(ErrorCode::new(0xFFF).map(ErrorCode::number), Some(0xFFF));
    assert_eq!(ErrorCode::new(0x1000), None);
}

memcpy_select::message! {
    enum Small: u3 { A, B = 6, C }
    alias Middle = u24;
    struct Inner { a: u5, b: Small }
    union Either: u48 { WHOLE: u48, SMALL: Small, INNER: Inner }
    struct Wide { bit: u1, wide: u63, seven: u7, long: u64, either: Either, middle: Middle, signed: i16, yes: bool, inner: Inner }
}

/// Bit by bit, as slowly and plainly as can be.
fn model(fields: &[(u64, usize)]) -> Vec<u8> {
    let bits: Vec<bool> =
        fields.iter().flat_map(|&(value, width)| (0..width).map(move |bit| value >> bit & 1 != 0)).collect();
    bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(bit, &set)| u8::from(set) << bit).sum()).collect()
}

#[test]
fn any_struct_is_its_fields_bit_after_bit() {
    let mut rng = Rng::new(1);
    for _ in 0..10_000 {
        let [small, other] = [(); 2].map(|()| [Small::A, Small::B, Small::C][rng.below(3)]);
        let inner = Inner { a: u5::truncated(rng.next()), b: small };
        let either = if rng.below(2) == 0 {
            Either::of(Either::WHOLE, u48::truncated(rng.next()))
        } else {
            Either::of(Either::SMALL, other)
        };
        let wide = Wide {
            bit: u1::truncated(rng.next()),
            wide: u63::truncated(rng.next()),
            seven: u7::truncated(rng.next()),
            long: rng.next(),
            either,
            middle: Middle::truncated(rng.next()),
            signed: rng.next() as i16,
            yes: rng.below(2) == 1,
            inner,
        };
        let expected = model(&[
            (wide.bit.get(), 1),
            (wide.wide.get(), 63),
            (wide.seven.get(), 7),
            (wide.long, 64),
            (wide.either.raw(), 48),
            (wide.middle.get(), 24),
            (u64::from(wide.signed as u16), 16),
            (u64::from(wide.yes), 1),
            (inner.a.get(), 5),
            (inner.b as u64, 3),
        ]);
        assert_eq!(wide.to_bytes().to_vec(), expected);
        assert_eq!(Wide::from_bytes(wide.to_bytes()), Ok(wide));
    }
    assert_eq!(Wide::BYTES, 29);
    assert_eq!(Inner::from_bytes([0b0010_0000]), Err(UnknownValue { of: "Small", value: 1 }));
    let either = Either::of(Either::WHOLE, u48::truncated(3));
    assert_eq!(either.get(Either::SMALL), Err(UnknownValue { of: "Small", value: 3 }));
    assert_eq!(either.get(Either::INNER), Ok(Inner { a: u5::truncated(3), b: Small::A }));
}

#[test]
fn numbers_that_do_not_fit_are_not_made() {
    assert_eq!(u24::new(0xff_ffff), Some(u24::MAX));
    assert_eq!(u24::new(0x100_0000), None);
    assert_eq!(u1::new(2), None);
    assert_eq!(memcpy_select::transport::message::Bits::<64>::new(u64::MAX).map(|bits| bits.get()), Some(u64::MAX));
}

#[test]
fn every_error_says_what_happened_and_what_to_do() {
    for number in 0..20 {
        let text = ErrorCode::new(number).unwrap().to_string();
        assert!(text.contains(':') && text.len() > 20, "{text}");
    }
}
