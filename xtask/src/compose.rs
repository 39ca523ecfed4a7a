//! The compose test: docker-compose.yml as a user starts it, and the scenarios
//! against it.

mod fleet;
mod observe;

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::builds::Build;
use crate::project::Project;
use crate::real_envoy::TestEnv;
use crate::{envoy, image, sh};

const START_LIMIT: Duration = Duration::from_secs(60);

/// How a test that needs something special of the machine ended.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    Passed,
    Skipped,
}

/// Brings the containers up, tests them and takes them down.
///
/// Without a container engine the test is skipped; in CI it fails.
pub(crate) fn test(project: &Project) -> Result<Outcome> {
    let Some(compose) = compose_program(project) else {
        let reason = "no container engine answers (docker with docker compose)";
        if env::var("CI").is_ok_and(|value| value == "true") {
            bail!("{reason}; in CI the compose test must run");
        }
        println!("compose test: skipped, {reason}");
        return Ok(Outcome::Skipped);
    };
    let test_env = TestEnv::prepare(project, envoy::DEFAULT_VERSION)?;
    let image = image::prepare(project, test_env.envoy())?;
    let mut stack = Stack::new(project, compose, &test_env, image)?;
    for build in Build::ALL {
        stack.build = *build;
        stack.take_down(); // what an interrupted run may have left
        let result = stack.test(&test_env);
        if result.is_err() {
            stack.show_logs();
        }
        stack.take_down();
        result?;
    }
    Ok(Outcome::Passed)
}

/// The compose program, when there is one and its engine answers.
fn compose_program(project: &Project) -> Option<Vec<&'static str>> {
    first_that_answers(|words| sh::succeeds(project.command(words[0]).args(&words[1..])))
}

/// Docker's plugin, else the program of its own that older installations have.
fn first_that_answers(answers: impl Fn(&[&str]) -> bool) -> Option<Vec<&'static str>> {
    if !answers(&["docker", "ps", "--quiet"]) {
        return None;
    }
    let forms = [vec!["docker", "compose"], vec!["docker-compose"]];
    let has = |words: &Vec<&'static str>| answers(&[words, &["version"][..]].concat());
    forms.into_iter().find(has)
}

/// The containers of one test run, apart from those that a user may have up.
struct Stack<'a> {
    project: &'a Project,
    compose: Vec<&'static str>,
    name: String,
    version: String,
    builder: String,
    build: Build,
    demo: Ports,
    fleet: [Ports; 2],
    observe: ObservePorts,
}

/// Where one Envoy can be reached.
struct Ports {
    traffic: u16,
    admin: u16,
}

/// Where Prometheus and Grafana can be reached.
struct ObservePorts {
    prometheus: u16,
    grafana: u16,
}

impl<'a> Stack<'a> {
    fn new(
        project: &'a Project,
        compose: Vec<&'static str>,
        test_env: &TestEnv,
        builder: String,
    ) -> Result<Stack<'a>> {
        let mut clone = DefaultHasher::new();
        project.root.hash(&mut clone);
        let [demo, first, second, shown] = free_ports()?;
        Ok(Stack {
            project,
            compose,
            name: format!("btp-test-{:08x}", clone.finish() as u32),
            version: test_env.envoy().version.clone(),
            builder,
            build: Build::Wasm,
            demo,
            fleet: [first, second],
            observe: ObservePorts {
                prometheus: shown.traffic,
                grafana: shown.admin,
            },
        })
    }

    fn test(&self, test_env: &TestEnv) -> Result<()> {
        // Images of profiles may be out of reach: that all can be read is seen without.
        sh::run(&mut self.everything(&["config", "--quiet"]))?;
        sh::run(&mut self.compose(&["up", "--detach"]))?;
        wait_until_ready(self.demo.admin)?;
        sh::show(
            test_env
                .tests(self.project)?
                .args([
                    "--test",
                    "compose",
                    "--",
                    "--exact",
                    "the_demo_in_containers",
                ])
                .env(
                    "BTP_COMPOSE_URL",
                    format!("http://127.0.0.1:{}", self.demo.traffic),
                ),
        )?;
        observe::test(self)?;
        fleet::test(self, test_env)
    }

    fn show_logs(&self) {
        if let Err(error) = sh::run(&mut self.everything(&["logs", "--no-color", "--tail", "100"]))
        {
            eprintln!("no container logs: {error:#}");
        }
    }

    fn take_down(&self) {
        if let Err(error) = sh::run(&mut self.everything(&["down", "--volumes", "--timeout", "2"]))
        {
            eprintln!("containers of {} may be left: {error:#}", self.name);
        }
    }

    /// Compose with all services, those of all profiles, too.
    fn everything(&self, args: &[&str]) -> Command {
        let profiles: &[&str] = &["--profile", "fleet", "--profile", "observe"];
        self.compose(&[profiles, args].concat())
    }

    /// Compose with the services of a profile beside those that have none.
    fn profile(&self, name: &str, args: &[&str]) -> Command {
        self.compose(&[&["--profile", name], args].concat())
    }

    fn compose(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(self.compose[0]);
        command
            .args(&self.compose[1..])
            .args(["--project-name", &self.name])
            .args(args)
            .env("ENVOY_VERSION", &self.version)
            .env("BTP_BUILDER", &self.builder)
            .env("BTP_BUILD", self.build.name())
            .env("BTP_PORT", self.demo.traffic.to_string())
            .env("BTP_ADMIN_PORT", self.demo.admin.to_string())
            .env("BTP_PROMETHEUS_PORT", self.observe.prometheus.to_string())
            .env("BTP_GRAFANA_PORT", self.observe.grafana.to_string());
        for (envoy, number) in self.fleet.iter().zip(1..) {
            command
                .env(format!("BTP_PORT_{number}"), envoy.traffic.to_string())
                .env(format!("BTP_ADMIN_PORT_{number}"), envoy.admin.to_string());
        }
        command
    }
}

