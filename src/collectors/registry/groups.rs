//! The way of an image from where it is made over its mirrors into the clusters: which digest stands
//! at each place, and at which hop they part.
//!
//! Clusters are not asked here; what they run is what the Kubernetes collector saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use super::config::{Group, Prefix};
use super::content::{Content, Level, distinct, odd_one};
use super::digest::Digest;
use super::reference::{Reference, Running};
use super::registries::{Registries, Registry};
use crate::collectors::kubernetes;
use crate::driver::Poll;
use crate::metric::{Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, counted, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

const PLACE: [&str; 3] = ["group", "hop", "subject"];

states! {
    /// Whether all clusters run the same.
    enum Likeness {
        Identical => "identical",
        Different => "different",
        Unknown => "unknown",
    }
}

states! {
    /// Whether what is asked for may change under its name.
    enum Mutability {
        Fixed => "fixed",
        Mutable => "mutable",
        Unknown => "unknown",
    }
}

states! {
    /// Whether an image is asked for where it is expected.
    enum Expectation {
        Expected => "expected",
        Other => "other",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families about an image wherever it is.
    pub(super) FAMILIES;

    /// Families about the places that are compared.
    PLACE_FAMILIES {
        static DIGEST: Gauge<6> = gauge(
            "readiness_image_digest_info",
            Unit::Mark,
            &["group", "hop", "subject", "image", "digest", "short"],
            "Which digest of an image stands at a place: upstream, pin, a mirror, or running in a cluster; cached from registries and the Kubernetes API.",
        );
        static MATCH: StateSet<Level, 3> = state_set(
            "readiness_image_match_state",
            &PLACE,
            "How deeply a place agrees with the one before it (a mirror with the pin or upstream, a cluster with its mirror): the same index, platform manifests, or configs; cached from registries and the Kubernetes API.",
        );
    }

    /// Families that only a difference fills.
    pub(super) OPTIONAL_FAMILIES {
        static BEHIND: Gauge<3> = gauge(
            "readiness_image_behind_seconds",
            Unit::Seconds,
            &PLACE,
            "By how much the image at a place is older than the one before it, where they differ; cached from the created field of their configs.",
        );
    }

    /// Those that say something about clusters, which a group without workloads does not.
    pub(super) CLUSTER_FAMILIES {
        static IDENTICAL: StateSet<Likeness, 1> = state_set(
            "readiness_image_clusters_state",
            &["group"],
            "Whether all clusters run the same image, platforms of one index counting as one; unknown while one of them rolls out or cannot be seen. Cached from registries and the Kubernetes API.",
        );
        static DISTINCT: Gauge<1> = gauge(
            "readiness_image_distinct",
            Unit::Number,
            &["group"],
            "Different images that run in all clusters together, platforms of one index counting as one; cached from registries and the Kubernetes API.",
        );
        static TAG: StateSet<Mutability, 3> = state_set(
            "readiness_image_tag_state",
            &["group", "cluster", "image"],
            "Whether the tag by which a cluster asks for an image can move: no digest and no version. Cached from the pods' specs in the Kubernetes API.",
        );
        static EXPECTED: StateSet<Expectation, 3> = state_set(
            "readiness_image_repository_state",
            &["group", "cluster", "image"],
            "Whether a cluster takes an image from upstream, a mirror, or a rewritten prefix of them, cached from the pods' specs in the Kubernetes API.",
        );
    }
}

/// A place that an image is looked up at.
#[derive(Clone)]
struct Place {
    reference: Reference,
    registry: Arc<Registry>,
}

/// Looks at one group.
pub(super) struct ImageGroup {
    group: Group,
    upstream: Place,
    mirrors: Vec<Place>,
    /// Clusters that should run it, with the selectors of their workloads, by the configuration.
    clusters: Vec<(String, Vec<String>)>,
}

/// What a lookup brought: what stands there, or why that is not known.
type Found = Result<Arc<Content>, CollectError>;

impl ImageGroup {
    pub(super) fn new(group: &Group, registries: &Registries, clusters: Vec<(String, Vec<String>)>) -> Result<Self, Message> {
        let place = |text: &str| -> Result<Place, Message> {
            let reference = Reference::parse(text)?;
            Ok(Place { registry: registries.at(&reference.host)?, reference })
        };
        let upstream = place(&group.upstream)?;
        let mirrors = group.mirrors.iter().map(|mirror| place(&mirror.image)).collect::<Result<_, _>>()?;
        Ok(Self { group: group.clone(), upstream, mirrors, clusters })
    }

    async fn ask(&self, seen: &Snapshot) -> Result<Observation, CollectError> {
        let upstream = self.upstream.current().await;
        let mirrors = join_all(self.mirrors.iter().map(Place::current)).await;
        let pin = match self.group.pin.as_deref().and_then(Digest::parse) {
            Some(digest) => Some(self.find(&digest, &self.upstream, Find::Present).await),
            None => None,
        };
        let mut telling = Telling { group: &self.group.name, samples: Vec::new() };
        telling.place("upstream", "upstream", &self.group.upstream, &upstream);
        let source = match &pin {
            None => &upstream,
            Some(pin) => {
                telling.place("pin", "pin", &self.group.upstream, pin);
                telling.compare("upstream", "upstream", &upstream, pin, &say!("the pin"));
                pin
            }
        };
        let before = if pin.is_some() { say!("the pin") } else { say!("upstream") };
        for (mirror, found) in self.group.mirrors.iter().zip(&mirrors) {
            telling.place("mirror", &mirror.name, &mirror.image, found);
            telling.compare("mirror", &mirror.name, found, source, &before);
        }
        let known: Vec<&Content> = [&upstream].into_iter().chain(&mirrors).chain(&pin).flatten().map(AsRef::as_ref).collect();
        let mut running = Vec::new();
        for (cluster, selectors) in &self.clusters {
            let at = self.group.mirrors.iter().position(|mirror| mirror.clusters.contains(cluster));
            let (from, found, before) = match at {
                Some(at) => (&self.mirrors[at], &mirrors[at], say!("mirror {}", named(&self.group.mirrors[at].name))),
                None => (&self.upstream, source, before.clone()),
            };
            let own = self.in_cluster(cluster, selectors, from, seen).await;
            self.tell_cluster(cluster, &own, found, &before, &mut telling);
            running.push((cluster, own));
        }
        if !self.clusters.is_empty() {
            telling.agreement(&running, &known);
        }
        let objects = 1 + self.mirrors.len() + self.clusters.len();
        Ok(Observation::new(telling.samples, objects, 0))
    }

    /// What a digest stands for, wherever it is known: where it was pulled from, upstream, mirrors.
    async fn find(&self, digest: &Digest, first: &Place, find: Find) -> Found {
        let mut last = CollectError::new(ErrorClass::NotFound, say!("find {}: no registry is configured", *digest));
        let mut asked = BTreeSet::new();
        let places = [first, &self.upstream].into_iter().chain(&self.mirrors);
        for place in places.filter(|place| asked.insert(place.reference.name())) {
            let (registry, repository) = (&place.registry, &place.reference.repository);
            let found = match find {
                Find::Present => registry.whole(repository, digest, false).await,
                Find::Known => registry.content(repository, digest).await,
            };
            match found {
                Ok(content) => return Ok(content),
                // A registry that is silent may have it, which says more than that another does not.
                Err(error) if last.class == ErrorClass::NotFound || error.class != ErrorClass::NotFound => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// What runs in a cluster.
    async fn in_cluster(&self, cluster: &str, selectors: &[String], from: &Place, seen: &Snapshot) -> InCluster {
        let mut own = InCluster::default();
        for selector in selectors {
            match kubernetes::running_containers(seen, cluster, selector) {
                Err(why) => own.unseen = Some(say!("{}: {}", named(selector), why)),
                Ok(containers) => {
                    let mut meant = containers.iter().filter(|container| self.means(container.name, container.image)).peekable();
                    if meant.peek().is_none() {
                        own.unseen = Some(say!("{}: no container of this image is known to run", named(selector)));
                    }
                    for container in meant {
                        own.asked_for.insert(container.image.to_owned());
                        match &container.running {
                            Running::Unknown => own.starting = true,
                            running => drop(own.running.entry(running.clone()).or_insert_with(|| container.image.to_owned())),
                        }
                    }
                }
            }
            own.rolling |= kubernetes::rolls_out(seen, cluster, selector);
        }
        for running in own.running.keys() {
            let found = match running {
                Running::Manifest(digest) => self.find(digest, from, Find::Known).await.map(|content| (*content).clone()),
                Running::Config(config) => Ok(Content::of_config(config.clone())),
                Running::Unknown => continue,
            };
            own.contents.push(found);
        }
        own
    }

    /// Whether a container runs the image of this group.
    fn means(&self, container: &str, image: &str) -> bool {
        if !self.group.containers.is_empty() {
            return self.group.containers.iter().any(|name| name == container);
        }
        let last = |repository: &str| repository.rsplit('/').next().unwrap_or_default().to_owned();
        Reference::parse(image).is_ok_and(|image| last(&image.repository) == last(&self.upstream.reference.repository))
    }

    fn tell_cluster(&self, cluster: &str, own: &InCluster, before: &Found, what: &Message, telling: &mut Telling<'_>) {
        let group = self.group.name.as_str();
        for (running, image) in &own.running {
            let (Running::Manifest(digest) | Running::Config(digest)) = running else { continue };
            telling.samples.push(DIGEST.sample([group, "cluster", cluster, image, digest.as_str(), digest.short()], 1.0));
        }
        for image in &own.asked_for {
            let reference = Reference::parse(image);
            let mutable = reference.as_ref().map_or(true, Reference::is_mutable);
            telling.samples.push(TAG.sample([group, cluster, image], if mutable { Mutability::Mutable } else { Mutability::Fixed }));
            let expected = reference.is_ok_and(|reference| self.expects(&reference.name()));
            telling.samples.push(EXPECTED.sample([group, cluster, image], if expected { Expectation::Expected } else { Expectation::Other }));
        }
        if own.unseen.is_some() || own.asked_for.is_empty() {
            let why = own.unseen.clone().unwrap_or_else(|| say!("no container of this image is known to run"));
            let labels = [group, cluster, ""];
            telling
                .samples
                .extend([TAG.sample(labels, Mutability::Unknown), EXPECTED.sample(labels, Expectation::Unknown)].map(|sample| sample.with_detail(&why)));
        }
        let labels = [group, "cluster", cluster];
        let unknown = |why: &Message| MATCH.sample(labels, Level::Unknown).with_detail(why);
        let levels = match (own.seen(), before) {
            (Err(why), _) => return telling.samples.push(unknown(&why)),
            (_, Err(error)) => return telling.samples.push(unknown(&error.message)),
            (Ok(contents), Ok(before)) => contents.into_iter().map(move |content| (content.level_of_running(before), content)),
        };
        let Some((level, worst)) = levels.min_by_key(|(level, _)| *level) else { return };
        let Ok(before) = before else { return };
        telling.level("cluster", cluster, level, worst, before, what);
    }

    fn expects(&self, name: &str) -> bool {
        let names = || [&self.upstream].into_iter().chain(&self.mirrors).map(|place| place.reference.name());
        let rewritten =
            |Prefix { from, to }: &Prefix| names().filter_map(|own| own.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}"))).collect::<Vec<_>>();
        names().chain(self.group.prefixes.iter().flat_map(rewritten)).any(|own| own == name)
    }
}

/// What is wanted of a digest.
#[derive(Clone, Copy)]
enum Find {
    /// It must be there now.
    Present,
    /// What it stood for is enough: a container runs on when its image was deleted.
    Known,
}

/// What was seen of a cluster.
#[derive(Default)]
struct InCluster {
    /// By what runs, the words that asked for it.
    running: BTreeMap<Running, String>,
    /// What each stands for, in the same order.
    contents: Vec<Result<Content, CollectError>>,
    asked_for: BTreeSet<String>,
    /// Workloads that could not be seen.
    unseen: Option<Message>,
    /// A container that has not started yet.
    starting: bool,
    rolling: bool,
}

impl InCluster {
    /// Everything that runs, or why that is not known.
    fn seen(&self) -> Result<Vec<&Content>, Message> {
        if let Some(why) = &self.unseen {
            return Err(why.clone());
        }
        if self.running.is_empty() {
            return Err(if self.starting { say!("no container has started yet") } else { say!("no container of this image is known to run") });
        }
        if self.rolling && self.running.len() > 1 {
            return Err(say!("a rollout is under way"));
        }
        if self.starting {
            return Err(say!("a container has not started yet"));
        }
        self.contents.iter().map(|content| content.as_ref().map_err(|error| error.message.clone())).collect()
    }
}

impl Place {
    /// What its tag names now, if all of that is there.
    async fn current(&self) -> Found {
        self.registry.current(&self.reference).await
    }
}

/// Facts about one group, as they are found.
struct Telling<'a> {
    group: &'a str,
    samples: Vec<Sample>,
}

impl Telling<'_> {
    fn place(&mut self, hop: &str, subject: &str, image: &str, found: &Found) {
        if let Some(digest) = found.as_ref().ok().and_then(|content| content.digest.as_ref()) {
            self.samples.push(DIGEST.sample([self.group, hop, subject, image, digest.as_str(), digest.short()], 1.0));
        }
    }

    fn compare(&mut self, hop: &str, subject: &str, own: &Found, before: &Found, what: &Message) {
        match (own, before) {
            (Ok(own), Ok(before)) => self.level(hop, subject, own.level(before), own, before, what),
            (Err(error), _) | (_, Err(error)) => {
                self.samples.push(MATCH.sample([self.group, hop, subject], Level::Unknown).with_detail(&error.message));
            }
        }
    }

    fn level(&mut self, hop: &str, subject: &str, level: Level, own: &Content, before: &Content, what: &Message) {
        let words = |content: &Content| {
            let digest = content.digest.as_ref().or_else(|| content.configs.first()).map_or("nothing", Digest::short);
            let made = content.created.and_then(|at| jiff::Timestamp::from_second(at).ok()).map(|at| format!(", made {at}"));
            format!("{digest}{}", made.unwrap_or_default())
        };
        let detail = say!("{} has {}; {} has {}", named(subject), named(&words(own)), what, named(&words(before)));
        let labels = [self.group, hop, subject];
        self.samples.push(MATCH.sample(labels, level).with_detail(&detail));
        if level == Level::None
            && let Some((own, before)) = own.created.zip(before.created)
            && before > own
        {
            self.samples.push(BEHIND.sample(labels, before.saturating_sub(own) as f64).with_detail(&detail));
        }
    }

    /// Whether all clusters run the same.
    fn agreement(&mut self, running: &[(&String, InCluster)], known: &[&Content]) {
        let mut seen = Vec::new();
        let mut unseen = Vec::new();
        for (cluster, own) in running {
            match own.seen() {
                Ok(contents) => seen.push((cluster.as_str(), contents)),
                Err(why) => unseen.push(say!("{}: {}", named(cluster), why)),
            }
        }
        let all: Vec<&Content> = seen.iter().flat_map(|(_, contents)| contents).copied().collect();
        let count = distinct(&all, known);
        let state = match count {
            // Two that differ differ, whatever a third does.
            2.. => Likeness::Different,
            _ if !unseen.is_empty() => Likeness::Unknown,
            _ => Likeness::Identical,
        };
        let detail = if unseen.is_empty() {
            let odd = odd_one(&seen, known).filter(|_| count > 1).map_or_else(|| say!(""), |odd| say!("; only {} differs from the others", named(odd)));
            say!("{} in {}{}", counted(count, "image", "images"), counted(running.len(), "cluster", "clusters"), odd)
        } else {
            Message::joined(unseen, "; ")
        };
        self.samples.push(IDENTICAL.sample([self.group], state).with_detail(&detail));
        self.samples.push(DISTINCT.sample([self.group], count as f64));
    }
}

impl Poll for ImageGroup {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask(seen).boxed()
    }
}
