//! What a scripted upstream does with one request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::body::{Body, HttpBody};
use crate::{Fields, to_header_map};

/// A reply, or the refusal to give one.
#[derive(Clone, Debug)]
pub struct Reply {
    action: Action,
    delay: Duration,
    early: bool,
    gate: Option<Arc<Semaphore>>,
}

#[derive(Clone, Debug)]
enum Action {
    Respond {
        status: u16,
        headers: Fields,
        body: Body,
    },
    Reset,
    Hang,
}

impl Reply {
    /// Responds with `status` and no body.
    pub fn status(status: u16) -> Self {
        Self::of(Action::Respond {
            status,
            headers: Fields::new(),
            body: Body::empty(),
        })
    }

    /// Closes the connection (HTTP/2: resets the stream) without a response.
    /// To do so in the middle of a response, give it a [`Body::cut`].
    pub fn reset() -> Self {
        Self::of(Action::Reset)
    }

    /// Never responds.
    pub fn hang() -> Self {
        Self::of(Action::Hang)
    }

    /// Adds a response header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Action::Respond { headers, .. } = &mut self.action {
            headers.push((name.into(), value.as_ref().to_vec()));
        }
        self
    }

    /// Sets the response body.
    pub fn body(mut self, new: Body) -> Self {
        if let Action::Respond { body, .. } = &mut self.action {
            *body = new;
        }
        self
    }

    /// Sets a plain response body.
    pub fn text(self, text: &str) -> Self {
        self.body(Body::sized(text))
    }

    /// Waits before acting.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits before acting for a permit of `gate`.
    pub fn behind(mut self, gate: &Arc<Semaphore>) -> Self {
        self.gate = Some(Arc::clone(gate));
        self
    }

    /// Acts as soon as the request's headers are there, not only when its
    /// body is complete.
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    pub(super) fn is_early(&self) -> bool {
        self.early
    }

    pub(super) async fn perform(self, head: bool) -> io::Result<http::Response<HttpBody>> {
        tokio::time::sleep(self.delay).await;
        if let Some(gate) = self.gate {
            let permit = gate.acquire().await.map_err(io::Error::other)?;
            permit.forget();
        }
        match self.action {
            Action::Hang => std::future::pending().await,
            Action::Reset => Err(io::Error::other("the script resets here")),
            Action::Respond {
                status,
                headers,
                body,
            } => respond(status, headers, body, head),
        }
    }

    fn of(action: Action) -> Self {
        Self {
            action,
            delay: Duration::ZERO,
            early: false,
            gate: None,
        }
    }
}

/// A HEAD response announces the length of the body it leaves out.
fn respond(
    status: u16,
    mut headers: Fields,
    body: Body,
    head: bool,
) -> io::Result<http::Response<HttpBody>> {
    let bodiless = matches!(status, 204 | 304);
    if head
        && !bodiless
        && let Some(length) = body.announced_len()
    {
        headers.push(("content-length".into(), length.to_string().into()));
    }
    let body = if head || bodiless {
        Body::empty()
    } else {
        body
    };
    let mut response = http::Response::new(body.into_http());
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(io::Error::other)?;
    *response.headers_mut() = to_header_map(&headers).map_err(io::Error::other)?;
    Ok(response)
}