/// Ports that nobody listens on, for three Envoys and what shows their numbers.
fn free_ports() -> Result<[Ports; 4]> {
    let mut listeners = Vec::new(); // which keep each from being found twice
    let mut free = || -> Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        listeners.push(listener);
        Ok(port)
    };
    let mut ports = || -> Result<Ports> {
        Ok(Ports {
            traffic: free()?,
            admin: free()?,
        })
    };
    Ok([ports()?, ports()?, ports()?, ports()?])
}

fn wait_until_ready(admin: u16) -> Result<()> {
    wait_until("Envoy is ready", || is_ready(admin))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > START_LIMIT {
            bail!("after {} s it is not so that {what}", START_LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Whether the Envoy with this admin port says that it serves.
fn is_ready(admin: u16) -> bool {
    get(admin, "/ready").is_some()
}

/// What is answered, if that is a 200.
fn get(port: u16, path: &str) -> Option<String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let lines = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("GET {path} {lines}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn ready_is_what_the_admin_port_says() {
        for (status, expected) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
            });
            assert_eq!(is_ready(port), expected, "{status}");
            server.join().unwrap();
        }
    }

    #[test]
    fn compose_is_taken_as_a_plugin_or_as_a_program() {
        let chosen = |there: &[&str]| {
            let found = first_that_answers(|words| there.contains(&words.join(" ").as_str()));
            found.map(|words| words.join(" "))
        };
        let (engine, plugin) = ("docker ps --quiet", "docker compose version");
        let program = "docker-compose version";
        let both = chosen(&[engine, plugin, program]);
        assert_eq!(both.as_deref(), Some("docker compose"));
        assert_eq!(chosen(&[engine, plugin]).as_deref(), Some("docker compose"));
        assert_eq!(
            chosen(&[engine, program]).as_deref(),
            Some("docker-compose")
        );
        assert_eq!(chosen(&[engine]), None);
        assert_eq!(chosen(&[plugin, program]), None);
    }

    #[test]
    fn variables_of_the_file_are_in_the_guide() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |name| fs::read_to_string(root.join(name)).unwrap();
        let (file, guide) = (read("docker-compose.yml"), read("docs/guides/demo.md"));
        let names = file.split("${").skip(1);
        let names: BTreeSet<&str> = names.filter_map(|it| it.split([':', '}']).next()).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(guide.contains(&format!("`{name}`")), "{name}");
        }
    }

    /// Docker makes a directory where one is missing.
    #[test]
    fn what_is_mounted_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = fs::read_to_string(root.join("docker-compose.yml")).unwrap();
        let sources: Vec<&str> = file
            .split("source: ")
            .skip(1)
            .filter_map(|it| it.split(',').next())
            .collect();
        assert!(sources.len() > 4, "{sources:?}");
        for source in sources {
            assert!(root.join(source).is_dir(), "{source}");
        }
    }

    #[test]
    fn nobody_listening_is_not_ready() {
        let [ports, ..] = free_ports().unwrap();
        assert!(!is_ready(ports.admin));
    }
}
