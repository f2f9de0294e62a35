//! What keeps a batch from starting: it would fail in `DOWNLOAD_BATCHSPEC`.

use std::collections::{BTreeMap, BTreeSet};

use super::matrix;
use crate::assumptions::{MOST_BATCH_BUILDS, MOST_DIAGNOSTICS};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Batch, Strategy, Task};
use crate::span::Spanned;
use crate::suggest;

/// Every problem of the tasks taken together. What is wrong with a single value the parser has said.
pub fn check(batch: &Batch) -> Vec<Diagnostic> {
    let too_many = |count: usize| {
        let message = format!("the batch has {count} builds, the limit is {MOST_BATCH_BUILDS}");
        Diagnostic::new(Code::BatchTooLarge, batch.place.0, message)
    };
    let (count, mut problems) = match &batch.strategy {
        None => return Vec::new(),
        Some(Strategy::List(tasks)) => (tasks.len(), duplicates(tasks)),
        Some(Strategy::Graph(tasks)) => (tasks.len(), graph(tasks)),
        Some(Strategy::Matrix(matrix)) => (matrix::count(matrix).unwrap_or(usize::MAX), Vec::new()),
        Some(Strategy::Fanout(fanout)) => (
            usize::try_from(fanout.parallelism.value).unwrap_or(usize::MAX),
            Vec::new(),
        ),
    };
    if count > MOST_BATCH_BUILDS {
        problems.push(too_many(count));
    }
    problems
}

fn duplicates(tasks: &[Task]) -> Vec<Diagnostic> {
    let mut known = BTreeSet::new();
    let named = tasks
        .iter()
        .map(|task| &task.identifier)
        .filter(|identifier| !identifier.value.is_empty());
    named
        .filter(|identifier| !known.insert(identifier.value.as_str()))
        .map(|identifier| {
            let message = format!("there is another task called `{}`", identifier.value);
            Diagnostic::new(Code::DuplicateIdentifier, identifier.span, message)
        })
        .collect()
}

fn graph(tasks: &[Task]) -> Vec<Diagnostic> {
    let mut problems = duplicates(tasks);
    let places: BTreeMap<&str, usize> = tasks
        .iter()
        .enumerate()
        .map(|(at, task)| (task.identifier.value.as_str(), at))
        .collect();
    let dependencies = tasks.iter().flat_map(|task| &task.depend_on);
    let strangers =
        dependencies.filter(|dependency| !places.contains_key(dependency.value.as_str()));
    problems.extend(
        strangers
            .take(MOST_DIAGNOSTICS)
            .map(|dependency| unknown(dependency, &places)),
    );
    problems.extend(cycle(tasks, &places));
    problems
}

fn unknown(dependency: &Spanned<String>, places: &BTreeMap<&str, usize>) -> Diagnostic {
    let message = format!("there is no task called `{}`", dependency.value);
    let problem = Diagnostic::new(Code::UnknownDependOn, dependency.span, message);
    // A list of thousands is over the limit anyway; comparing with each would take too long.
    let names: Vec<&str> = places.keys().copied().take(MOST_BATCH_BUILDS).collect();
    match suggest::nearest(&dependency.value, &names) {
        Some(near) => problem
            .help(format!("did you mean `{near}`?"))
            .fix(dependency.span, near),
        None => problem,
    }
}

/// The first circle of tasks that wait for each other. Tasks are taken away whose dependencies are all
/// gone; what cannot be taken away is in a circle or behind one.
fn cycle(tasks: &[Task], places: &BTreeMap<&str, usize>) -> Option<Diagnostic> {
    let before: Vec<Vec<usize>> = tasks
        .iter()
        .map(|task| {
            task.depend_on
                .iter()
                .filter_map(|other| places.get(other.value.as_str()).copied())
                .collect()
        })
        .collect();
    let mut waiting: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut after = vec![Vec::new(); tasks.len()];
    for (task, befores) in before.iter().enumerate() {
        for &other in befores {
            after[other].push(task);
        }
    }
    let mut free: Vec<usize> = (0..tasks.len())
        .filter(|task| waiting[*task] == 0)
        .collect();
    while let Some(task) = free.pop() {
        for &next in &after[task] {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                free.push(next);
            }
        }
    }
    let stuck = (0..tasks.len()).find(|task| waiting[*task] > 0)?;
    let round = round(stuck, &before, &waiting);
    let first = &tasks[*round.first()?];
    let names: Vec<&str> = round
        .iter()
        .map(|task| tasks[*task].identifier.value.as_str())
        .collect();
    let message = match names.as_slice() {
        [one] => format!("`{one}` waits for itself"),
        _ => format!("these tasks wait for each other: {}", names.join(" -> ")),
    };
    Some(Diagnostic::new(
        Code::BatchCycle,
        first.identifier.span,
        message,
    ))
}

/// Goes from a stuck task to one it waits for until a task comes again: that is the circle.
fn round(start: usize, before: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut path = Vec::new();
    let mut places = BTreeMap::new();
    let mut task = start;
    loop {
        if let Some(&at) = places.get(&task) {
            return path.split_off(at);
        }
        places.insert(task, path.len());
        path.push(task);
        match before[task].iter().find(|other| waiting[**other] > 0) {
            Some(&next) => task = next,
            None => return path,
        }
    }
}
