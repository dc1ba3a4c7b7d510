//! A session beside the one under attack.

use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Blocks, Geometry};
use memcpy_select::transport::session::{ClientSide, Outcome, QueueLayout, Reply, ServerSide, data_bytes};
use memcpy_select::transport::{Copier, Flags, Kind, Mapped, Request, Value};

/// Another session of the same process, between honest sides.
pub struct Neighbour {
    client: ClientSide<Mapped>,
    server: ServerSide<Mapped>,
    turns: u8,
}

impl Neighbour {
    pub fn new() -> Self {
        let blocks = Blocks { block_bytes: 64, count: 16 };
        let geometry = Geometry::symmetric(4, 16, blocks);
        let region = |len_bytes| Mapped::private(len_bytes).unwrap();
        let queue = region(QueueLayout::of(&geometry).unwrap().len_bytes);
        let data = [(); 2].map(|()| region(data_bytes(blocks, Allocator::Owned).unwrap()));
        Self {
            client: ClientSide::new(&geometry, queue.clone(), data[0].clone(), data[1].read_only()).unwrap(),
            server: ServerSide::new(&geometry, queue, data[0].read_only(), data[1].clone()).unwrap(),
            turns: 0,
        }
    }

    /// A write there and a read back, and both are right.
    pub fn goes_on(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        let bytes: Vec<u8> = (0..200).map(|at| self.turns.wrapping_add(at)).collect();
        let mut chain = self.client.data.allocate(200).unwrap();
        let place = &self.client.data.own;
        chain.write(place, 0, &bytes, Copier::AUTO);
        let ticket = self.client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), chain).unwrap();
        self.client.flush().unwrap();
        let Request { kind: Kind::Write, .. } = self.serve(&bytes) else { panic!("another request") };
        assert_eq!(self.client.poll(), Ok(Some(ticket)));
        assert_eq!(self.client.take(ticket), Some(Outcome::Amount(200)));
        let args = Value::number(200);
        let ticket = self.client.submit(Request::new(Kind::Read, Flags::DATA, 1, args), Chain::EMPTY).unwrap();
        self.client.flush().unwrap();
        self.serve(&bytes);
        assert_eq!(self.client.poll(), Ok(Some(ticket)));
        let Some(Outcome::Read(chain)) = self.client.take(ticket) else { panic!("no bytes") };
        let place = &self.client.data.theirs;
        let mut got = vec![0; 200];
        chain.read(place, 0, &mut got, Copier::AUTO);
        assert_eq!(got, bytes);
        self.client.release(chain).unwrap();
    }

    fn serve(&mut self, bytes: &[u8]) -> Request {
        self.server.take_releases().unwrap();
        let incoming = self.server.take_request().unwrap().unwrap();
        let job = incoming.job.unwrap();
        let reply = if incoming.request.kind == Kind::Write {
            let place = &self.server.data.theirs;
            let mut got = vec![0; 200];
            self.server.job(job).unwrap().payload.read(place, 0, &mut got, Copier::AUTO);
            assert_eq!(got, bytes);
            Reply::Value(Value::number(200))
        } else {
            let mut chain = self.server.lend(200).unwrap();
            let place = &self.server.data.own;
            chain.write(place, 0, bytes, Copier::AUTO);
            Reply::Bytes(chain)
        };
        self.server.answer(job, reply).unwrap();
        self.server.flush();
        incoming.request
    }
}
