//! What stands in the files of our build images is what the agent reads.

use agent::images::files;
use agent::runtimes::RuntimeTable;

#[test]
fn every_table_of_runtimes_can_be_read_and_its_smoke_test_chooses_from_it() {
    let mut tables = 0;
    for (path, text) in files::all() {
        let Some(name) = path.strip_suffix("/runtimes.yml") else {
            continue;
        };
        tables += 1;
        let table = RuntimeTable::parse(text).unwrap();
        let smoke = format!("{name}/smoke/buildspec.yml");
        let (_, smoke) = files::all()
            .iter()
            .find(|(path, _)| *path == smoke)
            .unwrap();
        let install = buildspec_parser::parse(smoke)
            .buildspec
            .unwrap()
            .phases
            .install
            .unwrap();
        let wishes: Vec<_> = install
            .runtime_versions
            .iter()
            .map(|(name, version)| (name.value.clone(), version.value.clone()))
            .collect();
        let selected = table.select(&wishes).unwrap();
        assert_eq!(selected.len(), wishes.len(), "{name}");
    }
    assert_eq!(tables, 5);
}
