//! What an error of AWS means: one table for signed calls and for those of the SDKs. Codes that are not in it are never
//! repeated, since an answer may hold any text as its code.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};

use super::identity::Unreadable;
use crate::cause;
use crate::say;
use crate::say::Message;
use crate::snapshot::ErrorClass;

/// What to do about a request that comes too late for its own signature.
const CLOCK: &str = "Set the clock of the machine that the exporter runs on, since AWS takes no signature that is minutes older or newer than its own time; where the exporter has credentials of a session, renew them, since these may be over.";
/// What to do where an account does not have what was asked for.
const NOT_ENABLED: &str = "Enable the region or the service for the account, or leave it out; Health answers only accounts that pay for support.";
/// What to do about a request that AWS does not take.
const NOT_TAKEN: &str = "Look at the names, ARNs and regions in the configuration that the request is made of: AWS says that it is not a valid one.";

/// What some codes mean.
struct Meaning {
    class: ErrorClass,
    /// What to do about them, where that is not what is done about others of their class.
    fix: Option<&'static str>,
    codes: &'static [&'static str],
}

/// Every code that is known, as it stands on the wire: a shape of an SDK may be called otherwise.
/// Sources: <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>, the errors in the models of the services,
/// <https://github.com/boto/botocore/tree/develop/botocore/data>, and what the SDKs take for throttling,
/// <https://docs.rs/aws-runtime/latest/aws_runtime/retries/classifiers/constant.THROTTLING_ERRORS.html>
const CODES: &[Meaning] = &[
    Meaning {
        class: ErrorClass::NotFound,
        fix: None,
        codes: &[
            "CertificateNotFound",
            "DBClusterNotFoundFault",
            "DBInstanceNotFound",
            "ImageNotFoundException",
            "InvalidInstanceID.NotFound",
            "InvalidSubnetID.NotFound",
            "LayersNotFoundException",
            "ListenerNotFound",
            "LoadBalancerNotFound",
            "NoSuchEntity",
            "NoSuchHealthCheck",
            "NoSuchHostedZone",
            "NoSuchResourceException",
            "NotFound",
            "RepositoryNotFoundException",
            "ResourceNotFound",
            "ResourceNotFoundException",
            "ResourceNotFoundFault",
            "TargetGroupNotFound",
            "TrailNotFoundException",
        ],
    },
    Meaning {
        class: ErrorClass::Denied,
        fix: None,
        codes: &[
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "AuthorizationError",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        ],
    },
    Meaning { class: ErrorClass::Denied, fix: Some(NOT_ENABLED), codes: &["OptInRequired", "SubscriptionRequiredException"] },
    // Nobody has judged who asks, so it is no refusal of a login.
    Meaning { class: ErrorClass::Local, fix: Some(CLOCK), codes: &["RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"] },
    Meaning {
        class: ErrorClass::Throttled,
        fix: None,
        codes: &[
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "LimitExceededException",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "TransactionInProgressException",
        ],
    },
    Meaning {
        class: ErrorClass::Server,
        fix: None,
        codes: &[
            "HealthUnavailable",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
            "InternalServiceFault",
            "ResourceContention",
            "ServerException",
            "ServiceException",
            "ServiceFailure",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "Unavailable",
        ],
    },
    Meaning {
        class: ErrorClass::Malformed,
        fix: Some(NOT_TAKEN),
        codes: &[
            "ClientException",
            "IllegalArgumentException",
            "InvalidArgsException",
            "InvalidArnException",
            "InvalidInput",
            "InvalidNextToken",
            "InvalidPaginationToken",
            "InvalidPaginationTokenException",
            "InvalidParameter",
            "InvalidParameterException",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "MissingParameter",
            "NotSupportedService",
            "UnknownOperationException",
            "UnsupportedOperationException",
            "ValidationError",
            "ValidationException",
        ],
    },
    // Secrets Manager says these of secrets that are deleted or whose key is lost, however well it is asked.
    Meaning { class: ErrorClass::Malformed, fix: None, codes: &["DecryptionFailure", "InvalidRequestException"] },
];

