//! A folder of a test's own: what a person wrote, and what an Envoy could be
//! watching.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BTP: &str = env!("CARGO_BIN_EXE_btp");

pub(crate) const CDS: &str = r#"# clusters, by hand
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: up   # both routes send here
"#;

pub(crate) const RDS: &str = r#"resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: table
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
    - {name: shop, match: {prefix: /shop}, route: {cluster: up}}
    - {name: cart, match: {prefix: /cart}, route: {cluster: up}}
"#;

pub(crate) const LDS: &str = r#"resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: edge
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        rds: {route_config_name: table, config_source: {path_config_source: {path: LIVE/rds.yaml}}}
        http_filters: [{name: router}]
"#;

pub(crate) const BOOTSTRAP: &str = "node: {id: a, cluster: b}
dynamic_resources:
  lds_config: {path_config_source: {path: LIVE/lds.yaml}}
  cds_config: {path_config_source: {path: LIVE/cds.yaml}}
";

pub(crate) const ALL: [&str; 4] = ["cds.yaml", "envoy.yaml", "lds.yaml", "rds.yaml"];

/// What a run says that has given each phase a time.
pub(crate) const ADDED: &str = "written: cds.yaml\nthen: rds.yaml\n";

/// A folder of a test's own.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// With what a person wrote in `own`, and an empty `live`.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("delivery-{name}"));
        let _ = fs::remove_dir_all(&folder);
        let it = Self(folder);
        for name in ["own", "live"] {
            fs::create_dir_all(it.0.join(name)).expect("can be made");
        }
        for (name, text) in [
            ("cds.yaml", CDS),
            ("rds.yaml", RDS),
            ("lds.yaml", LDS),
            ("envoy.yaml", BOOTSTRAP),
        ] {
            let text = text.replace("LIVE", &it.0.join("live").display().to_string());
            it.write(&format!("own/{name}"), &text);
        }
        it.set_connections(100);
        it
    }

    /// The policy of route `shop`.
    pub(crate) fn set_connections(&self, connections: u32) {
        let policy = format!(
            "kind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  targetRefs: [{{group: \
             gateway.networking.k8s.io, kind: HTTPRoute, name: shop}}]\n  circuitBreaker: \
             {{maxConnections: {connections}}}\n"
        );
        self.write("policy.yaml", &policy);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("is there")
    }

    pub(crate) fn live(&self, name: &str) -> String {
        self.read(&format!("live/{name}"))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("live")).expect("is a folder");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("is text");
        let mut names: Vec<String> = entries.map(|it| name(it.expect("is there"))).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(BTP);
        command.arg("apply").args(arguments.split_whitespace());
        command.current_dir(&self.0);
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("btp runs")
    }

    /// With policies or without, into `live`; gives what it says at its end.
    pub(crate) fn apply(&self, policies: &str, options: &str) -> String {
        let output = self.run(&format!(
            "--bootstrap own/envoy.yaml --out-dir live {policies} {options}"
        ));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let at = said.find("written:").expect("says what is written");
        said[at..].to_owned()
    }

    /// Fails with an exit code and these words.
    pub(crate) fn fails(&self, options: &str, code: i32, words: &[&str]) {
        let output = self.run(&format!(
            "--bootstrap own/envoy.yaml --out-dir live {options}"
        ));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
}

pub(crate) const WITH: &str = "-f policy.yaml";
pub(crate) const FAST: &str = "--wait 1ms";

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("prints UTF-8")
}
