//! The interface of a filter, one method for each hook: implemented outside of this room,
//! and called by `hooks`.

use std::sync::Arc;

use super::config::Config;
use super::stream::Stream;
use super::types::{BodyFlow, HeadersFlow, LocalReplyFlow, TrailersFlow};

/// An HTTP filter. Hooks that Envoy calls while another one of the same exchange runs
/// (`local_reply` for a reply of our own) do not arrive here.
pub(crate) trait HttpFilter: 'static {
    /// A configuration in force, for all workers.
    type Config: Send + Sync;
    /// An exchange, on one worker. It is dropped after a panic in one of its hooks,
    /// without another hook, and must give back what it holds then.
    type Exchange;

    /// Loads a configuration; `None` refuses it, with the reason logged.
    fn load(config: &mut Config<'_>, filter: &[u8], text: &[u8]) -> Option<Self::Config>;
    /// A scheduler of the configuration was told to have this called, on the main thread.
    fn config_scheduled(config: &Arc<Self::Config>, envoy: &Config<'_>);
    /// Whether panics are counted where this configuration's metrics are; else by
    /// another one.
    fn shows_panics(config: &Self::Config) -> bool;
    /// Whether there is nothing to do for any exchange: none begins, and all pass.
    fn is_idle(config: &Self::Config) -> bool;
    /// An exchange begins. Nothing of it is there yet.
    fn begin(config: &Arc<Self::Config>) -> Self::Exchange;
    /// Request headers, which may be the end of the request.
    fn request_headers(
        exchange: &mut Self::Exchange,
        stream: &mut Stream<'_>,
        end: bool,
    ) -> HeadersFlow;
    /// A piece of the request's body; the end may come without bytes.
    fn request_body(exchange: &mut Self::Exchange, stream: &mut Stream<'_>, end: bool) -> BodyFlow;
    /// Request trailers.
    fn request_trailers(exchange: &mut Self::Exchange, stream: &mut Stream<'_>) -> TrailersFlow;
    /// Response headers, which may be the end of the response.
    fn response_headers(
        exchange: &mut Self::Exchange,
        stream: &mut Stream<'_>,
        end: bool,
    ) -> HeadersFlow;
    /// A piece of the response's body; the end may come without bytes.
    fn response_body(exchange: &mut Self::Exchange, stream: &mut Stream<'_>, end: bool)
    -> BodyFlow;
    /// Response trailers.
    fn response_trailers(exchange: &mut Self::Exchange, stream: &mut Stream<'_>) -> TrailersFlow;
    /// Envoy is about to answer the client itself, be it because a route says so.
    fn local_reply(
        exchange: &mut Self::Exchange,
        stream: &mut Stream<'_>,
        status: u32,
        details: &[u8],
    ) -> LocalReplyFlow;
    /// What a scheduler was told of has come.
    fn scheduled(exchange: &mut Self::Exchange, stream: &mut Stream<'_>, event: u64);
    /// The exchange is over, and access logs are about to be written.
    fn stream_complete(exchange: &mut Self::Exchange, stream: &mut Stream<'_>);
}
