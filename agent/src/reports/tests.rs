use std::io::{BufReader, Read};

use executor::masking::Encodings;
use proptest::prelude::*;

use super::*;
use crate::model::TestStatus;

fn read_text(format: ReportFormat, text: &str) -> (Results, Result<(), ReadError>) {
    read_file(format, text.as_bytes())
}

fn read_file(format: ReportFormat, file: impl Read) -> (Results, Result<(), ReadError>) {
    let masker = Masker::new(["hunter2-hunter2"], Encodings::Plain).unwrap();
    let source = Source {
        path: "/src/report",
        masker: &masker,
    };
    let mut results = Results::new(format);
    let read = read(format, BufReader::new(file), &source, &mut results);
    (results, read)
}

/// `prefix/name STATUS nanoseconds message` of each case.
fn cases(format: ReportFormat, text: &str) -> Vec<String> {
    let (results, read) = read_text(format, text);
    read.unwrap();
    let Results::Tests(tests) = results else {
        panic!("{format:?} has tests");
    };
    let line = |case: crate::model::TestCase| {
        format!(
            "{}/{}/{} {:?} {} {}",
            case.test_suite_name,
            case.prefix,
            case.name,
            case.status,
            case.duration_in_nano_seconds,
            case.message
        )
    };
    tests.into_cases().into_iter().map(line).collect()
}

/// `path lines covered/missed branches covered/missed` of each file.
fn files(format: ReportFormat, text: &str) -> Vec<String> {
    let (results, read) = read_text(format, text);
    read.unwrap();
    let Results::Coverage(coverage) = results else {
        panic!("{format:?} has coverage");
    };
    let line = |file: crate::model::CodeCoverage| {
        let n = file.numbers;
        format!(
            "{} {}/{} {}/{}",
            file.file_path, n.lines_covered, n.lines_missed, n.branches_covered, n.branches_missed
        )
    };
    coverage.into_files().into_iter().map(line).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one file of each format")]
fn test_cases_are_read_in_every_format() {
    for (format, text, expected) in [
        (
            ReportFormat::JunitXml,
            r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="calc" tests="4">
  <properties><property name="a" value="b"/></properties>
  <testcase classname="calc.Add" name="one &lt; two" time="1.5"/>
  <testcase classname="calc.Add" name="bad" time="0.001"><failure message="1 != 2">trace</failure></testcase>
  <testcase classname="calc.Add" name="broken"><error><![CDATA[boom & hunter2-hunter2]]></error></testcase>
  <testcase classname="calc.Add" name="left"><skipped/><system-out>noise</system-out></testcase>
</testsuite></testsuites>"#,
            &[
                "calc/calc.Add/one < two Succeeded 1500000000 ",
                "calc/calc.Add/bad Failed 1000000 1 != 2",
                "calc/calc.Add/broken Error 0 boom & ***",
                "calc/calc.Add/left Skipped 0 ",
            ][..],
        ),
        (
            ReportFormat::NunitXml,
            r#"<test-results name="a.dll"><test-suite name="Fixture"><results>
  <test-case name="A" executed="True" result="Success" success="True" time="0.5"/>
  <test-case name="B" executed="True" result="Failure" success="False" time="0"><failure><message>no</message><stack-trace>at B</stack-trace></failure></test-case>
  <test-case name="C" executed="False"><reason><message>later</message></reason></test-case>
</results></test-suite></test-results>"#,
            &[
                "Fixture/Fixture/A Succeeded 500000000 ",
                "Fixture/Fixture/B Failed 0 no",
                "Fixture/Fixture/C Skipped 0 later",
            ],
        ),
        (
            ReportFormat::Nunit3Xml,
            r#"<test-run id="2"><test-suite type="TestFixture" name="F">
  <test-case name="A" classname="N.F" result="Passed" duration="0.25"/>
  <test-case name="B" classname="N.F" result="Failed" label="Error"><failure><message><![CDATA[boom]]></message></failure></test-case>
  <test-case name="C" classname="N.F" result="Inconclusive"/>
</test-suite></test-run>"#,
            &[
                "F/N.F/A Succeeded 250000000 ",
                "F/N.F/B Error 0 boom",
                "F/N.F/C Unknown 0 ",
            ],
        ),
        (
            ReportFormat::TestngXml,
            r#"<testng-results total="2"><suite name="S"><test name="T"><class name="p.C">
  <test-method status="PASS" name="setUp" is-config="true" duration-ms="1"/>
  <test-method status="PASS" name="a" duration-ms="12"/>
  <test-method status="FAIL" name="b" duration-ms="0"><exception class="E"><message>why</message><full-stacktrace>at</full-stacktrace></exception></test-method>
</class></test></suite></testng-results>"#,
            &["T/p.C/a Succeeded 12000000 ", "T/p.C/b Failed 0 why"],
        ),
        (
            ReportFormat::VisualStudioTrx,
            "\u{feff}<?xml version=\"1.0\"?><TestRun xmlns=\"http://microsoft.com/schemas/VisualStudio/TeamTest/2010\"><Results>
  <UnitTestResult testName=\"N.C.A\" outcome=\"Passed\" duration=\"00:01:00.5000000\"/>
  <UnitTestResult testName=\"N.C.B\" outcome=\"Failed\"><Output><ErrorInfo><Message>no</Message><StackTrace>at</StackTrace></ErrorInfo></Output></UnitTestResult>
  <UnitTestResult testName=\"N.C.C\" outcome=\"NotExecuted\"/>
</Results></TestRun>",
            &[
                "//N.C.A Succeeded 60500000000 ",
                "//N.C.B Failed 0 no",
                "//N.C.C Skipped 0 ",
            ],
        ),
        (
            ReportFormat::CucumberJson,
            r#"[{"name": "Login", "elements": [
  {"type": "background", "name": "b", "steps": [{"result": {"status": "passed"}}]},
  {"type": "scenario", "name": "good", "steps": [{"result": {"status": "passed", "duration": 1000000}}]},
  {"type": "scenario", "name": "bad", "steps": [{"result": {"status": "failed", "error_message": "no"}}, {"result": {"status": "skipped"}}]},
  {"type": "scenario", "name": "new", "steps": [{"result": {"status": "undefined"}}]}
]}]"#,
            &[
                "Login/Login/good Succeeded 1000000 ",
                "Login/Login/bad Failed 0 no",
                "Login/Login/new Unknown 0 ",
            ],
        ),
    ] {
        assert_eq!(cases(format, text), expected, "{format:?}");
    }
}

