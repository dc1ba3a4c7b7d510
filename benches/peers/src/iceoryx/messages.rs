//! Publish-subscribe of byte slices, written in place and read in place. A side that sleeps does so in the event service,
//! which then is notified for every message.

use super::{Events, Home, alignment, failed};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use memcpy_select::lab::paths::ways::{
    Config, Consumer, End, Limits, MAX_BYTES, Mode, Opening, PathError, Patience, Producer, Token,
};
use std::time::Duration;

pub struct Iceoryx2;

struct Ends {
    // Dropped in this order: ports before the node that they belong to.
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    events: Option<Events>,
    patience: Patience,
    _home: Home,
}

fn ends(home: Home, config: &Config) -> Result<Ends, PathError> {
    let (own, other) = home.sides();
    let messages = |from: &str| {
        home.node
            .service_builder(&home.name("messages", from)?)
            .publish_subscribe::<[u8]>()
            .payload_alignment(alignment()?)
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(config.depth)
            .subscriber_max_borrowed_samples(1)
            .open_or_create()
            .map_err(|error| failed("publish-subscribe")(&error))
    };
    let publisher = messages(own)?
        .publisher_builder()
        .initial_max_slice_len(config.max_bytes)
        .max_loaned_samples(1)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()
        .map_err(|error| failed("publisher")(&error))?;
    let subscriber = messages(other)?.subscriber_builder().create().map_err(|error| failed("subscriber")(&error))?;
    let events = if config.mode == Mode::Polling { None } else { Some(home.events()?) };
    Ok(Ends { publisher, subscriber, events, patience: Patience::of(config), _home: home })
}

impl End for Ends {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let mut sample = self.publisher.loan_slice_uninit(len_bytes).map_err(|error| failed("loan")(&error))?;
        // SAFETY: the sample has that length, and is this side's alone until it is sent.
        unsafe { producer.write(sample.payload_mut().as_mut_ptr().cast(), len_bytes) };
        // SAFETY: a producer that does not touch leaves what an earlier message, or the kernel's zeros, left: bytes.
        let sample = unsafe { sample.assume_init() };
        sample.send().map_err(|error| failed("send")(&error))?;
        self.events.as_ref().map_or(Ok(()), Events::notify)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let mut patience = self.patience;
        let sample = patience.until(
            self,
            |ends| ends.subscriber.receive().map_err(|error| failed("receive")(&error)),
            |ends, limit: Duration| ends.events.as_ref().map_or(Ok(()), |events| events.sleep(limit).map(drop)),
        )?;
        let payload = sample.payload();
        if payload.len() != len_bytes {
            return Err(failed("receive")(&payload.len()));
        }
        consumer.check(payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl memcpy_select::lab::paths::ways::Path for Iceoryx2 {
    fn name(&self) -> &str {
        "iceoryx2"
    }

    fn about(&self) -> &str {
        "iceoryx2 publish-subscribe, in place both ways"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 1, max_bytes: MAX_BYTES, max_depth: 64 }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let home = Home::near()?;
        Ok(Opening::ready(home.token(), ends(home, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        Ok(Box::new(ends(Home::far(token.bytes)?, config)?))
    }
}
