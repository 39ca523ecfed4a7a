//! `proxyProtocol`: what may be written.

use crate::schema::shape::*;

pub(crate) static PROXY_PROTOCOL: Object =
    object(&[required("version", Shape::Choice(&["V1", "V2"]))], &[]);
