//! The HTTP filter: Envoy's hooks, each led to its configuration or exchange.

use std::sync::Arc;

use crate::abi::{BodyFlow, Config, HeadersFlow, HttpFilter, LocalReplyFlow, Stream, TrailersFlow};
use crate::exchange::HttpExchange;
use crate::filter_config::FilterConfig;

/// The filter of the name `backend_traffic_policy`.
#[derive(Debug)]
pub(crate) struct Filter;

impl HttpFilter for Filter {
    type Config = FilterConfig;
    type Exchange = HttpExchange;

    fn load(config: &mut Config<'_>, filter: &[u8], text: &[u8]) -> Option<FilterConfig> {
        FilterConfig::load(config, filter, text)
    }

    fn config_scheduled(config: &Arc<FilterConfig>, envoy: &Config<'_>) {
        config.metrics.show(envoy);
    }

    fn shows_panics(config: &FilterConfig) -> bool {
        config.shows_panics()
    }

    fn is_idle(config: &FilterConfig) -> bool {
        config.plan.governs_nothing()
    }

    // It is large, and else copied twice on its way to where it stays.
    #[inline(always)]
    fn begin(config: &Arc<FilterConfig>) -> HttpExchange {
        HttpExchange::new(config)
    }

    fn request_headers(it: &mut HttpExchange, stream: &mut Stream<'_>, end: bool) -> HeadersFlow {
        it.request_headers(stream, end)
    }

    fn request_body(it: &mut HttpExchange, stream: &mut Stream<'_>, end: bool) -> BodyFlow {
        it.request_body(stream, end)
    }

    fn request_trailers(it: &mut HttpExchange, stream: &mut Stream<'_>) -> TrailersFlow {
        it.request_trailers(stream)
    }

    fn response_headers(it: &mut HttpExchange, stream: &mut Stream<'_>, end: bool) -> HeadersFlow {
        it.response_headers(stream, end)
    }

    fn response_body(it: &mut HttpExchange, stream: &mut Stream<'_>, _: bool) -> BodyFlow {
        it.response_body(stream)
    }

    fn response_trailers(it: &mut HttpExchange, stream: &mut Stream<'_>) -> TrailersFlow {
        it.response_trailers(stream)
    }

    /// The response comes to the other hooks afterwards, and says whose it is.
    fn local_reply(_: &mut HttpExchange, _: &mut Stream<'_>, _: u32, _: &[u8]) -> LocalReplyFlow {
        LocalReplyFlow::Continue
    }

    fn scheduled(it: &mut HttpExchange, stream: &mut Stream<'_>, _: u64) {
        it.timer(stream);
    }

    fn stream_complete(it: &mut HttpExchange, stream: &mut Stream<'_>) {
        it.done(stream);
    }
}
