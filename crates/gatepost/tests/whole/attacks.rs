//! Known attacks: each is played against the running proxy, and the guard holds.
//!
//! docs/threat-model.md says which attack is played where; those that other tests play are not repeated here.

mod bytes;
mod credentials;
mod memory;
mod secrets;

/// Where the tests are that a page names as `whole/attacks.rs: name`.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The file and the function of each test that is named in `page`.
fn named(page: &str) -> Vec<(String, &str)> {
    page.split('`')
        .filter_map(|text| text.split_once(".rs: "))
        .map(|(file, name)| match file.strip_prefix("compat/") {
            Some(file) => (format!("{ROOT}/compat/tests/compat/{file}.rs"), name),
            None => (format!("{ROOT}/crates/gatepost/tests/{file}.rs"), name),
        })
        .collect()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/threat-model.md")).expect("the page is there");
    let named = named(&page);
    assert!(named.len() > 50, "{} tests are named", named.len());
    for (file, name) in named {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(text.contains(&format!("fn {name}()")), "{name} is not in {file}");
    }
}
