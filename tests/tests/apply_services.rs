//! Policies of Services (`XBackendTrafficPolicy`) put into a configuration by `btp apply`:
//! sessions, budgets, which policy wins, and what becomes of it afterwards.

use anyhow::{Context as _, Result, ensure};
use btp_tests::apply::{apply, ensure_undone, lint};
use btp_tests::native::{addresses, cluster_of, upstreams};
use btp_tests::watched::{ClustersIn, RoutesIn, Watched};
use btp_tests::{Bootstrap, Builder, Envoy, Request, Response, Route, Upstream};
use serde_json::{Value, json};

/// Of so many requests each of three endpoints has some, unless something keeps them.
const MANY: usize = 60;

/// A policy of these Services in namespace `default`, with these lines in its spec.
fn of_services(services: &[&str], lines: &str) -> String {
    let target = |it: &&str| format!("  - {{group: \"\", kind: Service, name: {it}}}\n");
    let targets: String = services.iter().map(target).collect();
    format!(
        "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\n\
         metadata: {{name: services, namespace: default}}\nspec:\n  targetRefs:\n{targets}  \
         {lines}\n---\n"
    )
}

fn of_route(route: &str, lines: &str) -> String {
    format!(
        "kind: BackendTrafficPolicy\nmetadata: {{name: {route}, namespace: default}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}]\n  \
         {lines}\n---\n"
    )
}

/// Two Services with three endpoints each, one that no policy is for, and routes to them.
struct Services {
    payments: Vec<Upstream>,
    stock: Vec<Upstream>,
    other: Upstream,
}

impl Services {
    async fn start() -> Result<Self> {
        Ok(Self {
            payments: upstreams(3).await?,
            stock: upstreams(3).await?,
            other: Upstream::start().await?,
        })
    }

    fn bootstrap(&self) -> Result<Bootstrap> {
        let mut stock = cluster_of("outbound", &addresses(&self.stock));
        // As an object: `btp apply` writes what both builds can read.
        stock["metadata"]["filter_metadata"]["btp"]["backends"] =
            json!([{"namespace": "default", "name": "stock", "port": 80}]);
        let split = |it: &mut Value| {
            let clusters = json!([{"name": "default/payments/80", "weight": 50},
                {"name": "other", "weight": 50}]);
            it["route"] = json!({"weighted_clusters": {"clusters": clusters}});
        };
        let payments = "default/payments/80";
        let by_request = |it: &mut Value| it["route"] = json!({"cluster_header": "x-cluster"});
        Builder::new()
            .raw_cluster(cluster_of(payments, &addresses(&self.payments)))
            .raw_cluster(stock)
            .raw_cluster(cluster_of("other", &[self.other.addr()]))
            .route(Route::cluster("/bare", payments).named("bare"))
            .route(
                Route::cluster("/split", payments)
                    .named("split")
                    .edit(split),
            )
            .route(Route::cluster("/own", payments).named("own"))
            .route(Route::cluster("/copied", payments).named("copied"))
            .route(Route::cluster("/stock", "outbound").named("stock"))
            .route(
                Route::cluster("/by-request", payments)
                    .named("by-request")
                    .edit(by_request),
            )
            .route(Route::cluster("/", "other").named("rest"))
            .build()
    }

    /// How many endpoints of `payments` these requests come to.
    async fn spread(&self, envoy: &Envoy, request: &Request) -> Result<usize> {
        self.payments.iter().for_each(Upstream::clear);
        for _ in 0..MANY {
            let response = envoy.send(request.clone()).await?;
            ensure!(response.status == 200, "{response:?}");
        }
        let asked = self.payments.iter();
        Ok(asked.filter(|it| !it.requests().is_empty()).count())
    }
}