/// The class of a code, and the code itself where it is known.
fn known(code: &str) -> Option<(ErrorClass, Message)> {
    for &Meaning { class, fix, codes } in CODES {
        if let Some(own) = codes.iter().find(|own| **own == code) {
            let why = Message::from(*own);
            return Some((class, fix.into_iter().fold(why, Message::fixed_by)));
        }
    }
    // EC2 has one for each of its kinds.
    code.ends_with(".NotFound").then(|| (ErrorClass::NotFound, say!("EC2 says that there is no such thing")))
}

/// Whether a text says that a signature is of another time. Some services have the code of a wrong key for it.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html>
fn is_of_another_time(text: &str) -> bool {
    ["Signature expired", "Signature not yet current"].iter().any(|words| text.contains(words))
}

/// What a refusal means: by its code, and where that is not known by its status. `text` is what AWS says of it. Something
/// between here and AWS may answer in words of its own, so no status alone says that something does not exist, nor that AWS
/// refuses whoever asks.
pub(super) fn refused(status: u16, code: Option<&str>, text: &str) -> (ErrorClass, Message) {
    if matches!(code, Some("SignatureDoesNotMatch" | "InvalidSignatureException")) && is_of_another_time(text) {
        return (ErrorClass::Local, say!("the time of the signature is too far from that of AWS").fixed_by(CLOCK));
    }
    if let Some(known) = code.and_then(known) {
        return known;
    }
    let is_of_aws = code.is_some() || !matches!(status, 401 | 403 | 404);
    let class = match status {
        401 | 403 if !is_of_aws => ErrorClass::Unreachable,
        404 => ErrorClass::Malformed,
        _ => ErrorClass::of_status(status),
    };
    let why = match code {
        Some(_) => say!("status {} and an error of AWS whose code is not known", status),
        None if is_of_aws => say!("status {}", status),
        None => say!("status {} and no answer of AWS", status),
    };
    (class, why)
}

/// What an error of an SDK means.
pub(super) fn of_sdk<E>(error: &SdkError<E>) -> (ErrorClass, Message)
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16()).filter(|status| *status >= 300);
    match (error, status) {
        (_, Some(status)) => refused(status, error.code(), error.message().unwrap_or_default()),
        (SdkError::TimeoutError(_), _) => (ErrorClass::Timeout, say!("no answer in time")),
        (SdkError::DispatchFailure(_), _) => dispatch_failure(error),
        (SdkError::ConstructionFailure(_), _) => (ErrorClass::Local, say!("the request cannot be made")),
        _ => (ErrorClass::Malformed, say!("the answer is not one of AWS")),
    }
}

/// Whether there was no connection, or no identity to sign with: the SDKs report both alike. Without an identity, or a
/// route, nobody was asked, which says nothing about who would have answered.
fn dispatch_failure(error: &(dyn Error + 'static)) -> (ErrorClass, Message) {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return (ErrorClass::Local, identity_failure(error));
        }
        next = error.source();
    }
    let class = if cause::unasked(error).is_some() { ErrorClass::Local } else { ErrorClass::Unreachable };
    (class, cause::of_chain(error).unwrap_or_else(|| say!("no connection")))
}

