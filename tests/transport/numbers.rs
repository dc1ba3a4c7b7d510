//! Promise: the numbers of a session are what the documentation says: those that a program does not ask for, and the bounds of those
//! that it does.

use memcpy_select::transport::connect::{JoinOptions, OwnRegion};
use memcpy_select::transport::{
    Allocator, Blocks, ClientOptions, Geometry, Limits, Peers, ProxyOptions, RegionOptions, TableOptions, Waiting,
};
use std::time::Duration;

const FIVE_SECONDS: Duration = Duration::from_secs(5);

#[test]
fn a_table_has_the_documented_numbers() {
    let TableOptions {
        geometry, peers, max_clients, connect_limit, regions, waiting, max_held_blocks, one_region, ..
    } = TableOptions::default();
    // 4 MiB for each direction.
    let blocks = Blocks { block_bytes: 64 << 10, count: 64 };
    let numbers = Geometry {
        capacity: 128,
        request_stride_bytes: 128,
        response_stride_bytes: 128,
        allocator: Allocator::Owned,
        client_blocks: blocks,
        server_blocks: blocks,
    };
    assert_eq!((geometry, TableOptions::GEOMETRY), (numbers, numbers));
    assert_eq!((peers, max_clients, connect_limit), (Peers::SameUser, 1024, FIVE_SECONDS));
    let RegionOptions { huge_pages, prefault, .. } = regions;
    assert_eq!((huge_pages, prefault, waiting), (false, false, Waiting::Adaptive));
    assert_eq!((max_held_blocks, one_region), (u32::MAX, false));
}

#[test]
fn a_client_and_a_proxy_have_the_documented_limits() {
    let ClientOptions { join, limit, waiting, .. } = ClientOptions::default();
    assert_eq!((limit, waiting), (FIVE_SECONDS, Waiting::Adaptive));
    let JoinOptions { limit, limits, own_region, prefault, .. } = join;
    assert_eq!((limit, prefault), (FIVE_SECONDS, false));
    assert_eq!(limits, Limits { max_queue_bytes: 64 << 20, max_data_bytes: 16 << 30 });
    assert!(matches!(own_region, OwnRegion::New(options) if options == RegionOptions::default()));
    let ProxyOptions { peers, max_clients, connect_limit, waiting, .. } = ProxyOptions::default();
    assert_eq!((peers, max_clients), (Peers::SameUser, 1024));
    assert_eq!((connect_limit, waiting), (FIVE_SECONDS, Waiting::Adaptive));
}

#[test]
fn numbers_are_taken_up_to_their_bounds_and_no_further() {
    let usual = TableOptions::GEOMETRY;
    let limits = Limits { max_queue_bytes: u64::MAX, max_data_bytes: usual.server_blocks.total_bytes() };
    let check = |geometry: Geometry| geometry.check(&limits).map_err(|error| error.found);
    for capacity in [2, 4, 1 << 15] {
        assert_eq!(check(Geometry { capacity, ..usual }), Ok(()));
    }
    for capacity in [0, 1, 3, 1 << 16, u32::MAX] {
        assert_eq!(check(Geometry { capacity, ..usual }), Err(capacity.into()));
    }
    for bytes in [16, 32, 64, 128, 192, 448, 512] {
        assert_eq!(check(Geometry { request_stride_bytes: bytes, response_stride_bytes: bytes, ..usual }), Ok(()));
    }
    for bytes in [0, 12, 24, 48, 96, 513, 576, 1024] {
        assert_eq!(check(Geometry { request_stride_bytes: bytes, ..usual }), Err(bytes.into()));
        let found = check(Geometry { response_stride_bytes: bytes, ..usual });
        assert_eq!(found, if bytes == 12 { Ok(()) } else { Err(bytes.into()) });
    }
    // Blocks of either side, up to the limit and one more.
    let both = |client_blocks, server_blocks| check(Geometry { client_blocks, server_blocks, ..usual });
    let (most, fine) = (limits.max_data_bytes, usual.server_blocks);
    for (block_bytes, count, found) in [
        (64, 1, None),
        (64, 65536, None),
        (1 << 22, 1, None),
        (32, 64, Some(32)),
        (96, 64, Some(96)),
        (64, 0, Some(0)),
        (64 << 10, 65, Some(most + (64 << 10))),
        (1 << 23, 1, Some(1 << 23)),
    ] {
        let blocks = Blocks { block_bytes, count };
        assert_eq!(
            (both(blocks, fine), both(fine, blocks)),
            match found {
                None => (Ok(()), Ok(())),
                Some(found) => (Err(found), Err(found)),
            }
        );
    }
    // What both sides write is one and the same.
    let shared = Geometry { allocator: Allocator::Shared, ..usual };
    assert_eq!(check(shared), Ok(()));
    let fewer = Blocks { count: 63, ..fine };
    assert_eq!(check(Geometry { client_blocks: fewer, ..shared }), Err(fewer.total_bytes()));
}
