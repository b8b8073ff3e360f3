//! EKS clusters: where they are, and the token that they take, signed in this process.
//!
//! The token is a presigned `GetCallerIdentity` request, valid for a quarter of an hour whatever
//! its own expiry says. Source: <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>

use std::time::Duration;

use aws_sigv4::http_request::{SignatureLocation, SigningSettings};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::aws::{self, Api, Caller, Question, Request, domain, services};
use crate::collectors::kubernetes::config::Eks;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::Secret;

/// How long a token is used; the cluster takes it for 15 minutes.
pub(in crate::collectors::kubernetes) const TOKEN_AGE: Duration = Duration::from_mins(14);
/// What the authenticator demands of the presigned request.
const PRESIGNED_FOR: Duration = Duration::from_mins(1);
/// Binds a token to one cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// Where a cluster is.
pub(in crate::collectors::kubernetes) struct Place {
    /// URL of the API server.
    pub(in crate::collectors::kubernetes) endpoint: String,
    /// PEM certificates that it is verified with.
    pub(in crate::collectors::kubernetes) authority: Vec<u8>,
}

/// Signs for one cluster.
pub(in crate::collectors::kubernetes) struct Signer {
    eks: Eks,
    caller: Caller,
}

impl Signer {
    pub(in crate::collectors::kubernetes) fn new(eks: Eks) -> Self {
        Self { caller: Caller::new(&eks.region, eks.role_arn.as_deref()).with_profile(eks.profile.as_deref()), eks }
    }

    /// A bearer token for the cluster.
    pub(in crate::collectors::kubernetes) async fn token(&self) -> Result<Secret, Message> {
        let Eks { name, region, .. } = &self.eks;
        let url = format!("https://sts.{region}.{}/?Action=GetCallerIdentity&Version=2011-06-15", domain(region));
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(PRESIGNED_FOR);
        let request = Request { service: "sts", region, method: "GET", url: &url, headers: &[(CLUSTER_HEADER, name)], body: &[] };
        let signed = aws::sign(self.caller.identity().await?, &request, settings)?;
        Ok(Secret::new(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(signed.url))))
    }

    /// Asks EKS where the cluster is. Needs `eks:DescribeCluster`.
    /// Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeCluster.html>
    pub(in crate::collectors::kubernetes) async fn describe(&self, limit: Duration) -> Result<Place, CollectError> {
        let Eks { name, region, .. } = &self.eks;
        let what = say!("ask EKS for cluster {} in {}", named(name), named(region));
        let question = Question::new("DescribeCluster", what.clone()).at(&["clusters", name]);
        let described: Described = Api { caller: &self.caller, service: &services::EKS, limit }.ask(&question).await?;
        let Cluster { endpoint, certificate_authority } = described.cluster;
        let unread = |_| CollectError::new(ErrorClass::Malformed, say!("{}: its certificate is not base64", what));
        Ok(Place { endpoint, authority: STANDARD.decode(certificate_authority.data).map_err(unread)? })
    }
}

#[derive(Deserialize)]
struct Described {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    endpoint: String,
    certificate_authority: Authority,
}

#[derive(Deserialize)]
struct Authority {
    data: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_a_presigned_request_that_names_the_cluster_in_its_signature() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let eks = Eks { name: "workshop".into(), region: "eu-west-2".into(), role_arn: None, profile: None };
        let credentials = aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let signer = Signer { caller: Caller::of_provider("eu-west-2", credentials), eks };
        let token = signer.token().await.unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.expose().strip_prefix("k8s-aws-v1.").unwrap()).unwrap()).unwrap();
        let url = url::Url::parse(&url).unwrap();
        let query: std::collections::BTreeMap<_, _> = url.query_pairs().collect();
        assert_eq!(url.host_str(), Some("sts.eu-west-2.amazonaws.com"));
        assert_eq!((&*query["Action"], &*query["X-Amz-Expires"]), ("GetCallerIdentity", "60"));
        assert_eq!(query["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
        assert!(query["X-Amz-Credential"].starts_with("AKIDEXAMPLE/") && query["X-Amz-Credential"].ends_with("/eu-west-2/sts/aws4_request"));
        assert!(!token.expose().contains("secret") && query["X-Amz-Signature"].len() == 64);
    }
}