/// Why there is no identity to ask AWS with.
pub(super) fn identity_failure(error: &CredentialsError) -> Message {
    if let Some(Unreadable(why)) = Error::source(error).and_then(|source| source.downcast_ref()) {
        return why.clone();
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => say!("no credentials of AWS were found in the environment, a profile or the role of the pod"),
        CredentialsError::ProviderTimedOut(_) => say!("the provider of the credentials of AWS did not answer in time"),
        CredentialsError::InvalidConfiguration(_) => say!("the configuration of the credentials of AWS is not valid"),
        _ => cause::of_chain(error).unwrap_or_else(|| say!("the provider of the credentials of AWS refused or failed")),
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    #[test]
    fn without_an_identity_nobody_was_asked() {
        let told = |error: ConnectorError| {
            let (class, why) = dispatch_failure(&error);
            (class, why.as_str().to_owned())
        };
        let nobody = CredentialsError::not_loaded("hunter2");
        let words = "no credentials of AWS were found in the environment, a profile or the role of the pod";
        assert_eq!(told(ConnectorError::user(nobody.into())), (ErrorClass::Local, words.to_owned()));
        assert_eq!(told(ConnectorError::io("hunter2".into())), (ErrorClass::Unreachable, "no connection".to_owned()));
    }

    /// What STS says to a clock that is wrong, and what a proxy on the way says: nobody at AWS has judged the key.
    #[test]
    fn a_wrong_clock_and_a_proxy_are_no_refusal_of_a_key() {
        for code in ["SignatureDoesNotMatch", "InvalidSignatureException"] {
            let late = "<Message>Signature expired: 20261128T120000Z is now earlier than 20261128T121500Z (20261128T123000Z - 15 min.)</Message>";
            let (class, why) = refused(403, Some(code), late);
            assert_eq!((class, why.fix()), (ErrorClass::Local, Some(CLOCK)));
            assert_eq!(refused(403, Some(code), "The request signature we calculated does not match").0, ErrorClass::Denied);
        }
        for status in [401, 403, 404] {
            let (class, why) = refused(status, None, "<html>Blocked</html>");
            assert_ne!(class, ErrorClass::Denied);
            assert_eq!(why.as_str(), format!("status {status} and no answer of AWS"));
        }
    }

    #[test]
    fn a_code_has_one_meaning() {
        let all: Vec<&str> = CODES.iter().flat_map(|meaning| meaning.codes).copied().collect();
        let once: std::collections::BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(once.len(), all.len());
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_else_by_its_status() {
        let told = |status, code| {
            let (class, why) = refused(status, code, "hunter2");
            (class, why.as_str().to_owned())
        };
        for (status, code, class, words) in [
            (400, Some("LoadBalancerNotFound"), ErrorClass::NotFound, "LoadBalancerNotFound"),
            (400, Some("InvalidVpcID.NotFound"), ErrorClass::NotFound, "EC2 says that there is no such thing"),
            (403, Some("UnauthorizedOperation"), ErrorClass::Denied, "UnauthorizedOperation"),
            (400, Some("RequestLimitExceeded"), ErrorClass::Throttled, "RequestLimitExceeded"),
            (503, Some("hunter2"), ErrorClass::Server, "status 503 and an error of AWS whose code is not known"),
            (400, Some("hunter2"), ErrorClass::Malformed, "status 400 and an error of AWS whose code is not known"),
            (404, Some("hunter2"), ErrorClass::Malformed, "status 404 and an error of AWS whose code is not known"),
            (404, None, ErrorClass::Malformed, "status 404 and no answer of AWS"),
            (403, None, ErrorClass::Unreachable, "status 403 and no answer of AWS"),
            (429, None, ErrorClass::Throttled, "status 429"),
            (302, None, ErrorClass::Malformed, "status 302"),
        ] {
            assert_eq!(told(status, code), (class, words.to_owned()), "{status} {code:?}");
        }
    }

    #[test]
    fn a_wrong_clock_is_no_refusal_of_a_login() {
        let (class, why) = refused(400, Some("RequestExpired"), "");
        assert_eq!((class, why.fix()), (ErrorClass::Local, Some(CLOCK)));
        assert_eq!(refused(403, Some("OptInRequired"), "").1.fix(), Some(NOT_ENABLED));
        assert_eq!(refused(400, Some("AccessDenied"), "").1.fix(), None, "what to do about its class");
    }
}
