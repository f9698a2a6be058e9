//! The code base checks itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every crate, with the workspace crates that it may depend on (docs/ARCHITECTURE.md).
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("proofs", &[]),
    ("events", &["types"]),
    ("domain", &["types", "events"]),
    ("event-log", &["types", "proofs"]),
    ("projections", &["types", "events"]),
    ("event-log-sled", &["types", "event-log"]),
    ("vault", &["types"]),
    ("backup", &["types", "event-log"]),
    ("transparency", &["types", "proofs", "event-log"]),
    (
        "engine",
        &[
            "types",
            "events",
            "domain",
            "event-log",
            "projections",
            "vault",
        ],
    ),
    ("auth", &["types"]),
    ("rendering", &["types"]),
    ("providers", &["types", "rendering"]),
    (
        "sending",
        &[
            "types",
            "events",
            "projections",
            "engine",
            "rendering",
            "providers",
            "auth",
        ],
    ),
    ("delivery", &["types", "projections", "engine", "auth"]),
    (
        "api",
        &[
            "backup",
            "types",
            "proofs",
            "domain",
            "projections",
            "engine",
            "transparency",
            "auth",
            "delivery",
            "events",
            "providers",
            "rendering",
            "sending",
        ],
    ),
    (
        "server",
        &[
            "providers",
            "sending",
            "backup",
            "types",
            "api",
            "auth",
            "delivery",
            "engine",
            "event-log",
            "event-log-sled",
            "events",
            "projections",
            "vault",
            "proofs",
            "transparency",
        ],
    ),
    (
        "cli",
        &[
            "backup",
            "types",
            "proofs",
            "engine",
            "event-log",
            "projections",
            "transparency",
            "server",
            "vault",
        ],
    ),
    (
        "bench",
        &[
            "types",
            "domain",
            "engine",
            "event-log",
            "events",
            "projections",
            "server",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files_below(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("the directory is readable").path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

fn sources(below: &str) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    files_below(&root().join(below), ".rs", &mut sources);
    assert!(!sources.is_empty());
    sources
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata runs");
    for package in metadata
        .packages
        .iter()
        .filter(|package| *package.name != *"tests")
    {
        let allowed = allowed
            .get(package.name.as_str())
            .unwrap_or_else(|| panic!("`{}` is not listed in tests/tidy/main.rs", package.name));
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Normal && dependency.path.is_some() {
                let name = dependency.name.as_str();
                assert!(
                    allowed.contains(&name),
                    "`{}` must not depend on `{name}`",
                    package.name
                );
            }
        }
    }
}

#[test]
fn events_use_no_serde_attribute_that_the_binary_form_cannot_carry() {
    for source in sources("crates/events/src") {
        let text = fs::read_to_string(&source).unwrap();
        for attribute in [
            "skip_serializing_if",
            "serde(flatten",
            "serde(untagged",
            "serde(tag",
            "serde(default",
        ] {
            assert!(
                !text.contains(attribute),
                "{}: {attribute}",
                source.display()
            );
        }
    }
}

#[test]
fn sled_and_bincode_are_each_known_to_one_place() {
    for source in sources("crates") {
        let text = fs::read_to_string(&source).unwrap();
        let path = source.to_string_lossy();
        assert!(
            !text.contains("sled::")
                || path.contains("event-log-sled")
                || path.contains("event_log_sled")
                || path.contains("server/src/store.rs"),
            "{path}"
        );
        assert!(
            !text.contains("bincode::") || path.ends_with("events/src/codec.rs"),
            "{path}"
        );
    }
}

#[test]
fn no_module_is_named_mod() {
    for source in sources("crates").into_iter().chain(sources("tests")) {
        assert!(!source.ends_with("mod.rs"), "{}", source.display());
    }
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let mut pages: Vec<String> = fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .replace(".md", "")
        })
        .collect();
    pages.sort_unstable();
    let mut codes: Vec<&str> = api::CODES.to_vec();
    codes.sort_unstable();
    assert_eq!(pages, codes);
}

#[test]
fn every_dependency_is_justified() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let justified = fs::read_to_string(root().join("docs/DEPENDENCIES.md")).unwrap();
    let external = manifest
        .split("# External crates.")
        .nth(1)
        .unwrap()
        .split("[workspace.lints")
        .next()
        .unwrap();
    for line in external.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once(" = ") {
            assert!(justified.contains(&format!("`{name}`")), "{name}");
        }
    }
}

/// `make docs` writes them; whoever changes an endpoint reads what that changes.
#[test]
fn the_documentation_of_the_api_is_that_of_the_code() {
    for (name, expected) in api::documentation() {
        let path = root().join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &expected).expect("the file can be written");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name} is out of date: run `make docs`");
    }
}
