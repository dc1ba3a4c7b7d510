//! iceoryx2: publish-subscribe of byte slices, written in place and read in place. A side that sleeps does so in
//! iceoryx2's event service, which then is notified for every message.

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use memcpy_select::path::{
    Config, Consumer, End, Limits, MAX_BYTES, Mode, Opening, PathError, Patience, Producer, Token,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Payloads start cache lines, as ours do.
const ALIGNMENT_BYTES: usize = 64;

pub struct Iceoryx2;

struct Ends {
    // Dropped in this order: ports before the node that they belong to.
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    events: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    patience: Patience,
    _node: Node<ipc::Service>,
}

fn failed(what: &'static str) -> impl Fn(&dyn std::fmt::Debug) -> PathError {
    move |error| PathError::Protocol { what: format!("iceoryx2, {what}: {error:?}") }
}

fn ends(base: &str, config: &Config, is_near: bool) -> Result<Ends, PathError> {
    set_log_level(LogLevel::Fatal);
    let node = NodeBuilder::new().create::<ipc::Service>().map_err(|error| failed("node")(&error))?;
    let (own, other) = if is_near { ("near", "far") } else { ("far", "near") };
    let name = |from: &str, kind: &str| {
        ServiceName::new(&format!("{base}/{kind}-of-{from}")).map_err(|error| failed("name")(&error))
    };
    let messages = |from: &str| {
        let alignment = Alignment::new(ALIGNMENT_BYTES).ok_or_else(|| failed("alignment")(&ALIGNMENT_BYTES))?;
        node.service_builder(&name(from, "messages")?)
            .publish_subscribe::<[u8]>()
            .payload_alignment(alignment)
            .enable_safe_overflow(false)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .subscriber_max_buffer_size(config.depth)
            .subscriber_max_borrowed_samples(1)
            .open_or_create()
            .map_err(|error| failed("publish-subscribe")(&error))
    };
    let event = |from: &str| {
        let service = node.service_builder(&name(from, "events")?).event().open_or_create();
        service.map_err(|error| failed("event")(&error))
    };
    let publisher = messages(own)?
        .publisher_builder()
        .initial_max_slice_len(config.max_bytes)
        .max_loaned_samples(1)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()
        .map_err(|error| failed("publisher")(&error))?;
    let subscriber = messages(other)?.subscriber_builder().create().map_err(|error| failed("subscriber")(&error))?;
    let events = if config.mode == Mode::Polling {
        None
    } else {
        let notifier = event(own)?.notifier_builder().create().map_err(|error| failed("notifier")(&error))?;
        let listener = event(other)?.listener_builder().create().map_err(|error| failed("listener")(&error))?;
        Some((notifier, listener))
    };
    Ok(Ends { publisher, subscriber, events, patience: Patience::of(config), _node: node })
}

impl End for Ends {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let mut sample = self.publisher.loan_slice_uninit(len_bytes).map_err(|error| failed("loan")(&error))?;
        // SAFETY: the sample has that length, and is this side's alone until it is sent.
        unsafe { producer.write(sample.payload_mut().as_mut_ptr().cast(), len_bytes) };
        // SAFETY: a producer that does not touch leaves what an earlier message, or the kernel's zeros, left: bytes.
        let sample = unsafe { sample.assume_init() };
        sample.send().map_err(|error| failed("send")(&error))?;
        if let Some((notifier, _)) = &self.events {
            notifier.notify().map_err(|error| failed("notify")(&error))?;
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let mut patience = self.patience;
        let sample = patience.until(
            self,
            |ends| ends.subscriber.receive().map_err(|error| failed("receive")(&error)),
            |ends, limit: Duration| match &ends.events {
                Some((_, listener)) => {
                    listener.timed_wait(|_| {}, limit).map(drop).map_err(|error| failed("wait")(&error))
                }
                None => Ok(()),
            },
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

impl memcpy_select::path::Path for Iceoryx2 {
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
        static MADE: AtomicU32 = AtomicU32::new(0);
        let base = format!("memcpy-select/{}/{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let near = ends(&base, config, true)?;
        Ok(Opening::ready(Token { bytes: base.into_bytes(), descriptors: Vec::new() }, near))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let base = String::from_utf8(token.bytes).map_err(|error| failed("token")(&error))?;
        Ok(Box::new(ends(&base, config, false)?))
    }
}
