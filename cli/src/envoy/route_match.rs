//! Which route of a table matches a request, by Envoy's rules.
//!
//! The request has a request line (method, scheme, host and path) and some headers. All
//! other headers count as absent, and a fraction of the traffic counts as all of it.

use btp_policy::Regex;
use btp_policy::node::{Node, Value};

use super::address::Address;
use super::tree::{field, find, items, text};

/// A request, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    method: String,
    scheme: String,
    /// With the port, if it is said; `None`: whichever a table has first.
    host: Option<String>,
    path: String,
    query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    /// Reads `POST https://shop/api?x=1`; the method may be left out, and scheme and host
    /// together.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (method, url) = text.split_once(' ').unwrap_or(("GET", text));
        let url = url.trim();
        let (scheme, host, target) = match url.split_once("://") {
            Some((scheme, rest)) => {
                let (host, target) = match rest.find('/') {
                    Some(start) => rest.split_at(start),
                    None => (rest, "/"),
                };
                (scheme, Some(host), target)
            }
            None => ("http", None, url),
        };
        let target = target.split('#').next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is_token =
            |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic());
        let is_valid = is_token(method)
            && host.is_none_or(is_token)
            && matches!(scheme, "http" | "https")
            && path.starts_with('/');
        is_valid.then(|| Self {
            method: method.to_owned(),
            scheme: scheme.to_owned(),
            host: host.map(str::to_ascii_lowercase),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
        })
    }

    /// The same with these headers, whose names are in lower case.
    pub(crate) fn with_headers(self, headers: Vec<(String, String)>) -> Self {
        Self { headers, ..self }
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        match self.query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, self.query),
        }
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The value of a header; several are joined, as Envoy sees them.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let named = self.headers.iter().filter(|(other, _)| other == name);
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Whether it names its host.
    pub(crate) fn names_host(&self) -> bool {
        self.host.is_some()
    }

    /// The request for the first host of a table, if it names none; a table for any
    /// host has `*`.
    pub(crate) fn in_table(&self, table: &Node) -> Self {
        let mut request = self.clone();
        let mut domains = items(table, "virtual_hosts").iter();
        let first = domains.find_map(|host| items(host, "domains").first()?.as_str());
        request.host = request.host.or_else(|| match first? {
            "*" => Some("*".to_owned()),
            domain => Some(domain.replace('*', "any").to_ascii_lowercase()),
        });
        request
    }

    /// Its host.
    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or_default()
    }

    /// The route of a table that takes it.
    pub(crate) fn route_in(&self, table: &Node, address: &Address) -> Option<Address> {
        let hosts = items(table, "virtual_hosts");
        let ranked = hosts.iter().enumerate().filter_map(|(index, host)| {
            let ranks = items(host, "domains").iter().filter_map(Node::as_str);
            let rank = ranks.filter_map(|domain| rank(domain, self.host())).max()?;
            Some((rank, index))
        });
        // Of two equally near, Envoy takes the first.
        let (_, index) = ranked.max_by_key(|(rank, index)| (*rank, std::cmp::Reverse(*index)))?;
        let routes = items(&hosts[index], "routes");
        let place = routes.iter().position(|route| {
            field(route, "match").is_some_and(|conditions| self.meets(conditions))
        })?;
        let host = address.key("virtual_hosts").item(index);
        Some(host.key("routes").item(place))
    }

    fn meets(&self, conditions: &Node) -> bool {
        let folds = matches!(
            field(conditions, "case_sensitive").map(|it| &it.value),
            Some(Value::Bool(false))
        );
        self.meets_path(conditions, folds)
            && field(conditions, "grpc").is_none()
            && items(conditions, "headers")
                .iter()
                .all(|it| self.meets_header(it))
            && items(conditions, "query_parameters")
                .iter()
                .all(|it| self.meets_parameter(it))
    }

    fn meets_path(&self, conditions: &Node, folds: bool) -> bool {
        let fold = |text: &str| {
            if folds {
                text.to_ascii_lowercase()
            } else {
                text.to_owned()
            }
        };
        let path = fold(&self.path);
        if let Some(wanted) = text(conditions, "prefix") {
            return path.starts_with(&fold(wanted));
        }
        if let Some(wanted) = text(conditions, "path") {
            return path == fold(wanted);
        }
        if let Some(wanted) = text(conditions, "path_separated_prefix") {
            let rest = path.strip_prefix(&fold(wanted));
            return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        if let Some(pattern) = find(conditions, &["safe_regex", "regex"]) {
            return matches(pattern.as_str().unwrap_or_default(), &self.path);
        }
        field(conditions, "connect_matcher").is_some() && self.method == "CONNECT"
    }

    fn meets_header(&self, condition: &Node) -> bool {
        let is_true =
            |name: &str| field(condition, name).is_some_and(|it| it.value == Value::Bool(true));
        let value = match text(condition, "name").unwrap_or_default() {
            ":method" => Some(self.method.clone()),
            ":scheme" => Some(self.scheme.clone()),
            ":authority" | "host" => Some(self.host().to_owned()),
            ":path" => Some(self.target()),
            name => self.header(&name.to_ascii_lowercase()),
        };
        let value = value.or_else(|| is_true("treat_missing_header_as_empty").then(String::new));
        let is_met = match (&value, field(condition, "present_match")) {
            (value, Some(wanted)) => (wanted.value == Value::Bool(true)) == value.is_some(),
            // Without a value there is nothing to invert.
            (None, None) if has_value(condition) => return false,
            (None, None) => false,
            (Some(value), None) => meets_string(condition, value),
        };
        is_met != is_true("invert_match")
    }

    fn meets_parameter(&self, condition: &Node) -> bool {
        let name = text(condition, "name").unwrap_or_default();
        let found = self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        });
        match (found, field(condition, "present_match")) {
            (found, Some(wanted)) => (wanted.value == Value::Bool(true)) == found.is_some(),
            (Some(value), None) => meets_string(condition, value),
            (None, None) => false,
        }
    }
}

