//! A listener in which each instance of the .wasm has given its place to a replay.

use anyhow::{Result, ensure};
use btp_tests::build::WASM_TYPE;
use btp_tests::repo;
use serde_json::{Value, json};

use super::{Kind, Variant};
use crate::traffic::Traffic;

impl Variant {
    /// The same listener with these scripts in the places of the filter's instances, in
    /// their order. An instance that requests of this kind do not reach has none.
    pub(crate) fn replay(&self, traffic: Traffic, scripts: &[String]) -> Result<Self> {
        let asked = self.asked.iter().copied();
        let mut replay = Self {
            kind: Kind::Replay,
            asked: asked.filter(|(asked, _)| *asked == traffic).collect(),
            ..Self::quiet(self.what, Kind::Replay, vec![])
        };
        let mut listener = self.listener_config();
        listener["name"] = json!(replay.listener());
        let file = repo::replay_wasm()?.display().to_string();
        let mut left = scripts.iter();
        put(&mut listener, &file, &mut left);
        ensure!(
            left.next().is_none(),
            "{} has fewer instances of the filter than were seen",
            self.name()
        );
        // The clusters are those of the variant itself.
        replay.applied = Some((listener, Vec::new()));
        Ok(replay)
    }
}

/// Puts the next script wherever a plugin stands.
fn put<'a>(config: &mut Value, file: &str, scripts: &mut impl Iterator<Item = &'a String>) {
    match config {
        Value::Object(fields) if fields.get("@type").is_some_and(|it| it == WASM_TYPE) => {
            let plugin = &mut config["config"];
            for name in ["name", "root_id"] {
                plugin[name] = json!("replay");
            }
            plugin["vm_config"]["vm_id"] = json!("replay");
            plugin["vm_config"]["code"] = json!({"local": {"filename": file}});
            let script = scripts.next().map_or("", String::as_str);
            plugin["configuration"] = json!({
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": script});
        }
        Value::Object(fields) => fields.values_mut().for_each(|it| put(it, file, scripts)),
        Value::Array(items) => items.iter_mut().for_each(|it| put(it, file, scripts)),
        _ => {}
    }
}
