//! The ports of the demo: checked before minutes are spent on building.

use std::env;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

/// The variables that name them, and what they are otherwise.
const PORTS: [(&str, &str, u16); 2] = [
    ("BTP_PORT", "requests", 10_000),
    ("BTP_ADMIN_PORT", "the admin interface", 9_901),
];

/// Fails where a port is in use, or a variable does not name one.
pub(crate) fn are_free() -> Result<()> {
    for (variable, of, usual) in PORTS {
        let value = env::var(variable).unwrap_or_default();
        is_free(named(variable, &value, usual)?, variable, of)?;
    }
    Ok(())
}

fn named(variable: &str, value: &str, usual: u16) -> Result<u16> {
    if value.is_empty() {
        return Ok(usual);
    }
    let port = value.parse().ok().filter(|port| *port > 0);
    port.with_context(|| format!("{variable} is {value:?}: it must be a port, 1 to 65535"))
}

fn is_free(port: u16, variable: &str, of: &str) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "port {port} is in use, where the demo would serve {of}: end what listens there, or \
             choose another one with {variable}=PORT"
        ),
        Err(error) => Err(error).with_context(|| {
            format!("port {port} cannot be had for {of}: choose another one with {variable}=PORT")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_variable() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = is_free(port, "BTP_PORT", "requests")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("port {port} is in use")),
            "{error}"
        );
        assert!(error.ends_with("BTP_PORT=PORT"), "{error}");
        drop(taken);
        is_free(port, "BTP_PORT", "requests").unwrap();
    }

    #[test]
    fn a_variable_names_a_port_or_nothing() {
        assert_eq!(named("P", "", 10_000).unwrap(), 10_000);
        assert_eq!(named("P", "8080", 10_000).unwrap(), 8080);
        for wrong in ["0", "65536", "http", "-1"] {
            assert!(named("P", wrong, 1).is_err(), "{wrong}");
        }
    }
}