/// How near a domain is to a host: exact, `*.x`, `x.*`, `*`; the longer the
/// nearer.
fn rank(domain: &str, host: &str) -> Option<(u8, usize)> {
    let domain = domain.to_ascii_lowercase();
    let length = domain.len();
    if domain == "*" {
        return Some((0, 0));
    }
    if let Some(end) = domain.strip_prefix('*') {
        return (host.len() > end.len() && host.ends_with(end)).then_some((2, length));
    }
    if let Some(start) = domain.strip_suffix('*') {
        return (host.len() > start.len() && host.starts_with(start)).then_some((1, length));
    }
    (domain == host).then_some((3, length))
}

const OLD_FORMS: [&str; 5] = [
    "exact_match",
    "prefix_match",
    "suffix_match",
    "contains_match",
    "safe_regex_match",
];

fn has_value(condition: &Node) -> bool {
    field(condition, "string_match").is_some()
        || field(condition, "range_match").is_some()
        || OLD_FORMS
            .iter()
            .any(|name| field(condition, name).is_some())
}

/// Whether a value meets a `StringMatcher`, or the older fields beside it.
fn meets_string(condition: &Node, value: &str) -> bool {
    let matcher = field(condition, "string_match").unwrap_or(condition);
    let folds = field(matcher, "ignore_case").is_some_and(|it| it.value == Value::Bool(true));
    let fold = |text: &str| {
        if folds {
            text.to_ascii_lowercase()
        } else {
            text.to_owned()
        }
    };
    let value = fold(value);
    let wanted = |name: &str| {
        let old = format!("{name}_match");
        let found = text(matcher, name).or_else(|| text(condition, &old));
        found.map(fold)
    };
    if let Some(wanted) = wanted("exact") {
        return value == wanted;
    }
    if let Some(wanted) = wanted("prefix") {
        return value.starts_with(&wanted);
    }
    if let Some(wanted) = wanted("suffix") {
        return value.ends_with(&wanted);
    }
    if let Some(wanted) = wanted("contains") {
        return value.contains(&wanted);
    }
    let regex = find(matcher, &["safe_regex", "regex"])
        .or_else(|| find(condition, &["safe_regex_match", "regex"]));
    match regex.and_then(Node::as_str) {
        Some(pattern) => matches(pattern, &value),
        // No condition but that it is there.
        None => !has_value(condition),
    }
}

