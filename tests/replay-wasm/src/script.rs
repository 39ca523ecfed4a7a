//! A script: for each callback the hostcalls that are made in it, in their order.
//!
//! A line is a callback without `proxy_on_`, a hostcall without `proxy_`, and what is
//! given to it, parted by spaces:
//!
//! ```text
//! request_headers get_property xds/route_name
//! request_headers get_shared_data 20 48
//! request_headers increment_metric 0 1
//! response_headers add_header_map_value 2 x-ratelimit-limit 100
//! ```
//!
//! Header maps, kinds of metrics and clocks are the numbers of the ABI. The parts of a
//! property's path are parted by `/`. Shared data has the sizes of its key and of its
//! value.

use crate::abi;

/// What Envoy calls for an exchange.
#[derive(Clone, Copy)]
pub(crate) enum Callback {
    ContextCreate,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Done,
}

/// What is replayed for each exchange of a plugin.
pub(crate) struct Script {
    /// In the order of [`CALLBACKS`].
    calls: [Vec<Call>; CALLBACKS.len()],
}

/// A hostcall with all that is given to it.
enum Call {
    GetProperty(Vec<u8>),
    SetProperty(Vec<u8>, Vec<u8>),
    GetHeaders(u32),
    GetHeader(u32, Vec<u8>),
    AddHeader(u32, Vec<u8>, Vec<u8>),
    ReplaceHeader(u32, Vec<u8>, Vec<u8>),
    RemoveHeader(u32, Vec<u8>),
    GetSharedData(Vec<u8>),
    SetSharedData(Vec<u8>, Vec<u8>),
    GetMetric(u32),
    IncrementMetric(u32, i64),
    RecordMetric(u32),
    GetTime(u32),
}

/// The words of a line.
struct Words<'a> {
    line: &'a str,
    rest: std::str::Split<'a, char>,
}

/// Their names, in the order of the type.
const CALLBACKS: [&str; 8] = [
    "context_create",
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
    "done",
];

/// All replays count in the same metric of a kind.
const METRIC: &str = "replay";

impl Script {
    /// Reads a script, and prepares what its calls need: metrics, and shared data of this
    /// plugin's own.
    pub(crate) fn read(text: &str, root: u32) -> Result<Self, String> {
        let mut calls = CALLBACKS.map(|_| Vec::new());
        for line in text.lines() {
            let mut words = Words {
                line,
                rest: line.split(' '),
            };
            let callback = words.next()?;
            let index = CALLBACKS.iter().position(|it| *it == callback);
            let index = index.ok_or_else(|| words.refuse("no such callback"))?;
            calls[index].push(Call::read(&mut words, root)?);
        }
        Ok(Self { calls })
    }

    /// Makes the calls of this callback.
    pub(crate) fn replay(&self, callback: Callback) {
        for call in &self.calls[callback as usize] {
            call.make();
        }
    }
}

impl Call {
    fn read(words: &mut Words<'_>, root: u32) -> Result<Self, String> {
        let call = match words.next()? {
            "get_property" => Self::GetProperty(words.path()?),
            "set_property" => Self::SetProperty(words.path()?, words.text()?),
            "get_header_map_pairs" => Self::GetHeaders(words.number()?),
            "get_header_map_value" => Self::GetHeader(words.number()?, words.text()?),
            "add_header_map_value" => {
                Self::AddHeader(words.number()?, words.text()?, words.text()?)
            }
            "replace_header_map_value" => {
                Self::ReplaceHeader(words.number()?, words.text()?, words.text()?)
            }
            "remove_header_map_value" => Self::RemoveHeader(words.number()?, words.text()?),
            "get_shared_data" => Self::GetSharedData(words.shared(root, "get")?.0),
            "set_shared_data" => {
                let (key, value) = words.shared(root, "set")?;
                Self::SetSharedData(key, value)
            }
            "get_metric" => Self::GetMetric(words.metric()?),
            "increment_metric" => Self::IncrementMetric(words.metric()?, words.number()?),
            "record_metric" => Self::RecordMetric(words.metric()?),
            "clock_time_get" => Self::GetTime(words.number()?),
            _ => return Err(words.refuse("no such hostcall")),
        };
        match words.rest.next() {
            None => Ok(call),
            Some(_) => Err(words.refuse("too much is given to the hostcall")),
        }
    }

    fn make(&self) {
        match self {
            Self::GetProperty(path) => abi::get_property(path),
            Self::SetProperty(path, value) => abi::set_property(path, value),
            Self::GetHeaders(map) => abi::get_headers(*map),
            Self::GetHeader(map, name) => abi::get_header(*map, name),
            Self::AddHeader(map, name, value) => abi::add_header(*map, name, value),
            Self::ReplaceHeader(map, name, value) => abi::replace_header(*map, name, value),
            Self::RemoveHeader(map, name) => abi::remove_header(*map, name),
            Self::GetSharedData(key) => abi::get_shared_data(key),
            Self::SetSharedData(key, value) => abi::set_shared_data(key, value),
            Self::GetMetric(id) => abi::get_metric(*id),
            Self::IncrementMetric(id, by) => abi::increment_metric(*id, *by),
            Self::RecordMetric(id) => abi::record_metric(*id),
            Self::GetTime(clock) => abi::get_time(*clock),
        }
    }
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<&'a str, String> {
        let word = self.rest.next();
        word.ok_or_else(|| self.refuse("something is missing at the end"))
    }

    fn text(&mut self) -> Result<Vec<u8>, String> {
        Ok(self.next()?.as_bytes().to_vec())
    }

    fn path(&mut self) -> Result<Vec<u8>, String> {
        Ok(self.next()?.replace('/', "\0").into_bytes())
    }

    fn number<N: std::str::FromStr>(&mut self) -> Result<N, String> {
        let word = self.next()?;
        let number = word.parse().ok();
        number.ok_or_else(|| self.refuse(&format!("{word} is no such number")))
    }

    fn metric(&mut self) -> Result<u32, String> {
        let kind = self.number()?;
        abi::define_metric(kind, METRIC).ok_or_else(|| self.refuse("no such kind of metric"))
    }

    /// A key and a value of these sizes, which are in shared data from now on. What is
    /// read is not what others write: exchanges run at the same time, and each reads what
    /// its script says.
    fn shared(&mut self, root: u32, purpose: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
        let (key, value): (usize, usize) = (self.number()?, self.number()?);
        let name = format!("{purpose}{root}.{value}");
        let key = format!("{name:.<key$}").into_bytes();
        let value = vec![b'0'; value];
        abi::set_shared_data(&key, &value);
        Ok((key, value))
    }

    fn refuse(&self, reason: &str) -> String {
        format!("replay: {reason}, in {:?}", self.line)
    }
}