fn cookie(response: &Response) -> Result<String> {
    let set = response.header("set-cookie").context("no cookie is set")?;
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stays_with_its_endpoint_of_a_service_on_every_route() -> Result<()> {
    let services = Services::start().await?;
    let policies = of_services(&["payments", "stock"], "sessionPersistence: {}")
        + &of_route(
            "own",
            "sessionPersistence: {type: Header, header: {name: x-own}}",
        )
        + &of_route("copied", "loadBalancer: {type: Random}");
    let (applied, report) = apply(&services.bootstrap()?, &policies)?;
    for part in [
        "route own: sessionPersistence of default/own, the policy of the route, is in force instead",
        "route by-request: sessionPersistence is not in force there",
    ] {
        ensure!(report.contains(part), "{report}");
    }
    let envoy = Envoy::start(&applied).await?;
    let session = cookie(&envoy.get("/bare").await?)?;
    // Another Service has a cookie of another name, so that neither replaces the other.
    let of_stock = cookie(&envoy.get("/stock").await?)?;
    let name = |it: &str| it.split('=').next().unwrap_or_default().to_owned();
    ensure!(name(&session).starts_with("btp_session_default_services_"));
    ensure!(name(&session) != name(&of_stock), "{session}, {of_stock}");
    let both = format!("{of_stock}; {session}");
    for (path, endpoints) in [("/bare", 1), ("/split", 1), ("/copied", 1), ("/own", 3)] {
        let request = Request::get(path).header("cookie", both.clone());
        let found = services.spread(&envoy, &request).await?;
        ensure!(found == endpoints, "{path}: {found}, not {endpoints}");
    }
    for (path, keeps) in [("/own", true), ("/bare", false), ("/by-request", false)] {
        let request = Request::get(path).header("x-cluster", "default/payments/80");
        let response = envoy.send(request).await?;
        ensure!(
            response.header("x-own").is_some() == keeps,
            "{path}: {response:?}"
        );
        let sets = response.header("set-cookie").is_some();
        ensure!(sets == (path == "/bare"), "{path}: {response:?}");
    }
    // Of the cluster that is no such Service nobody is told anything.
    let mut others = 0;
    for _ in 0..MANY {
        services.other.clear();
        let response = envoy.get("/split").await?;
        let is_other = !services.other.requests().is_empty();
        ensure!(
            response.header("set-cookie").is_none() == is_other,
            "{response:?}"
        );
        others += usize::from(is_other);
    }
    ensure!(others > 0 && others < MANY, "{others}");
    Ok(())
}

/// One retry an hour for all that a Service gets: by weight, by a copy of its cluster, and on
/// routes of policies, which share it.
#[tokio::test(flavor = "multi_thread")]
async fn all_routes_to_a_service_share_its_budget() -> Result<()> {
    const BUDGET: &str = "retryConstraint: {budget: {percent: 0, interval: 1h}, \
                          minRetryRate: {count: 1, interval: 1h}}";
    let services = Services::start().await?;
    let retry = "retry: {numRetries: 1, retryOn: {httpStatusCodes: [503]}}";
    let policies = of_services(&["payments", "stock"], BUDGET)
        + &of_route("split", retry)
        + &of_route("stock", retry)
        + &of_route(
            "copied",
            &format!("{retry}\n  loadBalancer: {{type: Random}}\n  circuitBreaker: {{}}"),
        );
    let (applied, report) = apply(&services.bootstrap()?, &policies)?;
    let clusters = &applied.config()["static_resources"]["clusters"];
    for cluster in clusters.as_array().into_iter().flatten() {
        let name = cluster["name"].as_str().unwrap_or_default();
        let is_of_service = !name.starts_with("other");
        let bound = &cluster["circuit_breakers"]["thresholds"][0]["max_retries"];
        ensure!((bound == u32::MAX) == is_of_service, "{cluster}\n{report}");
    }
    let envoy = Envoy::start(&applied).await?;
    let retries = async |paths: &[&str]| -> Result<usize> {
        let all = services.payments.iter().chain(&services.stock);
        all.clone().for_each(Upstream::clear);
        services.other.clear();
        let mut sent = 0;
        for path in paths {
            for _ in 0..10 {
                let path = format!("{path}/status/503");
                ensure!(envoy.get(&path).await?.status == 503);
                sent += 1;
            }
        }
        let tries: usize = all.map(|it| it.requests().len()).sum();
        Ok(tries + services.other.requests().len() - sent)
    };
    let of_stock = retries(&["/stock"]).await?;
    ensure!(of_stock == 1, "{of_stock} retries of stock");
    let of_copy = retries(&["/copied"]).await?;
    ensure!(of_copy == 1, "{of_copy} retries by the copy");
    // Those to the other cluster are bounded by nothing.
    let of_both = retries(&["/split"]).await?;
    let others = services.other.requests().len() / 2;
    ensure!(
        of_both == others,
        "{of_both} retries, {others} of them of the other cluster"
    );
    ensure!(retries(&["/stock", "/copied"]).await? == 0);
    envoy.assert_vm_alive().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_services_are_undone_and_made_again_the_same() -> Result<()> {
    let services = Services::start().await?;
    let bootstrap = services.bootstrap()?;
    let session = "sessionPersistence: {type: Header, header: {name: x-session}}";
    let both = of_services(
        &["payments", "stock"],
        &format!("retryConstraint: {{}}\n  {session}"),
    ) + &of_route("copied", "loadBalancer: {type: Random}");
    let other = of_route("bare", "timeout: {http: {requestTimeout: 9s}}");
    ensure_undone(&bootstrap, &both, &other)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_services_arrive_at_an_envoy_that_watches_files() -> Result<()> {
    let watched = Watched::new(RoutesIn::Rds, ClustersIn::Cds).await?;
    let file = watched.path("services.yaml");
    let write = |session: &str| {
        let session = format!("retryConstraint: {{}}\n  sessionPersistence: {session}");
        let policy = of_services(&["up"], &session);
        std::fs::write(&file, policy)
    };
    let live = watched.live().display().to_string();
    let policies = file.display().to_string();
    write("{type: Header, header: {name: x-session}}")?;
    watched.applied(None, &["-f", &policies, "--ecds", &live])?;
    let envoy = watched.start().await?;
    ensure!(envoy.get("/shop").await?.header("x-session").is_some());
    write("{cookie: {name: basket}}")?;
    let address = envoy.admin_addr().to_string();
    watched.applied(
        None,
        &["-f", &policies, "--ecds", &live, "--admin", &address],
    )?;
    let response = envoy.get("/cart").await?;
    ensure!(cookie(&response)?.starts_with("basket="), "{response:?}");
    ensure!(response.header("x-session").is_none(), "{response:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_of_several_clusters_is_warned_of() -> Result<()> {
    let services = Services::start().await?;
    let bootstrap = services.bootstrap()?;
    let named = "sessionPersistence: {cookie: {name: basket}}";
    for (policies, is_shared) in [
        (of_services(&["payments", "stock"], named), true),
        (of_services(&["payments"], named), false),
        (
            of_services(&["payments", "stock"], "sessionPersistence: {}"),
            false,
        ),
        (of_route("bare", named), false),
        (of_route("split", named), false),
    ] {
        let said = lint(&bootstrap, &policies)?;
        ensure!(said.contains("BTP0722") == is_shared, "{policies}{said}");
    }
    Ok(())
}