fn matches(pattern: &str, value: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use btp_policy::json;

    fn place(request: &str, table: &str) -> Option<String> {
        let table = json::parse(table.as_bytes()).unwrap();
        let root = Address::root(0);
        let found = Request::parse(request).unwrap().route_in(&table, &root);
        found.map(|it| it.to_string())
    }

    fn takes(request: &str, conditions: &str) -> bool {
        let table = format!(
            r#"{{"virtual_hosts":[{{"domains":["*"],"routes":[{{"match":{conditions}}}]}}]}}"#
        );
        place(request, &table).is_some()
    }

    #[test]
    fn the_nearest_domain_wins() {
        let table = r#"{"virtual_hosts":[
            {"domains":["*"],"routes":[{"match":{"prefix":"/"}}]},
            {"domains":["shop.*"],"routes":[{"match":{"prefix":"/"}}]},
            {"domains":["*.example.com"],"routes":[{"match":{"prefix":"/"}}]},
            {"domains":["a.example.com","B"],"routes":[{"match":{"path":"/x"}},{"match":{"prefix":"/"}}]}]}"#;
        let at = |request| place(request, table).unwrap();
        assert_eq!(at("http://other/"), "virtual_hosts[0].routes[0]");
        assert_eq!(at("http://shop.net/"), "virtual_hosts[1].routes[0]");
        assert_eq!(at("http://shop.example.com/"), "virtual_hosts[2].routes[0]");
        assert_eq!(at("http://A.example.com/x?y"), "virtual_hosts[3].routes[0]");
        assert_eq!(at("POST http://b/xy"), "virtual_hosts[3].routes[1]");
    }

    #[test]
    fn without_a_host_it_is_the_first_one() {
        let table = |domains: &str| {
            let table =
                format!(r#"{{"virtual_hosts":[{{"domains":[]}},{{"domains":[{domains}]}}]}}"#);
            json::parse(table.as_bytes()).unwrap()
        };
        let host = |request: &str, domains: &str| {
            let request = Request::parse(request).unwrap();
            request.in_table(&table(domains)).host().to_owned()
        };
        assert_eq!(host("GET /x", r#""Shop:8080","other""#), "shop:8080");
        assert_eq!(host("/x", r#""*.example.com""#), "any.example.com");
        assert_eq!(host("/x", r#""*""#), "*");
        assert_eq!(host("/x", ""), "");
        assert_eq!(host("GET http://a/x", r#""b""#), "a");
    }

    #[test]
    fn paths_match_as_in_envoy() {
        let get = "GET https://shop/Api/v1?x=1";
        assert!(takes(get, r#"{"prefix":"/Api"}"#));
        assert!(!takes(get, r#"{"prefix":"/api"}"#));
        assert!(takes(get, r#"{"prefix":"/api","case_sensitive":false}"#));
        assert!(takes(get, r#"{"pathSeparatedPrefix":"/Api"}"#));
        assert!(!takes(get, r#"{"path_separated_prefix":"/Ap"}"#));
        assert!(takes(get, r#"{"safe_regex":{"regex":"/A.*1"}}"#));
        assert!(!takes(get, r#"{"safe_regex":{"regex":"/A"}}"#));
        assert!(!takes(get, r#"{"prefix":"/","grpc":{}}"#));
    }

    #[test]
    fn what_the_line_says_is_compared_and_other_headers_are_absent() {
        let post = "POST https://shop/api?x=1&y";
        let header = |text: &str| takes(post, &format!(r#"{{"prefix":"/","headers":[{text}]}}"#));
        assert!(header(
            r#"{"name":":method","string_match":{"exact":"POST"}}"#
        ));
        assert!(!header(r#"{"name":":method","exact_match":"GET"}"#));
        assert!(header(
            r#"{"name":":method","exact_match":"GET","invert_match":true}"#
        ));
        assert!(!header(r#"{"name":"x","present_match":true}"#));
        assert!(header(
            r#"{"name":"x","present_match":true,"invert_match":true}"#
        ));
        assert!(!header(r#"{"name":"x","string_match":{"exact":"1"}}"#));
        let query = |text: &str| {
            takes(
                post,
                &format!(r#"{{"prefix":"/","query_parameters":[{text}]}}"#),
            )
        };
        assert!(query(r#"{"name":"x","string_match":{"prefix":"1"}}"#));
        assert!(query(r#"{"name":"y","present_match":true}"#));
        assert!(!query(r#"{"name":"z","present_match":true}"#));
    }

    #[test]
    fn what_is_no_request_is_none() {
        for text in [
            "",
            "x",
            "GET shop/x",
            "GET ftp://shop/",
            "GET http:///x",
            "GET  ",
        ] {
            assert_eq!(Request::parse(text), None, "{text:?}");
        }
    }
}
