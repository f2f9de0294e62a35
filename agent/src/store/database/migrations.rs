//! The versions of the schema, from the first one on. A version that was released is never changed.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::Twin;

/// A version: its number, what it brings, what both engines run, and what each runs after it.
struct Version {
    number: i64,
    title: &'static str,
    common: &'static str,
    own: Twin,
}

const VERSIONS: &[Version] = &[
    Version {
        number: 1,
        title: "first",
        common: include_str!("../migrations/0001_first.sql"),
        own: Twin {
            sqlite: include_str!("../migrations/0001_first.sqlite.sql"),
            postgres: include_str!("../migrations/0001_first.postgres.sql"),
        },
    },
    Version {
        number: 2,
        title: "outbox",
        common: include_str!("../migrations/0002_outbox.sql"),
        own: NOTHING,
    },
    Version {
        number: 3,
        title: "intake",
        common: include_str!("../migrations/0003_intake.sql"),
        own: Twin {
            sqlite: "",
            postgres: include_str!("../migrations/0003_intake.postgres.sql"),
        },
    },
];

/// A version that is the same in both engines.
const NOTHING: Twin = Twin {
    sqlite: "",
    postgres: "",
};

/// Brings a database to the newest version; `words` chooses the engine's.
pub(super) fn migrator(words: fn(Twin) -> &'static str) -> Migrator {
    let migrations = VERSIONS.iter().flat_map(|version| {
        let steps = [version.common, words(version.own)];
        let steps = steps.into_iter().zip(0..);
        let steps = steps.filter(|(text, _)| !text.is_empty());
        steps.map(|(text, step)| {
            Migration::new(
                version.number * 10 + step,
                Cow::Borrowed(version.title),
                MigrationType::Simple,
                text.into_sql_str(),
                false,
            )
        })
    });
    Migrator::with_migrations(migrations.collect())
}