#[test]
fn coverage_is_read_in_every_format() {
    for (format, text, expected) in [
        (
            ReportFormat::CloverXml,
            r#"<coverage generated="1"><project><file name="a.php" path="/src/a.php">
<class name="A"><metrics statements="9" coveredstatements="9"/></class>
<line num="1" type="stmt" count="1"/>
<metrics statements="4" coveredstatements="3" conditionals="2" coveredconditionals="1"/></file></project></coverage>"#,
            &["/src/a.php 3/1 1/1"][..],
        ),
        (
            ReportFormat::CoberturaXml,
            r#"<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage line-rate="0.5"><packages><package><classes><class name="a" filename="a.py">
<methods><method><lines><line number="1" hits="1"/></lines></method></methods>
<lines><line number="1" hits="1"/><line number="2" hits="0" branch="true" condition-coverage="50% (1/2)"/></lines>
</class></classes></package></packages></coverage>"#,
            &["a.py 1/1 1/1"],
        ),
        (
            ReportFormat::JacocoXml,
            r#"<!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd"><report name="r"><package name="p/q">
<class name="p/q/A"><counter type="LINE" missed="9" covered="9"/></class>
<sourcefile name="A.java"><line nr="1"/><counter type="LINE" missed="1" covered="3"/><counter type="BRANCH" missed="2" covered="0"/></sourcefile>
</package></report>"#,
            &["p/q/A.java 3/1 0/2"],
        ),
        (
            ReportFormat::Simplecov,
            r#"{"RSpec": {"coverage": {"/a.rb": {"lines": [null, 1, 0, 3], "branches": {"[:if, 0]": {"[:then, 1]": 1, "[:else, 2]": 0}}}}, "timestamp": 1},
"Minitest": {"coverage": {"/a.rb": {"lines": [null, 1, 0, 0]}}}}"#,
            &["/a.rb 2/1 1/1"],
        ),
    ] {
        assert_eq!(files(format, text), expected, "{format:?}");
    }
}

