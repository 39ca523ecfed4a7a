//! What envoyproxy/ratelimit answers, with its file and with Redis.
//!
//! Rules and places of its sources are named where they are followed, as of commit
//! f2fb1577 (July 2026).

mod config;
mod file;
mod lookup;
mod redis;
mod verdict;
mod wildcard;
mod window;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::rls::{RateLimitRequest, RateLimitResponse};
use config::Config;
use redis::Redis;

/// The limits in force; Redis has the counts.
pub(crate) struct Ratelimit {
    config: RwLock<Arc<Config>>,
    redis: Redis,
}

impl Ratelimit {
    /// With a file. Redis need not be there yet.
    pub(crate) fn new(text: &str, redis: SocketAddr) -> Result<Self> {
        Ok(Self {
            config: RwLock::new(Arc::new(file::read(text)?)),
            redis: Redis::new(redis),
        })
    }

    /// Takes another file.
    pub(crate) fn load(&self, text: &str) -> Result<()> {
        let config = Arc::new(file::read(text)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Each descriptor that has a limit is counted, whatever becomes of the others.
    pub(crate) async fn should_rate_limit(
        &self,
        request: &RateLimitRequest,
    ) -> Result<RateLimitResponse> {
        if request.domain.is_empty() {
            bail!("the request has no domain");
        }
        if request.descriptors.is_empty() {
            bail!("the request has no descriptors");
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let asked = verdict::asked(&self.in_force(), request, now)?;
        let increments: Vec<_> = asked.iter().flatten().map(|it| &it.increment).collect();
        let counts = self.redis.add(&increments).await?;
        Ok(verdict::response(&asked, counts, now))
    }

    fn in_force(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}
