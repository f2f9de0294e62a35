//! Keeps events small enough for everybody who is told: EventBridge and SNS take 256 KB.

use serde_json::{Value, json};

/// What an event may take, in bytes, with room for what is put around it.
pub(super) const LIMIT_BYTES: usize = 250 * 1024;

/// Leaves out what an event can do without until it is small enough: the contexts of phases, then the
/// variables, then the text of the buildspec. The rest has limits of its own.
pub(super) fn limit(event: &mut Value) {
    let steps: [fn(&mut Value); 3] = [
        |information| {
            let phases = information["phases"].as_array_mut();
            for phase in phases.into_iter().flatten() {
                if let Some(phase) = phase.as_object_mut() {
                    phase.remove("phase-context");
                }
            }
        },
        |information| information["environment"]["environment-variables"] = json!([]),
        |information| {
            if let Some(source) = information["source"].as_object_mut() {
                source.remove("buildspec");
            }
        },
    ];
    for step in steps {
        if event.to_string().len() <= LIMIT_BYTES {
            return;
        }
        step(&mut event["detail"]["additional-information"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(context: usize, variable: usize, buildspec: usize) -> Value {
        json!({"detail": {"additional-information": {
            "phases": [{"phase-type": "BUILD", "phase-context": ["c".repeat(context)]}],
            "environment": {"environment-variables": [{"value": "v".repeat(variable)}]},
            "source": {"type": "NO_SOURCE", "buildspec": "b".repeat(buildspec)},
        }}})
    }

    #[test]
    fn an_event_that_is_too_large_loses_what_matters_least() {
        const LARGE: usize = LIMIT_BYTES;
        for (label, mut large, kept) in [
            ("small", event(1, 1, 1), [true, true, true]),
            ("contexts", event(LARGE, 1, 1), [false, true, true]),
            ("variables", event(1, LARGE, 1), [false, false, true]),
            ("buildspec", event(1, 1, LARGE), [false, false, false]),
        ] {
            limit(&mut large);
            assert!(large.to_string().len() <= LIMIT_BYTES, "{label}");
            let information = &large["detail"]["additional-information"];
            let found = [
                information["phases"][0].get("phase-context").is_some(),
                information["environment"]["environment-variables"][0].is_object(),
                information["source"].get("buildspec").is_some(),
            ];
            assert_eq!(found, kept, "{label}");
        }
    }
}
