//! Performs one change on one object, and records or refuses it.

use super::Scene;
use super::draft::Draft;
use super::errors::Errors;
use crate::apply::effective::Effective;
use crate::apply::placement::Object;
use crate::envoy::address::{Address, Step};
use crate::envoy::model::{Model, RouteId, Sender};
use crate::translate::Change;
use btp_policy::path::FieldPath;

/// An object that is changed.
pub(super) struct Changed {
    /// What reports know it as.
    pub(super) object: Object,
    pub(super) address: Address,
    /// The object that remembers what was there: itself, or one around it.
    recorded: Address,
}

impl Changed {
    pub(super) fn route(scene: Scene<'_>, id: RouteId) -> Self {
        let address = scene.model.route(id).address.clone();
        Self {
            object: Object::Route(id),
            recorded: address.clone(),
            address,
        }
    }

    /// What a route says of one of its clusters, whose name is at this address: it says so
    /// itself if there is no other.
    pub(super) fn route_to(scene: Scene<'_>, id: RouteId, name: &Address) -> Self {
        let route = Self::route(scene, id);
        match name.path.as_slice() {
            [entry @ .., Step::Key(_)] if matches!(entry.last(), Some(Step::Item(_))) => Self {
                address: Address {
                    path: entry.to_vec(),
                    ..name.clone()
                },
                ..route
            },
            _ => route,
        }
    }

    pub(super) fn cluster(name: &str, senders: Vec<Sender>, address: &Address) -> Self {
        Self {
            object: Object::Cluster {
                name: name.to_owned(),
                senders,
            },
            recorded: address.clone(),
            address: address.clone(),
        }
    }

    /// A proxy of connections or datagrams, by its index.
    pub(super) fn l4_proxy(scene: Scene<'_>, index: usize) -> Self {
        let proxy = &scene.model.l4_proxies[index];
        Self {
            object: Object::L4Proxy {
                index,
                title: proxy.title(),
            },
            address: proxy.address.clone(),
            recorded: proxy.listener.clone(),
        }
    }

    /// A connection manager, by its index.
    pub(super) fn manager(scene: Scene<'_>, index: usize) -> Self {
        let manager = &scene.model.managers[index];
        Self {
            object: Object::Manager {
                index,
                listener: manager.listener_name.clone(),
            },
            address: manager.address.clone(),
            recorded: manager.listener.clone(),
        }
    }
}

impl Object {
    /// What it is called, for people.
    pub(super) fn title(&self, model: &Model) -> String {
        match self {
            Self::Route(id) => format!("route {}", model.route(*id).title()),
            Self::Cluster { name, .. } => format!("cluster {name}"),
            Self::Manager { listener, .. } | Self::Tries { listener, .. } => {
                format!("listener {listener}")
            }
            Self::L4Proxy { title, .. } => title.clone(),
        }
    }
}

/// Makes a change for a spec, and notes what it replaced.
pub(super) fn perform(
    scene: Scene<'_>,
    draft: &mut Draft<'_>,
    it: &mut Effective,
    change: &Change,
    on: &Changed,
    errors: &mut Errors<'_>,
) {
    let Some(node) = draft.change_in(&on.recorded, &on.address) else {
        return;
    };
    let what = on.object.title(scene.model);
    match it
        .journal
        .perform(node, change, &on.address, on.object.clone())
    {
        Ok(replaced) => {
            let lines = replaced.iter().map(|value| format!("{what}: {value}"));
            for line in lines.collect::<Vec<_>>() {
                if !it.replaced.contains(&line) {
                    it.replaced.push(line);
                }
            }
        }
        Err(error) => {
            let wrong = match change.path.0.is_empty() {
                true => format!(", which {error}"),
                false => format!(": {} {error}", change.path),
            };
            let reason = format!("cannot be put into force on {what}{wrong}");
            errors.refuse_field(
                it.policy,
                FieldPath::written(&change.field),
                error.code(),
                reason,
            );
        }
    }
}
