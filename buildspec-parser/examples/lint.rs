//! Prints what is wrong with the buildspecs named on the command line.

use std::io::{self, Write};

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::output::{self, Color};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for name in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&name)?;
        for diagnostic in lint(&text, &LintConfig::default()).diagnostics {
            writeln!(
                out,
                "{}\n",
                output::text(&diagnostic, &name, &text, Color::Never)
            )?;
        }
    }
    Ok(())
}
