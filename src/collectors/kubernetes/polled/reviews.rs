//! Questions that have no watch: what somebody may do, and whether single objects exist.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Deserialize;

use crate::collectors::kubernetes::client::api;
use crate::collectors::kubernetes::client::connect::Link;
use crate::collectors::kubernetes::config::{Access, ObjectRef};
use crate::collectors::kubernetes::reading::objects::described;
use crate::collectors::kubernetes::watching::visibility::MISSING;
use crate::driver::Poll;
use crate::metric::{Sample, StateSet, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

states! {
    /// What a review of access said.
    enum Permitted {
        Allowed => "allowed",
        Denied => "denied",
        Unknown => "unknown",
    }
}

states! {
    /// Whether something is there.
    enum Presence {
        Present => "present",
        Absent => "absent",
        Unknown => "unknown",
    }
}

states! {
    /// Whether an object is the one that is expected.
    enum Identity {
        Expected => "expected",
        Other => "other",
        Unknown => "unknown",
    }
}

metrics! {
    /// All of them.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about access, about objects, about annotations.
    pub(in crate::collectors::kubernetes) ACCESS_FAMILIES {
        static ALLOWED: StateSet<Permitted, 6> = state_set(
            "readiness_access_state",
            &["cluster", "subject", "verb", "group", "resource", "namespace"],
            "Whether a subject may do something, from the authorization.k8s.io/v1 API; the subject is self for the exporter's own identity.",
        );
    }

    /// Families about objects that must be there.
    pub(in crate::collectors::kubernetes) OBJECT_FAMILIES {
        static PRESENT: StateSet<Presence, 4> = state_set(
            "readiness_object_state",
            &["cluster", "resource", "namespace", "name"],
            "Whether an object exists, from its metadata in the Kubernetes API; unknown when it may not be looked at.",
        );
    }

    /// Families about what is written on objects.
    pub(in crate::collectors::kubernetes) ANNOTATION_FAMILIES {
        static ANNOTATED: StateSet<Presence, 5> = state_set(
            "readiness_object_annotation_state",
            &["cluster", "resource", "namespace", "name", "annotation"],
            "Whether an object has an annotation that is not empty, from its metadata in the Kubernetes API.",
        );
    }

    /// Families about which objects they are.
    pub(in crate::collectors::kubernetes) IDENTITY_FAMILIES {
        static IDENTITY: StateSet<Identity, 4> = state_set(
            "readiness_object_identity_state",
            &["cluster", "resource", "namespace", "name"],
            "Whether an object is the very one that is configured, by metadata.uid in the Kubernetes API; unknown when it does not exist or may not be looked at.",
        );
    }
}

/// The `subject` label of the exporter's own identity.
pub(in crate::collectors::kubernetes) const SELF: &str = "self";

/// Metadata only: the content of a Secret must not travel.
/// Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches>
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

#[derive(Deserialize)]
struct Partial {
    #[serde(deserialize_with = "described")]
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
}

/// Asks one cluster.
pub(in crate::collectors::kubernetes) struct Reviews {
    cluster: String,
    link: Link,
    access: Vec<Access>,
    objects: Vec<ObjectRef>,
    timeout: Duration,
}

impl Reviews {
    pub(in crate::collectors::kubernetes) fn new(cluster: &str, link: Link, access: Vec<Access>, objects: Vec<ObjectRef>, timeout: Duration) -> Self {
        Self { cluster: cluster.to_owned(), link, access, objects, timeout }
    }

    async fn ask(&self) -> Result<Observation, CollectError> {
        let client = self.link.client().await?;
        let mut answers = Answers::default();
        for access in &self.access {
            answers.add(self.review(&client, access).await);
        }
        for object in &self.objects {
            answers.add(self.object(&client, object).await);
        }
        let count = self.access.len() + self.objects.len();
        // A cluster of which nothing at all could be asked is a look that failed.
        match answers {
            Answers { error: Some(error), answered: 0, .. } => Err(error),
            Answers { samples, .. } => Ok(Observation::new(samples, count, count as u64)),
        }
    }

    async fn review(&self, client: &Client, access: &Access) -> Answer {
        let subject = access.subject.as_deref().unwrap_or(SELF);
        let labels = || [self.cluster.as_str(), subject, &access.verb, &access.group, &access.resource, &access.namespace];
        match self.allowed(client, access).await {
            Ok((allowed, why)) => Answer::Seen(vec![ALLOWED.sample(labels(), if allowed { Permitted::Allowed } else { Permitted::Denied }).with_detail(why)]),
            Err(error) => {
                let resource =
                    if access.subject.is_some() { "subjectaccessreviews.authorization.k8s.io" } else { "selfsubjectaccessreviews.authorization.k8s.io" };
                let missing = self.missing(&error, "create", resource);
                Answer::Unseen([ALLOWED.sample(labels(), Permitted::Unknown).with_detail(&error.message)].into_iter().chain(missing).collect(), error)
            }
        }
    }

    async fn allowed(&self, client: &Client, access: &Access) -> Result<(bool, Message), CollectError> {
        let (resource, subresource) = access.resource.split_once('/').unwrap_or((&access.resource, ""));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let attributes = ResourceAttributes {
            verb: some(&access.verb),
            group: some(&access.group),
            resource: some(resource),
            subresource: some(subresource),
            namespace: some(&access.namespace),
            ..ResourceAttributes::default()
        };
        let params = PostParams::default();
        let status = match &access.subject {
            None => {
                let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
                let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
                api::within(self.timeout, &say!("review the exporter's own access"), Api::all(client.clone()).create(&params, &review)).await?.status
            }
            Some(subject) => {
                let groups = Some(groups(subject, &access.groups));
                let spec = SubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    user: Some(subject.clone()),
                    groups,
                    ..SubjectAccessReviewSpec::default()
                };
                let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
                api::within(self.timeout, &say!("review the access of a subject"), Api::all(client.clone()).create(&params, &review)).await?.status
            }
        };
        let status = status.ok_or_else(|| CollectError::new(ErrorClass::Malformed, "review access: an answer without status"))?;
        // Its reason is free text of an authorizer, which may be a webhook; a log of the API server has it.
        Ok((status.allowed, if status.allowed { say!("the authorizer allows it") } else { say!("the authorizer does not allow it") }))
    }

    async fn object(&self, client: &Client, object: &ObjectRef) -> Answer {
        let ObjectRef { api_version, resource, namespace, name, annotation, uid, .. } = object;
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let scope = if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
        let what = say!("get {} {}", named(resource), named(name));
        let found = api::get_as::<Partial>(client, &format!("/{root}/{api_version}/{scope}{resource}/{name}"), METADATA, &what, self.timeout).await;
        let labels = || [self.cluster.as_str(), resource, namespace, name];
        let annotated =
            |state: Presence| annotation.as_ref().map(|annotation| ANNOTATED.sample([self.cluster.as_str(), resource, namespace, name, annotation], state));
        let identified = |state: Identity| uid.as_ref().map(|_| IDENTITY.sample(labels(), state));
        match found {
            // What is being deleted is still told, often for hours, and takes nothing new.
            Ok(found) if found.metadata.deletion_timestamp.is_some() => Answer::Seen(
                [PRESENT.sample(labels(), Presence::Absent).with_detail("it is being deleted")]
                    .into_iter()
                    .chain(annotated(Presence::Absent))
                    .chain(identified(Identity::Unknown))
                    .collect(),
            ),
            Ok(found) => {
                let same = uid.is_some() && found.metadata.uid == *uid;
                let annotations = found.metadata.annotations.unwrap_or_default();
                let has = annotation.as_ref().and_then(|annotation| annotations.get(annotation)).is_some_and(|value| !value.is_empty());
                Answer::Seen(
                    [PRESENT.sample(labels(), Presence::Present)]
                        .into_iter()
                        .chain(annotated(if has { Presence::Present } else { Presence::Absent }))
                        .chain(identified(if same { Identity::Expected } else { Identity::Other }))
                        .collect(),
                )
            }
            Err(error) if error.class == ErrorClass::NotFound => Answer::Seen(
                [PRESENT.sample(labels(), Presence::Absent).with_detail(&error.message)]
                    .into_iter()
                    .chain(annotated(Presence::Absent))
                    .chain(identified(Identity::Unknown))
                    .collect(),
            ),
            // A refusal is not an absence.
            Err(error) => {
                let group = api_version.split_once('/').map_or_else(String::new, |(group, _)| format!(".{group}"));
                let missing = self.missing(&error, "get", &format!("{resource}{group}"));
                let unknown = PRESENT.sample(labels(), Presence::Unknown).with_detail(&error.message);
                Answer::Unseen([unknown].into_iter().chain(annotated(Presence::Unknown)).chain(identified(Identity::Unknown)).chain(missing).collect(), error)
            }
        }
    }

    fn missing(&self, error: &CollectError, verb: &str, resource: &str) -> Option<Sample> {
        (error.class == ErrorClass::Denied).then(|| MISSING.sample([self.cluster.as_str(), verb, resource], 1.0))
    }
}

/// What one question brought.
enum Answer {
    Seen(Vec<Sample>),
    Unseen(Vec<Sample>, CollectError),
}

/// What all questions brought.
#[derive(Default)]
struct Answers {
    samples: Vec<Sample>,
    answered: usize,
    error: Option<CollectError>,
}

impl Answers {
    fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Seen(samples) => {
                self.answered += 1;
                self.samples.extend(samples);
            }
            Answer::Unseen(samples, error) => {
                // Refusals of single questions are answers of a cluster that can be asked.
                self.answered += usize::from(error.class == ErrorClass::Denied);
                self.samples.extend(samples);
                self.error = Some(error);
            }
        }
    }
}

/// Groups that the API server would find in a request of the subject; a review must name them.
fn groups(subject: &str, configured: &[String]) -> Vec<String> {
    let mut groups = configured.to_vec();
    groups.push("system:authenticated".to_owned());
    let account = subject.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let Some((namespace, _)) = account {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    groups
}

impl Poll for Reviews {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}
