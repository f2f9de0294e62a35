//! What a request asks of AWS, in the words of policies.

/// A request to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRequest {
    /// The action, such as `s3:GetObject`.
    pub action: String,
    /// Names the key that signed it.
    pub access_key_id: String,
}

/// Whether the body says what is asked for.
pub(crate) fn is_form(head: &str) -> bool {
    header(head, "content-type").is_some_and(|value| value.starts_with("application/x-www-form"))
}

impl AwsRequest {
    /// Reads the head of a request, and the body of one that is a form; `None` if it is not signed for AWS.
    pub(crate) fn of(head: &str, body: &[u8]) -> Option<Self> {
        // `Credential=KEY/DATE/REGION/SERVICE/aws4_request`
        let authorization = header(head, "authorization")?;
        let (_, scope) = authorization.split_once("Credential=")?;
        let mut scope = scope.split('/');
        let (key, service) = (scope.next()?, scope.nth(2)?);
        let operation = operation(service, head, body)?;
        Some(Self {
            action: format!("{service}:{operation}"),
            access_key_id: key.to_owned(),
        })
    }
}

fn operation(service: &str, head: &str, body: &[u8]) -> Option<String> {
    if let Some(target) = header(head, "x-amz-target") {
        let (_, operation) = target.rsplit_once('.')?;
        return Some(operation.to_owned());
    }
    if service == "s3" {
        return Some(of_s3(head.lines().next()?).to_owned());
    }
    let body = String::from_utf8_lossy(body);
    let mut members = body.split('&');
    let operation = members.find_map(|member| member.strip_prefix("Action="))?;
    Some(operation.to_owned())
}

/// The action that lets a request to S3 through (service authorization reference).
fn of_s3(line: &str) -> &'static str {
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_bucket = path.trim_matches('/').split('/').count() == 1;
    match method {
        "PUT" | "POST" => "PutObject",
        "DELETE" if query.contains("uploadId=") => "AbortMultipartUpload",
        "GET" if is_bucket => "ListBucket",
        "GET" | "HEAD" if query.contains("versionId=") => "GetObjectVersion",
        "GET" | "HEAD" => "GetObject",
        _ => "Unknown",
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_every_protocol_have_a_name() {
        let signed = |service: &str| {
            format!(
                "Authorization: AWS4-HMAC-SHA256 Credential=K/20260101/us-east-1/{service}/aws4_request, x"
            )
        };
        let json = format!(
            "POST / HTTP/1.1\r\nX-Amz-Target: AmazonSSM.GetParameters\r\n{}\r\n",
            signed("ssm")
        );
        let form = format!(
            "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n{}\r\n",
            signed("sts")
        );
        let action = |head: &str, body: &[u8]| AwsRequest::of(head, body).map(|it| it.action);
        assert_eq!(action(&json, b"{}").as_deref(), Some("ssm:GetParameters"));
        assert!(is_form(&form) && !is_form(&json));
        assert_eq!(
            action(&form, b"Version=1&Action=AssumeRole").as_deref(),
            Some("sts:AssumeRole")
        );
        for (line, expected) in [
            ("GET /b/k", "s3:GetObject"),
            ("GET /b?list-type=2", "s3:ListBucket"),
            ("HEAD /b/k?versionId=1", "s3:GetObjectVersion"),
            ("POST /b/k?uploads", "s3:PutObject"),
            ("DELETE /b/k?uploadId=1", "s3:AbortMultipartUpload"),
        ] {
            let head = format!("{line} HTTP/1.1\r\n{}\r\n", signed("s3"));
            assert_eq!(action(&head, b"").as_deref(), Some(expected), "{line}");
        }
        assert_eq!(action("GET / HTTP/1.1\r\n", b""), None);
    }
}
