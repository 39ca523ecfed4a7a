//! `httpUpgrade`: what may be written.

use super::checks;
use crate::code::Code;
use crate::schema::shape::*;

pub(crate) static HTTP_UPGRADE: Object = object(
    &[
        required("type", ANY_TEXT).checked(checks::upgrade),
        optional("connect", Shape::Object(&CONNECT)),
    ],
    &[rule(
        Code::FieldOfType,
        "must be of type CONNECT to have connect",
        |it| !has(it, "connect") || text_in(it, "type", "") == "CONNECT",
    )],
);

static CONNECT: Object = object(&[optional("terminate", Shape::Boolean)], &[]);
