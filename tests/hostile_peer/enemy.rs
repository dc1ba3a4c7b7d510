//! A server that is none, with one client; what it asserts is that it could do what it meant to.

use super::neighbours::{LONG, until};
pub use memcpy_select::lab::neighbours::enemy::{Enemy, Got, amount, flood, hello, meddle, silent, slice};
use memcpy_select::transport::connect::{Channel, Greeted, Greeting, Listener, Step};
use memcpy_select::transport::memory::Store;
use memcpy_select::transport::ring::{Consumer, Producer};
use memcpy_select::transport::session::{QueueLayout, data_bytes};
use memcpy_select::transport::{
    Address, Allocator, Geometry, JobId, Mapped, Memory, Peers, Region, RegionOptions, Request, Response, Value,
};

/// A server that is none, with one client.
pub struct FalseServer {
    pub channel: Channel,
    pub layout: QueueLayout,
    pub queue: Mapped,
    pub data: Mapped,
    pub region: Region,
    requests: Consumer<Mapped, 4>,
    responses: Producer<Mapped, 3>,
}

impl FalseServer {
    pub fn accept(address: &Address, geometry: Geometry) -> Self {
        assert_eq!(geometry.allocator, Allocator::Owned);
        let mut listener = Listener::bind(address, Peers::SameUser).unwrap();
        let mut greeting: Option<Greeting> = None;
        until("somebody connects", || {
            greeting = listener.accept(LONG).unwrap();
            greeting.is_some()
        });
        let mut greeting = greeting.unwrap();
        let layout = QueueLayout::of(&geometry).unwrap();
        let bytes = data_bytes(geometry.server_blocks, geometry.allocator).unwrap();
        let region = Region::create(bytes, RegionOptions::default()).unwrap();
        region.seal_writing().unwrap();
        until("the client agrees", || match greeting.step().unwrap() {
            Step::Pending => false,
            Step::Asked => {
                greeting.offer(geometry, &region).unwrap();
                false
            }
            Step::Agreed => true,
        });
        let Greeted { channel, queue, .. } = greeting.finish().unwrap();
        let memory = queue.into_memory();
        Self {
            requests: Consumer::new(memory.clone(), layout.requests),
            responses: Producer::new(memory.clone(), layout.responses),
            channel,
            layout,
            queue: memory,
            data: region.memory().clone(),
            region,
        }
    }

    pub fn next(&mut self) -> Request {
        let mut found = None;
        until("the client asks", || {
            found = self.requests.pop();
            found.is_some()
        });
        self.requests.release();
        Request::from_entry(found.unwrap()).unwrap()
    }

    pub fn answer(&mut self, id: JobId, has_object: bool, value: Value) {
        assert!(self.responses.push(Response { has_object, has_more: false, id, value }.to_entry()).unwrap());
        self.responses.publish();
        self.ring();
    }

    pub fn ring(&self) {
        self.queue.store32(self.layout.client_doorbell_at, 0, Store::Relaxed);
        self.queue.unpark(self.layout.client_doorbell_at);
    }

    /// Waits until the client has gone.
    pub fn is_left(&self) {
        until("the client leaves", || self.channel.is_gone());
    }
}
