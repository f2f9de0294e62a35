//! A CodeBuild-compatible build runner.