#[test]
fn a_file_of_another_format_is_named_in_codebuilds_words() {
    for (format, text, expected) in [
        (
            ReportFormat::JunitXml,
            "<coverage/>",
            "expected element type <testsuite> but have <coverage>",
        ),
        (
            ReportFormat::JacocoXml,
            "<testsuite/>",
            "expected element type <report> but have <testsuite>",
        ),
    ] {
        let (_, read) = read_text(format, text);
        assert_eq!(read.unwrap_err().to_string(), expected);
    }
}

#[test]
fn of_too_many_cases_all_are_counted_and_those_that_failed_are_kept_first() {
    let mut text = "<testsuite>".to_owned();
    for number in 0..1000 {
        let failure = if number >= 900 { "<failure/>" } else { "" };
        let case = format!("<testcase name='{number}'>{failure}</testcase>");
        text.push_str(&case);
    }
    let (results, read) = read_text(ReportFormat::JunitXml, &(text + "</testsuite>"));
    read.unwrap();
    let Results::Tests(tests) = results else {
        panic!("JUnit has tests");
    };
    assert_eq!(tests.summary().total, 1000);
    assert_eq!(tests.summary().status_counts[&TestStatus::Failed], 100);
    assert!(tests.is_truncated() && !tests.have_passed());
    let cases = tests.into_cases();
    assert_eq!((cases.len(), cases[0].name.as_str()), (500, "900"));
}

#[test]
fn long_texts_are_cut_to_the_apis_lengths() {
    let text = format!(
        "<testsuite><testcase name='{}'><failure>{}</failure></testcase></testsuite>",
        "é".repeat(2000),
        "m".repeat(1_000_000)
    );
    let (results, read) = read_text(ReportFormat::JunitXml, &text);
    read.unwrap();
    let Results::Tests(tests) = results else {
        panic!("JUnit has tests");
    };
    let case = &tests.into_cases()[0];
    assert_eq!(case.name.chars().count(), 1000);
    assert_eq!(case.message.len(), 5000);
}

#[test]
fn hostile_files_are_refused() {
    let endless = || std::io::repeat(b'x');
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><testsuite>&b;</testsuite>";
    let nested = "<testsuite>".repeat(1_000_000);
    let attributes = format!("<testsuite {}>", "a='' ".repeat(1_000_000));
    for (label, read) in [
        ("entities", read_text(ReportFormat::JunitXml, bomb).1),
        ("nesting", read_text(ReportFormat::JunitXml, &nested).1),
        (
            "attributes",
            read_text(ReportFormat::JunitXml, &attributes).1,
        ),
        (
            "a tag without end",
            read_file(ReportFormat::JunitXml, b"<testsuite ".chain(endless())).1,
        ),
        (
            "JSON without end",
            read_file(ReportFormat::Simplecov, b"{\"".chain(endless())).1,
        ),
        (
            "nested JSON",
            read_text(ReportFormat::CucumberJson, &"[".repeat(1_000_000)).1,
        ),
        ("nothing", read_text(ReportFormat::JunitXml, "").1),
        (
            "half a file",
            read_text(ReportFormat::JunitXml, "<testsuite>").1,
        ),
    ] {
        assert!(read.is_err(), "{label}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_format_panic(bytes: Vec<u8>) {
        for format in ReportFormat::ALL {
            let _ = read_file(*format, bytes.as_slice());
        }
    }

    #[test]
    fn no_text_that_looks_like_a_report_makes_a_format_panic(
        text in "(<(/)?(testsuite|testcase|coverage|class|line|file|report|test-run|TestRun)( (name|hits|time|duration|condition-coverage)=\"[0-9%(/):.e+-]{0,9}\")?(/)?>|&[a-z#0-9]{0,4};?|[\\[\\]{}:,\"a-z0-9]){0,20}"
    ) {
        for format in ReportFormat::ALL {
            let _ = read_text(*format, &text);
        }
    }
}
