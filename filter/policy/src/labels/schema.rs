//! Conditions on labels: what may be written.

use crate::schema::shape::*;

pub(crate) static EXPRESSION: Object = object(
    &[
        required("key", "Name of the label.", ours(&ANY_TEXT, &text(1, 317))),
        required(
            "operator",
            "In, NotIn, Exists or DoesNotExist.",
            ours(
                &ANY_TEXT,
                &Shape::Choice(&["In", "NotIn", "Exists", "DoesNotExist"]),
            ),
        ),
        optional(
            "values",
            "Values for In and NotIn, at least one; none for Exists and DoesNotExist.",
            many(&ANY_TEXT),
        ),
    ],
    &[],
);
