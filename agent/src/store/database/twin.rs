//! Statements that the engines know in different words.

/// One statement in the words of both engines.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Twin {
    /// SQLite's.
    pub(in crate::store) sqlite: &'static str,
    /// PostgreSQL's.
    pub(in crate::store) postgres: &'static str,
}

/// A statement about each of many things at once: `$1` is a JSON array of objects, whose named members
/// are the columns of `asked`. What PostgreSQL alone needs at the end may follow.
macro_rules! of_each {
    ($before:literal, [$column:ident $kind:ident $(, $more:ident $more_kind:ident)*], $after:literal) => {
        of_each!($before, [$column $kind $(, $more $more_kind)*], $after, postgres: "")
    };
    (
        $before:literal, [$column:ident $kind:ident $(, $more:ident $more_kind:ident)*], $after:literal,
        postgres: $postgres:literal
    ) => {
        $crate::store::database::Twin {
            sqlite: concat!(
                $before, "(SELECT value ->> '", stringify!($column), "' AS ", stringify!($column),
                $(", value ->> '", stringify!($more), "' AS ", stringify!($more),)*
                " FROM json_each($1)) AS asked", $after
            ),
            postgres: concat!(
                $before, "json_to_recordset($1::json) AS asked (",
                stringify!($column), " ", stringify!($kind),
                $(", ", stringify!($more), " ", stringify!($more_kind),)*
                ")", $after, $postgres
            ),
        }
    };
}

pub(in crate::store) use of_each;

#[cfg(test)]
mod tests {
    #[test]
    fn both_engines_read_the_same_members() {
        let twin = of_each!("SELECT 1 FROM ", [id text, number bigint], " WHERE true", postgres: " FOR UPDATE");
        assert_eq!(
            twin.sqlite,
            "SELECT 1 FROM (SELECT value ->> 'id' AS id, value ->> 'number' AS number \
             FROM json_each($1)) AS asked WHERE true"
        );
        assert_eq!(
            twin.postgres,
            "SELECT 1 FROM json_to_recordset($1::json) AS asked (id text, number bigint) WHERE true FOR UPDATE"
        );
    }
}
