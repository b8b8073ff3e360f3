//! What every caller of AWS shares: where credentials come from, and the words of an error.

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The chain of the AWS SDKs without `sso` and processes: environment, profile, web identity, pod
/// identity, instance; then the role, if one is to be assumed.
pub(crate) async fn settings(region: &str, role_arn: Option<&str>) -> SdkConfig {
    let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let region = Region::new(region.to_owned());
    let base = aws_config::defaults(BehaviorVersion::latest()).region(region.clone()).http_client(client).load().await;
    let Some(role) = role_arn else { return base };
    let assumed = AssumeRoleProvider::builder(role).region(region).session_name("readiness-exporter").configure(&base).build().await;
    base.into_builder().credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(assumed)).build()
}

/// An error with all of its causes: alone it says only that a provider or a call failed.
pub(crate) fn whole_chain(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        words.push(next.to_string());
        cause = next.source();
    }
    words.dedup();
    words.join(": ")
}
