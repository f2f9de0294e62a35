//! What happens to a fleet, in which order, made from a number: the same number makes the same plan.

use std::fmt;
use std::time::Duration;

/// Something that happens to a machine, or to the database of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The worker is killed, and another one takes its place at once.
    Killed,
    /// The worker is killed, and another one takes its place later.
    Away,
    /// The worker's process is stopped, and goes on as if nothing had happened.
    Frozen,
    /// The connections to the database break, and none can be made.
    CutOff,
    /// The database says nothing more on its connections.
    Deaf,
    /// The engine answers nothing.
    EngineHangs,
    /// There is no space left on the disk.
    DiskFull,
    /// The machine's clock is set forward, and back later.
    ClockSet,
    /// The database server crashes, and comes back.
    DatabaseCrashes,
    /// The database's clock is set forward by more than a lease.
    DatabaseClockSet,
}

impl Fault {
    /// Those that can happen on every machine, to every user.
    pub const PLAIN: [Self; 8] = [
        Self::Killed,
        Self::Away,
        Self::Frozen,
        Self::CutOff,
        Self::Deaf,
        Self::EngineHangs,
        Self::DatabaseCrashes,
        Self::DatabaseClockSet,
    ];

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Killed,
        Self::Away,
        Self::Frozen,
        Self::CutOff,
        Self::Deaf,
        Self::EngineHangs,
        Self::DiskFull,
        Self::ClockSet,
        Self::DatabaseCrashes,
        Self::DatabaseClockSet,
    ];
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What.
    pub fault: Fault,
    /// To which machine, where it happens to one.
    pub machine: usize,
    /// How long it lasts.
    pub lasting: Duration,
    /// It begins once so many builds are over.
    pub after: usize,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fault,
            machine,
            lasting,
            after,
        } = self;
        let millis = lasting.as_millis();
        write!(
            f,
            "after {after} builds: machine {machine} {fault:?} for {millis} ms"
        )
    }
}

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number it was made from.
    pub seed: u64,
    /// How many builds go through it.
    pub builds: usize,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Makes a plan in which each of these faults happens `times` times, in any order, on any of so many
    /// machines, while so many builds go through.
    pub fn new(seed: u64, faults: &[Fault], times: usize, machines: usize, builds: usize) -> Self {
        let mut chance = Chance(seed);
        let mut order: Vec<Fault> = faults
            .iter()
            .copied()
            .cycle()
            .take(faults.len() * times)
            .collect();
        for last in (1..order.len()).rev() {
            order.swap(last, chance.below(last + 1));
        }
        let count = order.len();
        let steps = order.into_iter().enumerate().map(|(number, fault)| Step {
            fault,
            machine: chance.below(machines),
            // Shorter than a lease, or longer.
            lasting: Duration::from_millis(2000 + 1000 * chance.below(8) as u64),
            // The last ones happen while there are still builds to come.
            after: builds * (number + 1) / (count + count / 4 + 2),
        });
        Self {
            seed,
            builds,
            steps: steps.collect(),
        }
    }
}

/// Numbers that look random (`SplitMix64`).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_makes_one_plan_with_every_fault_in_it() {
        let plan = |seed| Plan::new(seed, &Fault::ALL, 2, 3, 200);
        assert_eq!(format!("{:?}", plan(7)), format!("{:?}", plan(7)));
        assert_ne!(format!("{:?}", plan(7)), format!("{:?}", plan(8)));
        let steps = plan(7).steps;
        for fault in Fault::ALL {
            let times = steps.iter().filter(|step| step.fault == fault);
            assert_eq!(times.count(), 2, "{fault:?}");
        }
        assert!(
            steps
                .iter()
                .all(|step| step.machine < 3 && step.after < 180)
        );
        assert!(steps.windows(2).all(|pair| pair[0].after <= pair[1].after));
    }
}
