//! The script of a replay (`tests/replay-wasm/src/script.rs`), made from what an instance
//! of the filter has done.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::hostcalls::{filler, header, header_value, property};
use super::observed::{Entry, Exchange, Hostcall};

/// How often a call was made with these arguments.
type Before<'a> = BTreeMap<(&'a str, &'a [i64]), usize>;

/// A line for each hostcall.
pub fn script(exchange: &Exchange) -> Result<String> {
    let mut script = String::new();
    let mut before = Before::new();
    let mut known: Vec<&Entry> = Vec::new();
    for entry in &exchange.0 {
        let callback = &entry.callback;
        let expected = match callback.as_str() {
            "context_create" => "void",
            "done" => "1",
            _ => "0",
        };
        ensure!(
            entry.result == expected,
            "{callback} returns {}: no replay does that",
            entry.result
        );
        // A script has one list for a callback, whenever that comes.
        if let Some(first) = known.iter().find(|it| it.callback == *callback) {
            ensure!(
                first.hostcalls == entry.hostcalls,
                "{callback} does something else the second time: no replay does that"
            );
            continue;
        }
        known.push(entry);
        for hostcall in &entry.hostcalls {
            let line =
                line(hostcall, &mut before).with_context(|| format!("{callback}: {hostcall:?}"))?;
            script.push_str(&format!("{callback} {line}\n"));
        }
    }
    Ok(script)
}

fn line<'a>(hostcall: &'a Hostcall, before: &mut Before<'a>) -> Result<String> {
    let call = hostcall.name.as_str();
    let mut named = |map, size| {
        let times = before.entry((call, &hostcall.arguments[..2])).or_default();
        let name = header(map, size, *times);
        *times += 1;
        name
    };
    let given = match (call, &hostcall.arguments[..]) {
        ("get_property", [path]) => property(*path)?.to_owned(),
        ("set_property", [path, value]) => format!("{} {}", property(*path)?, filler(*value)?),
        ("get_header_map_value" | "remove_header_map_value", [map, name]) => {
            format!("{map} {}", named(*map, *name)?)
        }
        ("add_header_map_value" | "replace_header_map_value", [map, name, value]) => {
            let name = named(*map, *name)?;
            format!("{map} {name} {}", header_value(*map, name, *value)?)
        }
        ("get_shared_data", [key]) => {
            let value = hostcall.allocated.first().copied().unwrap_or_default();
            format!("{key} {value}")
        }
        ("set_shared_data" | "increment_metric", [first, second]) => format!("{first} {second}"),
        ("get_header_map_pairs" | "get_metric" | "record_metric" | "clock_time_get", [number]) => {
            number.to_string()
        }
        _ => bail!("such a call is not known"),
    };
    Ok(format!("{call} {given}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hostcall and its arguments.
    type Made<'a> = (&'a str, &'a [i64]);

    fn exchange(entries: &[(&str, &[Made<'_>])]) -> Exchange {
        let hostcall = |(name, arguments): &Made<'_>| Hostcall {
            name: (*name).to_owned(),
            arguments: arguments.to_vec(),
            allocated: vec![48],
            status: "0".to_owned(),
        };
        let entries = entries.iter().map(|(callback, hostcalls)| Entry {
            callback: (*callback).to_owned(),
            hostcalls: hostcalls.iter().map(hostcall).collect(),
            result: "0".to_owned(),
        });
        Exchange(entries.collect())
    }

    #[test]
    fn each_call_is_a_line_with_texts_of_the_sizes() {
        let exchange = exchange(&[
            (
                "request_headers",
                &[
                    ("get_property", &[14]),
                    ("set_property", &[12, 3]),
                    ("get_header_map_pairs", &[0]),
                    ("replace_header_map_value", &[0, 16, 3]),
                    ("get_shared_data", &[20]),
                    ("set_shared_data", &[20, 50]),
                    ("clock_time_get", &[1]),
                ],
            ),
            (
                "response_headers",
                &[
                    ("get_header_map_value", &[2, 7]),
                    ("add_header_map_value", &[2, 17, 2]),
                    ("add_header_map_value", &[2, 21, 1]),
                    ("add_header_map_value", &[2, 17, 1]),
                    ("increment_metric", &[0, 1]),
                ],
            ),
        ]);
        let expected = "\
            request_headers get_property xds/route_name\n\
            request_headers set_property btp_exchange 111\n\
            request_headers get_header_map_pairs 0\n\
            request_headers replace_header_map_value 0 x-envoy-retry-on 5xx\n\
            request_headers get_shared_data 20 48\n\
            request_headers set_shared_data 20 50\n\
            request_headers clock_time_get 1\n\
            response_headers get_header_map_value 2 :status\n\
            response_headers add_header_map_value 2 x-ratelimit-limit 11\n\
            response_headers add_header_map_value 2 x-ratelimit-remaining 1\n\
            response_headers add_header_map_value 2 x-ratelimit-reset 1\n\
            response_headers increment_metric 0 1\n";
        assert_eq!(script(&exchange).unwrap(), expected);
    }

    #[test]
    fn what_is_not_in_the_tables_is_named() {
        let other: &[&[Made<'_>]] = &[
            &[("get_property", &[999])],
            &[("get_header_map_value", &[2, 999])],
            &[("replace_header_map_value", &[0, 16, 999])],
        ];
        for hostcalls in other {
            let error = script(&exchange(&[("request_headers", *hostcalls)])).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.contains("request_headers") && text.contains("999"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_callback_that_comes_again_does_the_same() {
        let clock: &[Made<'_>] = &[("clock_time_get", &[1])];
        let same = exchange(&[("response_body", clock), ("response_body", clock)]);
        assert_eq!(script(&same).unwrap(), "response_body clock_time_get 1\n");
        let other = exchange(&[("response_body", clock), ("response_body", &[])]);
        assert!(script(&other).is_err());
    }

    #[test]
    fn what_holds_a_request_is_no_script() {
        let mut held = exchange(&[("request_headers", &[])]);
        held.0[0].result = "1".to_owned();
        assert!(script(&held).is_err());
    }
}
