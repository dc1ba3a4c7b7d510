//! Request-response of byte slices, both written in place and read in place. The near side is the client and the far side
//! the server, which therefore sends only after it has received. A request that brings no payload back, because only one
//! side sends any, gets a response without bytes: every request has its response, as in the table's own row.
//!
//! A side that sleeps does so in the event service. The server's is notified of every request; the client's of responses
//! that bring a payload, since it waits for no others.

use super::{Events, Home, alignment, failed};
use iceoryx2::active_request::ActiveRequest;
use iceoryx2::pending_response::PendingResponse;
use iceoryx2::port::client::Client;
use iceoryx2::port::server::Server;
use iceoryx2::prelude::*;
use memcpy_select::lab::paths::ways::{
    Config, Consumer, End, Limits, MAX_BYTES, Mode, Opening, PathError, Patience, Producer, Token,
};
use std::collections::VecDeque;
use std::time::Duration;

pub struct Iceoryx2Request;

/// The most requests under way.
const MAX_DEPTH: usize = 64;

// Both are dropped in this order: what belongs to a port before it, ports before the node that they belong to.
struct Near {
    asked: VecDeque<Asked>,
    client: Client<ipc::Service, [u8], (), [u8], ()>,
    events: Option<Events>,
    patience: Patience,
    _home: Home,
}

struct Far {
    /// Received, and not answered yet.
    held: Option<Held>,
    server: Server<ipc::Service, [u8], (), [u8], ()>,
    events: Option<Events>,
    patience: Patience,
    _home: Home,
}

type Asked = PendingResponse<ipc::Service, [u8], (), [u8], ()>;
type Held = ActiveRequest<ipc::Service, [u8], (), [u8], ()>;
type Requests = iceoryx2::service::port_factory::request_response::PortFactory<ipc::Service, [u8], (), [u8], ()>;

fn requests(home: &Home, config: &Config) -> Result<Requests, PathError> {
    home.node
        .service_builder(&home.name("requests", "near")?)
        .request_response::<[u8], [u8]>()
        .request_payload_alignment(alignment()?)
        .response_payload_alignment(alignment()?)
        .enable_safe_overflow_for_requests(false)
        .enable_safe_overflow_for_responses(false)
        .max_active_requests_per_client(config.depth)
        .max_loaned_requests(1)
        .max_response_buffer_size(1)
        .max_borrowed_responses_per_pending_response(1)
        .max_clients(1)
        .max_servers(1)
        .open_or_create()
        .map_err(|error| failed("request-response")(&error))
}

fn events(home: &Home, config: &Config) -> Result<Option<Events>, PathError> {
    if config.mode == Mode::Polling { Ok(None) } else { home.events().map(Some) }
}

fn sleep(events: Option<&Events>, limit: Duration) -> Result<(), PathError> {
    events.map_or(Ok(()), |events| events.sleep(limit).map(drop))
}

fn consume(payload: &[u8], len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
    if payload.len() != len_bytes {
        return Err(failed("receive")(&payload.len()));
    }
    consumer.check(payload);
    Ok(())
}

impl End for Near {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let mut request = self.client.loan_slice_uninit(len_bytes).map_err(|error| failed("loan")(&error))?;
        // SAFETY: the request has that length, and is this side's alone until it is sent.
        unsafe { producer.write(request.payload_mut().as_mut_ptr().cast(), len_bytes) };
        // SAFETY: a producer that does not touch leaves what an earlier message, or the kernel's zeros, left: bytes.
        let request = unsafe { request.assume_init() };
        self.asked.push_back(request.send().map_err(|error| failed("send")(&error))?);
        self.events.as_ref().map_or(Ok(()), Events::notify)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        // Bounded: each turn takes the response to one request that was under way.
        while let Some(asked) = self.asked.pop_front() {
            let response = self.patience.until(
                &mut self.events,
                |_| asked.receive().map_err(|error| failed("receive")(&error)),
                |events, limit| sleep(events.as_ref(), limit),
            )?;
            if !response.payload().is_empty() {
                return consume(response.payload(), len_bytes, consumer);
            }
        }
        Err(failed("receive")(&"nothing was asked"))
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl End for Far {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let request = self.held.take().ok_or_else(|| failed("send")(&"there is nothing to answer"))?;
        let mut response = request.loan_slice_uninit(len_bytes).map_err(|error| failed("loan")(&error))?;
        // SAFETY: the response has that length, and is this side's alone until it is sent.
        unsafe { producer.write(response.payload_mut().as_mut_ptr().cast(), len_bytes) };
        // SAFETY: as for requests.
        let response = unsafe { response.assume_init() };
        response.send().map_err(|error| failed("send")(&error))?;
        self.events.as_ref().map_or(Ok(()), Events::notify)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        if let Some(request) = self.held.take() {
            let nothing = request.loan_slice(0).map_err(|error| failed("loan")(&error))?;
            nothing.send().map_err(|error| failed("send")(&error))?;
        }
        let request = self.patience.until(
            &mut (&self.server, &self.events),
            |(server, _)| server.receive().map_err(|error| failed("receive")(&error)),
            |(_, events), limit| sleep(events.as_ref(), limit),
        )?;
        let consumed = consume(request.payload(), len_bytes, consumer);
        self.held = Some(request);
        consumed
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl memcpy_select::lab::paths::ways::Path for Iceoryx2Request {
    fn name(&self) -> &str {
        "iceoryx2_request"
    }

    fn about(&self) -> &str {
        "iceoryx2 request-response, in place both ways"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 1, max_bytes: MAX_BYTES, max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (home, config) = (Home::near()?, config.clone());
        // Made once the server is there: a request without one goes nowhere.
        Ok(Opening::pending(home.token(), move || {
            let client = requests(&home, &config)?
                .client_builder()
                .initial_max_slice_len(config.max_bytes)
                .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                .create()
                .map_err(|error| failed("client")(&error))?;
            let (events, patience) = (events(&home, &config)?, Patience::of(&config));
            Ok(Box::new(Near { asked: VecDeque::with_capacity(MAX_DEPTH), client, events, patience, _home: home }))
        }))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let home = Home::far(token.bytes)?;
        let server = requests(&home, config)?
            .server_builder()
            .initial_max_slice_len(config.max_bytes)
            .max_loaned_responses_per_request(1)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(|error| failed("server")(&error))?;
        let (events, patience) = (events(&home, config)?, Patience::of(config));
        Ok(Box::new(Far { held: None, server, events, patience, _home: home }))
    }
}
