//! The two sides of a session over plain memory, and a server that answers out of files.

use crate::files::Files;
use memcpy_select::transport::geometry::{Allocator, Blocks, Geometry};
use memcpy_select::transport::session::{
    ClientSide, Incoming, QueueLayout, Reply, ServerSide, data_bytes, lay_out_shared,
};
use memcpy_select::transport::{
    Copier, ErrorCode, Flags, Kind, Mapped, Memory, Request, Response, Slice, Value, Violation,
};

pub fn geometry(allocator: Allocator, capacity: u32, block_bytes: u32) -> Geometry {
    let blocks = Blocks { block_bytes, count: 64 };
    Geometry { allocator, ..Geometry::symmetric(capacity, 16, blocks) }
}

/// All geometries that differ in kind.
pub fn geometries() -> Vec<Geometry> {
    let mut all = Vec::new();
    for allocator in [Allocator::Owned, Allocator::Shared] {
        for (capacity, block_bytes) in [(2, 64), (8, 256), (64, 4096)] {
            let blocks = Blocks { block_bytes, count: 24 * capacity };
            let geometry = geometry(allocator, capacity, block_bytes);
            let geometry = Geometry { client_blocks: blocks, server_blocks: blocks, ..geometry };
            // Entries without room for bytes, and with some.
            all.push(geometry);
            all.push(Geometry { response_stride_bytes: 12, ..geometry });
            all.push(Geometry { request_stride_bytes: 64, response_stride_bytes: 192, ..geometry });
        }
    }
    all
}

/// The queue region, the client's data and the server's.
pub fn memories(geometry: &Geometry) -> [Mapped; 3] {
    let queue = Mapped::private(QueueLayout::of(geometry).unwrap().len_bytes).unwrap();
    let client = Mapped::private(data_bytes(geometry.client_blocks, geometry.allocator).unwrap()).unwrap();
    let server = match geometry.allocator {
        Allocator::Shared => {
            lay_out_shared(&client, geometry.client_blocks).unwrap();
            client.clone()
        }
        Allocator::Owned => Mapped::private(data_bytes(geometry.server_blocks, geometry.allocator).unwrap()).unwrap(),
    };
    [queue, client, server]
}

/// Both sides of a session in this process. With owned blocks each side can only read the other's.
pub fn pair(geometry: &Geometry) -> (ClientSide<Mapped>, ServerSide<Mapped>) {
    let [queue, client, server] = memories(geometry);
    let foreign = |memory: &Mapped| match geometry.allocator {
        Allocator::Owned => memory.read_only(),
        Allocator::Shared => memory.clone(),
    };
    (
        ClientSide::new(geometry, queue.clone(), client.clone(), foreign(&server)).unwrap(),
        ServerSide::new(geometry, queue, foreign(&client), server).unwrap(),
    )
}

/// The bytes of a job's payload.
pub fn payload<M: Memory + Clone>(side: &ServerSide<M>, incoming: &Incoming) -> Vec<u8> {
    let chain = &side.job(incoming.job.unwrap()).unwrap().payload;
    let place = &side.data.theirs;
    let mut bytes = vec![0; chain.length() as usize];
    let copied = chain.read(place, 0, &mut bytes, Copier::AUTO);
    assert_eq!(copied, bytes.len());
    bytes
}

/// Answers every request that has come out of `files`, up to `limit` of them.
pub fn serve<M: Memory + Clone>(side: &mut ServerSide<M>, files: &mut Files, limit: usize) -> Result<usize, Violation> {
    let mut served = 0;
    while served < limit
        && let Some(incoming) = side.take_request()?
    {
        served += 1;
        let Request { kind, flags, handle, args, .. } = incoming.request;
        let Some(job) = incoming.job else {
            files.close(handle);
            continue;
        };
        let value = |result: Result<Value, ErrorCode>| Reply::Value(result.unwrap_or_else(ErrorCode::value));
        let amount = |amount: u32| Value::number(amount);
        let handle_value = |handle: u32| Value::number(handle);
        let position = |position: u64| Value(position);
        let reply = match kind {
            Kind::Read => match files.read(handle, args.to_number() as usize, flags.has(Flags::ADVANCE)) {
                Err(code) => Reply::Value(code.value()),
                Ok(bytes) => match side.lend(bytes.len() as u32) {
                    Ok(mut chain) => {
                        let place = &side.data.own;
                        chain.write(place, 0, &bytes, Copier::AUTO);
                        Reply::Bytes(chain)
                    }
                    Err(memcpy_select::transport::blocks::AllocateError::OutOfBlocks) => {
                        files.unread(handle, bytes.len(), flags.has(Flags::ADVANCE));
                        Reply::Value(ErrorCode::OUT_OF_BLOCKS.value())
                    }
                    Err(memcpy_select::transport::blocks::AllocateError::Violation(violation)) => {
                        return Err(violation);
                    }
                },
            },
            Kind::Write => value(files.write(handle, &payload(side, &incoming)).map(amount)),
            Kind::Open => value(files.open(&payload(side, &incoming)).map(handle_value)),
            Kind::Create => value(files.create(&payload(side, &incoming)).map(handle_value)),
            Kind::Destroy => value(files.destroy(&payload(side, &incoming)).map(|()| amount(0))),
            Kind::SeekStart => value(files.seek_start(handle, args.0).map(position)),
            Kind::SeekCurrent => value(files.seek_current(handle, args.0 as i64).map(position)),
            Kind::SeekEnd => value(files.seek_end(handle, args.0 as i64).map(position)),
            Kind::Share | Kind::Close | Kind::Stream | Kind::Credit => Reply::Value(ErrorCode::UNSUPPORTED.value()),
        };
        match side.answer(job, reply) {
            Ok(()) => {}
            Err(memcpy_select::transport::session::AnswerError::Violation(violation)) => return Err(violation),
            Err(error) => panic!("{error:?}"),
        }
    }
    side.take_releases()?;
    side.flush();
    Ok(served)
}

/// A request and a response that nobody sane would send.
pub fn slice_value(block: u32, length: u32) -> Value {
    Value::slice(Slice { block, length })
}

/// A response entry.
pub fn response(id: u64, value: Value) -> [u32; 3] {
    let id = memcpy_select::transport::JobId(id as u32);
    Response { has_object: false, has_more: false, id, value }.to_entry()
}
