//! Random input: whole models, and texts that look like buildspecs.

use buildspec_parser::model::{
    Artifacts, Batch, Cache, CacheAction, Env, Fanout, Files, Map, Matrix, MatrixDynamic,
    OnFailure, Phase, PhaseName, Proxy, Report, ReportFormat, SecretReference, Shell,
    Strategy as BatchStrategy, Task, TaskEnv, Version,
};
use buildspec_parser::{Buildspec, Place, Span, Spanned};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::default())
}

/// Any text without the characters YAML cannot hold, with many that it treats specially.
fn text() -> impl Strategy<Value = Spanned<String>> {
    prop_oneof![
        "[a-zA-Z0-9_./ -]{0,12}",
        "[ \\n\\t\\r:#'\"\\\\&*!|>%@`,\\[\\]{}?~=<é\u{85}\u{2028}\u{feff}\u{1f980}-]{0,10}",
        "(set -e\\n|make test\\n|  indented: x\\n|\\n){0,4}",
        select(vec![
            "null", "true", "1.10", "0x1F", "~", "", "<<", "- a", "a: b", "# c", "no"
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| text.chars().filter(|c| *c != '\0').collect()),
    ]
    .prop_map(spanned)
}

fn some_text() -> impl Strategy<Value = Spanned<String>> {
    text().prop_filter("not empty", |text| !text.value.is_empty())
}

fn name() -> impl Strategy<Value = String> {
    "[A-Z_][A-Z0-9_]{0,6}"
}

fn texts() -> impl Strategy<Value = Vec<Spanned<String>>> {
    vec(text(), 0..4)
}

fn map<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Map<T>> {
    btree_map(name(), value, 0..4).prop_map(|entries| {
        entries
            .into_iter()
            .map(|(name, value)| (spanned(name), value))
            .collect()
    })
}

fn flag() -> impl Strategy<Value = Option<Spanned<bool>>> {
    of(any::<bool>().prop_map(spanned))
}

fn env() -> impl Strategy<Value = Env> {
    let secret = (
        "[a-z/]{1,5}",
        of("[a-z]{1,3}"),
        of("[A-Z]{1,3}"),
        of("[0-9]{1,3}"),
    );
    let secret = secret.prop_map(|(id, json_key, version_stage, version_id)| {
        spanned(SecretReference {
            id,
            json_key,
            version_stage,
            version_id,
        })
    });
    let shell = of(select(Shell::ALL.to_vec()).prop_map(spanned));
    (
        shell,
        map(text()),
        map(text()),
        map(secret),
        texts(),
        flag(),
    )
        .prop_map(
            |(
                shell,
                variables,
                parameter_store,
                secrets_manager,
                exported_variables,
                git_credential_helper,
            )| Env {
                shell,
                variables,
                parameter_store,
                secrets_manager,
                exported_variables,
                git_credential_helper,
            },
        )
}

fn phase() -> impl Strategy<Value = Phase> {
    let on_failure = prop_oneof![
        Just(OnFailure::Abort),
        Just(OnFailure::Continue),
        (0u8..=100, "[a-z.*-]{1,6}")
            .prop_map(|(count, pattern)| OnFailure::Retry { count, pattern }),
    ];
    (
        of("[a-z]{1,8}"),
        of(on_failure),
        map(text()),
        texts(),
        texts(),
    )
        .prop_map(
            |(run_as, on_failure, runtime_versions, commands, finally)| Phase {
                place: Place::default(),
                run_as: run_as.map(spanned),
                on_failure: on_failure.map(spanned),
                runtime_versions,
                commands,
                finally,
            },
        )
}

fn files(excludes: bool) -> impl Strategy<Value = Files> {
    (texts(), of(some_text()), flag(), texts()).prop_map(
        move |(patterns, base_directory, discard_paths, exclude)| {
            let exclude_paths = if excludes { exclude } else { Vec::new() };
            Files {
                patterns,
                base_directory,
                discard_paths,
                exclude_paths,
            }
        },
    )
}

fn artifacts(secondary: bool) -> BoxedStrategy<Artifacts> {
    let inner = if secondary {
        map(artifacts(false)).boxed()
    } else {
        Just(Map::default()).boxed()
    };
    (files(true), of(some_text()), flag(), of(some_text()), inner)
        .prop_map(
            |(files, name, enable_symlinks, s3_prefix, secondary)| Artifacts {
                files,
                name,
                enable_symlinks,
                s3_prefix,
                secondary,
            },
        )
        .boxed()
}

fn report() -> impl Strategy<Value = Report> {
    (files(false), of(select(ReportFormat::ALL))).prop_map(|(files, format)| Report {
        files,
        format: format.map(spanned),
    })
}

fn cache() -> impl Strategy<Value = Cache> {
    let action = of(select(vec![CacheAction::Restore, CacheAction::Save]).prop_map(spanned));
    (of(some_text()), texts(), action, texts()).prop_map(|(key, fallback_keys, action, paths)| {
        Cache {
            key,
            fallback_keys,
            action,
            paths,
        }
    })
}

fn task_env() -> impl Strategy<Value = TaskEnv> {
    (
        of(some_text()),
        of(some_text()),
        flag(),
        of(some_text()),
        map(text()),
    )
        .prop_map(
            |(compute_type, image, privileged_mode, environment_type, variables)| TaskEnv {
                compute_type,
                fleet: None,
                image,
                privileged_mode,
                environment_type,
                variables,
            },
        )
}

fn tasks(graph: bool) -> impl Strategy<Value = Vec<Task>> {
    let parts = (
        flag(),
        flag(),
        task_env(),
        of(some_text()),
        any::<prop::sample::Index>(),
    );
    vec(parts, 1..4).prop_map(move |all| {
        let task =
            |(number, (debug_session, ignore_failure, env, buildspec, earlier)): (usize, _)| {
                let earlier: prop::sample::Index = earlier;
                let depend_on = match number {
                    0 => Vec::new(),
                    _ if graph => vec![spanned(format!("task{}", earlier.index(number)))],
                    _ => Vec::new(),
                };
                let identifier = spanned(format!("task{number}"));
                Task {
                    identifier,
                    buildspec,
                    debug_session,
                    env,
                    ignore_failure,
                    depend_on,
                }
            };
        all.into_iter().enumerate().map(task).collect()
    })
}

fn matrix() -> impl Strategy<Value = Matrix> {
    let dynamic = (texts(), texts(), texts(), map(vec(text(), 1..3)));
    (flag(), task_env(), dynamic).prop_map(
        |(ignore_failure, static_env, (buildspec, compute_type, image, variables))| Matrix {
            ignore_failure,
            static_env,
            dynamic: MatrixDynamic {
                buildspec,
                compute_type,
                image,
                variables,
            },
        },
    )
}

fn batch() -> impl Strategy<Value = Batch> {
    let fanout = (1u32..50, flag()).prop_map(|(shards, ignore_failure)| Fanout {
        parallelism: spanned(shards),
        ignore_failure,
    });
    let strategy = prop_oneof![
        tasks(false).prop_map(BatchStrategy::List),
        tasks(true).prop_map(BatchStrategy::Graph),
        matrix().prop_map(|matrix| BatchStrategy::Matrix(Box::new(matrix))),
        fanout.prop_map(BatchStrategy::Fanout),
    ];
    (flag(), strategy).prop_map(|(fast_fail, strategy)| Batch {
        fast_fail,
        strategy: Some(strategy),
        place: Place::default(),
    })
}

/// A whole model.
pub(crate) fn buildspec() -> impl Strategy<Value = Buildspec> {
    let version = select(vec![Version::V0_1, Version::V0_2]);
    let phases = [of(phase()), of(phase()), of(phase()), of(phase())];
    let outputs = (map(report()), of(artifacts(true)), of(cache()));
    let proxy = (flag(), flag()).prop_map(|(upload_artifacts, logs)| Proxy {
        upload_artifacts,
        logs,
    });
    (
        version,
        of("[a-z]{1,8}"),
        env(),
        proxy,
        of(batch()),
        phases,
        outputs,
    )
        .prop_map(
            |(version, run_as, env, proxy, batch, phases, (reports, artifacts, cache))| {
                let mut spec = Buildspec::new(version);
                for (name, phase) in PhaseName::ALL.into_iter().zip(phases) {
                    if let Some(phase) = phase {
                        spec.phases.set(name, phase);
                    }
                }
                spec.run_as = run_as.map(spanned);
                Buildspec {
                    env,
                    proxy,
                    batch,
                    reports,
                    artifacts,
                    cache,
                    ..spec
                }
            },
        )
}

/// Lines of a buildspec in any order, broken here and there.
pub(crate) fn nearly_yaml() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        select(vec![
            "version: 0.2\n",
            "phases:\n",
            "  build:\n",
            "  post_build: &p\n",
            "    commands:\n",
            "      - echo \"a: b\"\n",
            "      - |\n        set -e\n        é\n",
            "    <<: *p\n",
            "    finally: *p\n",
            "  biuld: {commands: [a, 'b', \"\\n\"]}\n",
            "batch:\n  build-graph:\n    - {identifier: a, depend-on: [a]}\n",
            "env: {variables: {A: [1]}, shell: zsh}\n",
            "\tx: y\n",
            "artifacts:\r\n  files: '**/*'\r\n",
            "\u{feff}",
            "# buildspec-lint: disable=unknown-key\n",
        ])
        .prop_map(str::to_owned),
        "[ -~é\u{1f980}]{0,20}\\n",
        "[ \\t\\n:{}\\[\\]&*|>'\"-]{0,8}",
    ];
    vec(line, 0..14).prop_map(|lines| lines.concat())
}
