//! Any bytes as a pairs block, in which Envoy hands over headers, structs and
//! lists: what is read is written again as it was, and sorting it twice
//! changes no more than sorting it once.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../filter/wasm/src/pairs.rs"]
mod pairs;

fuzz_target!(|block: &[u8]| {
    let found: Vec<(&[u8], &[u8])> = pairs::entries(block).collect();
    // Nothing is read that is not there: each entry has its sizes.
    assert!(found.len() <= block.len() / 8);
    let written = pairs::serialize(&found);
    assert_eq!(written.len(), pairs::serialized_size(&found));
    assert!(pairs::entries(&written).eq(found));
    // What is no block is not sorted.
    if let Some(once) = pairs::in_order(block) {
        assert_eq!(once.len(), block.len());
        assert_eq!(pairs::in_order(&once).as_ref(), Some(&once));
    }
});
