//! `build-matrix`: every combination of the dynamic values.

use super::{BatchBuild, environment, is_yes};
use crate::assumptions::LONGEST_IDENTIFIER;
use crate::model::{Matrix, MatrixDynamic};
use crate::span::Spanned;

/// One list of values that takes part in the combinations, and what a value sets.
struct Axis<'m> {
    sets: Sets<'m>,
    values: &'m [Spanned<String>],
}

#[derive(Clone, Copy)]
enum Sets<'m> {
    Buildspec,
    ComputeType,
    Image,
    Variable(&'m str),
}

/// Number of builds; `None` where no machine could count them.
pub(super) fn count(matrix: &Matrix) -> Option<usize> {
    axes(&matrix.dynamic)
        .iter()
        .try_fold(1usize, |count, axis| count.checked_mul(axis.values.len()))
}

/// All builds. The caller has checked that there are not too many.
pub(super) fn builds(matrix: &Matrix) -> Vec<BatchBuild> {
    let base = BatchBuild {
        environment: environment(&matrix.static_env),
        ignore_failure: is_yes(matrix.ignore_failure),
        ..BatchBuild::default()
    };
    let mut builds = vec![(base, String::new())];
    for axis in axes(&matrix.dynamic) {
        let combine = |(build, label): &(BatchBuild, String)| {
            let (build, label) = (build.clone(), label.clone());
            let sets = axis.sets;
            axis.values.iter().map(move |value| {
                let mut build = build.clone();
                set(&mut build, sets, &value.value);
                (build, format!("{label}{}_", word(&value.value)))
            })
        };
        builds = builds.iter().flat_map(combine).collect();
    }
    let named = |(number, (build, label)): (usize, (BatchBuild, String))| BatchBuild {
        identifier: identifier(&label, number + 1),
        ..build
    };
    builds.into_iter().enumerate().map(named).collect()
}

fn axes(dynamic: &MatrixDynamic) -> Vec<Axis<'_>> {
    let lists = [
        (Sets::Buildspec, &dynamic.buildspec),
        (Sets::ComputeType, &dynamic.compute_type),
        (Sets::Image, &dynamic.image),
    ];
    let variables = dynamic
        .variables
        .iter()
        .map(|(name, values)| (Sets::Variable(&name.value), values));
    let axes = lists
        .into_iter()
        .chain(variables)
        .map(|(sets, values)| Axis { sets, values });
    axes.filter(|axis| !axis.values.is_empty()).collect()
}

fn set(build: &mut BatchBuild, sets: Sets<'_>, value: &str) {
    let value = value.to_owned();
    match sets {
        Sets::Buildspec => build.buildspec = Some(value),
        Sets::ComputeType => build.environment.compute_type = Some(value),
        Sets::Image => build.environment.image = Some(value),
        Sets::Variable(name) => {
            build
                .environment
                .variables
                .retain(|(known, _)| known != name);
            build.environment.variables.push((name.to_owned(), value));
        }
    }
}

/// The values in the characters of an identifier, and a number that makes it unique. How the service
/// names the builds of a matrix is not documented.
fn identifier(label: &str, number: usize) -> String {
    let number = number.to_string();
    let room = LONGEST_IDENTIFIER - number.len();
    let label: String = label.chars().take(room).collect();
    if label.is_empty() {
        format!("build_{number}")
    } else {
        format!("{label}{number}")
    }
}

fn word(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(LONGEST_IDENTIFIER)
        .collect()
}
