//! A configuration in files that Envoy watches, as `btp apply --out-dir`
//! writes them: what a person wrote lies in one folder, what Envoy reads in
//! another.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Bootstrap, Build, Envoy, Upstream, repo};

const TYPE: &str = "type.googleapis.com/envoy";

/// How listeners come to their routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutesIn {
    /// A file of their own.
    Rds,
    /// The listener.
    Listener,
}

/// Where clusters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClustersIn {
    /// A file of their own.
    Cds,
    /// The bootstrap, which Envoy reads when it starts.
    Bootstrap,
}

/// The folders, and the upstream of cluster `up`, to which routes `shop` and
/// `cart` both send.
#[derive(Debug)]
pub struct Watched {
    folder: TempDir,
    /// Where both routes send to in the end.
    pub upstream: Upstream,
}

impl Watched {
    /// Writes the files of the person.
    pub async fn new(routes: RoutesIn, clusters: ClustersIn) -> Result<Self> {
        let folder = TempDir::new()?;
        let it = Self {
            folder,
            upstream: Upstream::start().await?,
        };
        for name in ["own", "live"] {
            fs::create_dir(it.folder.path().join(name))?;
        }
        let up = it.cluster("up", &json!({}));
        let mut bootstrap = json!({
            "node": {"id": "a", "cluster": "b"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "dynamic_resources": {"lds_config": it.source("lds.yaml")},
        });
        match clusters {
            ClustersIn::Cds => {
                bootstrap["dynamic_resources"]["cds_config"] = it.source("cds.yaml");
                it.write("cds.yaml", &resources(&[("config.cluster.v3.Cluster", up)]))?;
            }
            ClustersIn::Bootstrap => bootstrap["static_resources"] = json!({"clusters": [up]}),
        }
        let route = |name: &str| {
            json!({"name": name, "match": {"prefix": format!("/{name}")},
                "route": {"cluster": "up"}})
        };
        let table = json!({"name": "table", "virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [route("shop"), route("cart")]}]});
        let from = match routes {
            RoutesIn::Rds => {
                it.write(
                    "rds.yaml",
                    &resources(&[("config.route.v3.RouteConfiguration", table)]),
                )?;
                json!({"rds": {"route_config_name": "table", "config_source": it.source("rds.yaml")}})
            }
            RoutesIn::Listener => json!({"route_config": table}),
        };
        it.write(
            "lds.yaml",
            &resources(&[("config.listener.v3.Listener", listener(&from))]),
        )?;
        it.write("envoy.yaml", &bootstrap)?;
        Ok(it)
    }

    /// What a person wrote.
    pub fn own(&self) -> PathBuf {
        self.folder.path().join("own")
    }

    /// A file beside both folders.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What Envoy watches.
    pub fn live(&self) -> PathBuf {
        self.folder.path().join("live")
    }

    /// A cluster to the upstream with more settings.
    pub fn cluster(&self, name: &str, more: &Value) -> Value {
        let mut cluster = crate::bootstrap::cluster(name, self.upstream.addr());
        for (key, value) in more.as_object().into_iter().flatten() {
            cluster[key] = value.clone();
        }
        cluster
    }

    /// Replaces the clusters that the person wrote.
    pub fn write_clusters(&self, clusters: &[Value]) -> Result<()> {
        let typed = clusters
            .iter()
            .map(|it| ("config.cluster.v3.Cluster", it.clone()));
        self.write("cds.yaml", &resources(&typed.collect::<Vec<_>>()))
    }

    /// `btp apply --out-dir LIVE` with a policy's `spec` for route `shop`, or
    /// with none.
    pub fn apply(&self, spec: Option<&Value>, options: &[&str]) -> Result<Output> {
        let options = [&["--out-dir", "live"], options].concat();
        Ok(self.command(spec, &options)?.output()?)
    }

    /// The same, which must succeed; yields its report.
    pub fn applied(&self, spec: Option<&Value>, options: &[&str]) -> Result<String> {
        succeeded(self.apply(spec, options)?)
    }

    /// `btp apply` with other options for where the result goes, which must
    /// succeed; yields its report.
    pub fn made(&self, spec: Option<&Value>, options: &[&str]) -> Result<String> {
        succeeded(self.command(spec, options)?.output()?)
    }

    /// Starts an Envoy with two workers on what was written.
    pub async fn start(&self) -> Result<Envoy> {
        let bootstrap = crate::bootstrap::read_yaml(&self.live().join("envoy.yaml"))?;
        Envoy::start(&Bootstrap::from_value(bootstrap).with_concurrency(2)).await
    }

    /// The text of a file that Envoy watches.
    pub fn text(&self, name: &str) -> Result<String> {
        let path = self.live().join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn command(&self, spec: Option<&Value>, options: &[&str]) -> Result<Command> {
        let mut command = Command::new(repo::cli()?);
        command.current_dir(self.folder.path());
        command.args(["apply", "--bootstrap", "own/envoy.yaml"]);
        let names_build = ["--wasm", "--module"].iter().any(|it| options.contains(it));
        if !names_build {
            command.args(Build::under_test()?.apply_option()?);
        }
        if let Some(spec) = spec {
            let mut policy = json!({"kind": "BackendTrafficPolicy", "metadata": {"name": "p"},
                "spec": spec});
            policy["spec"]["targetRefs"] = json!([
                {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop"}]);
            let file = self.folder.path().join("policy.yaml");
            fs::write(&file, policy.to_string())?;
            command.arg("-f").arg(file);
        }
        command.args(options);
        Ok(command)
    }

    fn write(&self, name: &str, content: &Value) -> Result<()> {
        let text = serde_json::to_string_pretty(content)?;
        Ok(fs::write(self.own().join(name), text)?)
    }

    fn source(&self, name: &str) -> Value {
        let path = self.live().join(name);
        json!({"resource_api_version": "V3", "path_config_source": {"path": path}})
    }
}

fn succeeded(output: Output) -> Result<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn resources(typed: &[(&str, Value)]) -> Value {
    let resources = typed.iter().map(|(kind, value)| {
        let mut resource = value.clone();
        resource["@type"] = format!("{TYPE}.{kind}").into();
        resource
    });
    json!({"version_info": "1", "resources": resources.collect::<Vec<_>>()})
}

fn listener(routes: &Value) -> Value {
    let mut manager = json!({
        "@type": format!("{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "http_filters": [{"name": "router", "typed_config": {
            "@type": format!("{TYPE}.extensions.filters.http.router.v3.Router")}}]
    });
    for (key, value) in routes.as_object().into_iter().flatten() {
        manager[key] = value.clone();
    }
    json!({"name": "http",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]})
}
