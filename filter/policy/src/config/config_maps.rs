//! `configMaps`: where overrides may take their bodies from.

use std::collections::BTreeMap;

use super::schema::CONFIG_MAP;
use crate::code::Code;
use crate::node::Mark;
use crate::path::Path;
use crate::policy::{Metadata, Policy};
use crate::problem::Problems;
use crate::read::{Cursor, Object};
use crate::scalar::ObjectName;
use crate::spec::OverrideRule;

/// The data of each ConfigMap.
pub(super) struct ConfigMaps(BTreeMap<ObjectName, Data>);

/// The data of one.
type Data = BTreeMap<String, String>;

/// The key that holds a body.
const BODY: &str = "response.body";

impl ConfigMaps {
    pub(super) fn read(config: &Object<'_>, problems: &mut Problems) -> Option<Self> {
        config
            .or_default("configMaps", problems, read_all)
            .map(Self)
    }

    /// Bytes of the body in this ConfigMap, if it is there.
    pub(super) fn length(&self, name: &ObjectName) -> usize {
        self.body(name).map_or(0, str::len)
    }

    /// Puts the bodies that policies refer to where inline ones stand.
    pub(super) fn fill_in(&self, policies: &mut [Policy], problems: &mut Problems) {
        let root = Path::Root;
        let list = Path::Field(&root, "policies");
        for (index, policy) in policies.iter_mut().enumerate() {
            let item = Path::Item(&list, index);
            let spec = Path::Field(&item, "spec");
            let rules = Path::Field(&spec, "responseOverride");
            let mut filled = false;
            for (index, rule) in policy.spec.response_override.iter_mut().enumerate() {
                let rule_path = Path::Item(&rules, index);
                let response = Path::Field(&rule_path, "response");
                let variants = Path::Field(&response, "variants");
                for (index, body) in rule.bodies_mut() {
                    let Some(name) = body.from.take() else {
                        continue;
                    };
                    filled = true;
                    let outcome = self.body(&name).and_then(|text| {
                        let wrong = |reason| {
                            let reason = format!("refers to ConfigMap {name}, whose body {reason}");
                            (Code::ConfigMapBody, reason)
                        };
                        body.fill_in(text).map_err(wrong)
                    });
                    if let Err((code, reason)) = outcome {
                        let variant = Path::Item(&variants, index.unwrap_or_default());
                        let above = if index.is_some() { &variant } else { &response };
                        let body = Path::Field(above, "body");
                        let path = Path::Field(&body, "valueRef");
                        problems.note(&path, Mark::UNKNOWN, code, reason);
                    }
                }
            }
            if let (true, Err(reason)) = (
                filled,
                OverrideRule::check_operators(&policy.spec.response_override),
            ) {
                problems.note(&rules, Mark::UNKNOWN, Code::TooManyOperators, reason);
            }
        }
    }

    /// The text under `response.body`, or under the only key.
    fn body(&self, name: &ObjectName) -> Result<&str, (Code, String)> {
        let map = self.0.get(name);
        let map = map.ok_or_else(|| {
            let reason = format!("refers to ConfigMap {name}, which is missing");
            (Code::ConfigMapNotFound, reason)
        })?;
        let only = map.values().next().filter(|_| map.len() == 1);
        let text = map.get(BODY).or(only).ok_or_else(|| {
            let reason = format!(
                "refers to ConfigMap {name}, which has neither key {BODY:?} nor a single \
                    key"
            );
            (Code::ConfigMapKey, reason)
        })?;
        Ok(text)
    }
}

fn read_all(at: Cursor<'_>, problems: &mut Problems) -> Option<BTreeMap<ObjectName, Data>> {
    let mut maps = BTreeMap::new();
    at.list(0..=usize::MAX, problems, |at, problems| {
        let (name, data) = read_one(at, problems)?;
        if maps.contains_key(&name) {
            let metadata = Path::Field(&at.path, "metadata");
            let reason = format!("names {name}, which is listed twice: keep one of them");
            problems.note(
                &Path::Field(&metadata, "name"),
                at.node.mark,
                Code::DefinedTwice,
                reason,
            );
        }
        maps.insert(name, data);
        Some(())
    })?;
    Some(maps)
}

fn read_one(at: Cursor<'_>, problems: &mut Problems) -> Option<(ObjectName, Data)> {
    let object = at.object_of(&CONFIG_MAP, problems)?;
    if let Some(at) = object.get("apiVersion") {
        at.choice(&[("v1", ())], problems);
    }
    if let Some(at) = object.get("kind") {
        at.choice(&[("ConfigMap", ())], problems);
    }
    if let Some(at) = object.get("binaryData") {
        let reason = "is not supported: put the text into data";
        problems.note(&at.path, at.node.mark, Code::BinaryData, reason);
    }
    let metadata = object
        .required("metadata", problems)
        .and_then(|at| Metadata::read(at, problems));
    let data = object.or_default("data", problems, read_data);
    Some((metadata?.name, data?))
}

fn read_data(at: Cursor<'_>, problems: &mut Problems) -> Option<Data> {
    let object = at.open_object(problems)?;
    let mut data = Data::new();
    for (key, at) in object.fields() {
        if let Some(text) = at.string(problems) {
            data.insert(key.to_owned(), text.to_owned());
        }
    }
    Some(data)
}
