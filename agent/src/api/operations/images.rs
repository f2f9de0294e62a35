//! The images that CodeBuild maintains, as far as they are known here.

use serde::Serialize;
use serde_json::Value;

use super::Call;
use crate::api::error::ApiError;

#[derive(Debug, Serialize)]
pub(super) struct ListOutput {
    platforms: Vec<Platform>,
}

#[derive(Debug, Serialize)]
struct Platform {
    platform: &'static str,
    languages: Vec<Language>,
}

#[derive(Debug, Serialize)]
struct Language {
    language: &'static str,
    images: Vec<Image>,
}

#[derive(Debug, Serialize)]
struct Image {
    name: &'static str,
    description: &'static str,
    versions: Vec<String>,
}

/// Platform, image, description (user guide, "Docker images provided by CodeBuild").
const IMAGES: [(&str, &str, &str); 6] = [
    (
        "AMAZON_LINUX",
        "aws/codebuild/amazonlinux-aarch64-standard:3.0",
        "AWS CodeBuild - Docker image with multiple language runtimes in Amazon Linux 2023 for aarch64",
    ),
    (
        "AMAZON_LINUX",
        "aws/codebuild/amazonlinux-aarch64-standard:4.0",
        "AWS CodeBuild - Docker image with multiple language runtimes in Amazon Linux 2023 for aarch64",
    ),
    (
        "AMAZON_LINUX",
        "aws/codebuild/amazonlinux-x86_64-standard:5.0",
        "AWS CodeBuild - Docker image with multiple language runtimes in Amazon Linux 2023 for x86_64",
    ),
    (
        "AMAZON_LINUX",
        "aws/codebuild/amazonlinux-x86_64-standard:6.0",
        "AWS CodeBuild - Docker image with multiple language runtimes in Amazon Linux 2023 for x86_64",
    ),
    (
        "UBUNTU",
        "aws/codebuild/standard:7.0",
        "AWS CodeBuild - Docker image with multiple language runtimes in Ubuntu",
    ),
    (
        "UBUNTU",
        "aws/codebuild/standard:8.0",
        "AWS CodeBuild - Docker image with multiple language runtimes in Ubuntu",
    ),
];

/// Lists the images by platform and language.
pub(super) async fn list(_call: Call, _input: Value) -> Result<ListOutput, ApiError> {
    let mut platforms: Vec<Platform> = Vec::new();
    for (platform, name, description) in IMAGES {
        let image = Image {
            name,
            description,
            versions: vec![name.to_owned()],
        };
        match platforms
            .last_mut()
            .filter(|last| last.platform == platform)
        {
            Some(last) => last.languages[0].images.push(image),
            None => platforms.push(Platform {
                platform,
                languages: vec![Language {
                    language: "BASE",
                    images: vec![image],
                }],
            }),
        }
    }
    Ok(ListOutput { platforms })
}
