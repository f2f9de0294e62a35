//! What every store must do, whatever its engine: each promise is run against both.

#![expect(
    clippy::unwrap_used,
    reason = "promises are tests, which the macro below marks as such"
)]

/// Runs each of these promises against both engines, on a store of its own.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            use tests::stores::{Engine, TestStore};
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    super::$promise(&TestStore::new(Engine::Sqlite).await).await;
                }
            )*
        }
        mod postgres {
            use tests::stores::{Engine, TestStore};
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    super::$promise(&TestStore::new(Engine::Postgres).await).await;
                }
            )*
        }
    };
}

mod arrivals;
mod builds;
mod contention;
mod forget;
mod leases;
mod order;
mod outbox;
mod resources;
mod upgrade;
mod why;
