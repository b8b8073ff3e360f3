use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;

use super::*;

#[test]
fn a_certificate_for_other_names_says_which() {
    let authority = readiness_lab::Authority::new("Root").unwrap();
    let said = |names: &[&str]| {
        let (pem, _) = authority.issue_pem(&readiness_lab::Leaf::good(names)).unwrap();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap();
        let wrong = rustls::Error::InvalidCertificate(CertificateError::NotValidForName);
        let presented = Presented { asked: "shop.test".to_owned(), chain, verdict: Err(wrong), stapled: Vec::new(), protocol: None };
        let samples = presented.samples(["shop", "10.0.0.1"], &Trust::of_files([]).unwrap(), 0);
        let sample = samples.into_iter().find(|sample| sample.family.name == VERIFICATION.0.name).unwrap();
        sample.detail.unwrap().as_str().to_owned()
    };
    let other = "the certificate is for another name: shop.test was asked for, and it is for";
    assert_eq!(said(&["other.test"]), format!("{other} other.test"));
    assert_eq!(said(&["*.other.test", "127.0.0.1"]), format!("{other} *.other.test, 127.0.0.1"));
    assert_eq!(said(&["a.test", "b.test", "c.test", "d.test", "e.test"]), format!("{other} a.test, b.test, c.test and 2 more"));
}

fn certificates(pems: &[&str]) -> Vec<CertificateDer<'static>> {
    pems.iter().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).collect()
}

/// What is told of the end of a chain that a server presents, with what to do about it.
fn end_of_chain(pems: &[&str], trust: &Trust) -> (String, Option<&'static str>) {
    let presented = Presented { asked: "a.test".to_owned(), chain: certificates(pems), verdict: Ok(()), stapled: Vec::new(), protocol: None };
    let samples = presented.samples(["a", "10.0.0.1"], trust, Timestamp::now().as_second());
    let detail = samples.into_iter().find(|sample| sample.family.name == CHAIN_NOT_AFTER.0.name).unwrap().detail.unwrap();
    (detail.as_str().to_owned(), detail.fix())
}

/// Who renews the certificate then gets one that ends on the same day.
#[test]
fn an_intermediate_that_ends_before_its_certificate_is_named() {
    let made = readiness_lab::CrossSigned::new(&["a.test"]).unwrap();
    let trusting = |root: &str| Trust::of_certificates(&certificates(&[root]));
    let own = |others: &[&str], root: &str| end_of_chain(&[&[made.leaf.as_str()], others].concat(), &trusting(root));
    let (words, fix) = own(&[&made.short_intermediate], &made.root);
    assert!(words.ends_with("; certificate 2 of the 2 that the server presents, an intermediate, expires first"), "{words}");
    assert_eq!(fix, Some(INTERMEDIATE_ENDS));
    let (words, fix) = own(&[&made.cross, &made.short_intermediate], &made.root);
    assert!(words.ends_with("has expired; certificate 3 of the 3 that the server presents, an intermediate, expires first"), "{words}");
    assert_eq!(fix, Some(INTERMEDIATE_ENDS));
    let (words, fix) = own(&[&made.intermediate], &made.short_root);
    assert!(words.ends_with("; the root that it leads to expires first"), "{words}");
    assert_eq!(fix, Some(ROOT_ENDS));
    let (words, fix) = own(&[&made.intermediate, &made.short_intermediate], &made.root);
    assert!(!words.contains("expires first") && fix.is_none(), "the leaf itself: {words}");
}

/// Which is another place to look at than an algorithm.
#[test]
fn a_root_of_a_trusted_name_with_another_key_is_not_trusted() {
    let [known, namesake] = [readiness_lab::Authority::of_another_kind("Root"), readiness_lab::Authority::new("Root")].map(Result::unwrap);
    let leaf = namesake.issue_pem(&readiness_lab::Leaf::good(&["a.test"])).unwrap().0;
    for (authority, words) in [
        (known, NAMESAKE),
        (readiness_lab::Authority::new("Root").unwrap(), NAMESAKE),
        (readiness_lab::Authority::new("Other").unwrap(), "the certificate is from an authority that is not trusted"),
    ] {
        let trust = Trust::of_certificates(&certificates(&[&authority.pem()]));
        let chain = certificates(&[&leaf]);
        let name = ServerName::try_from("a.test").unwrap();
        let verdict = trust.verify_server_cert(&chain[0], &[], &name, &[], rustls::pki_types::UnixTime::now()).map(drop);
        let presented = Presented { asked: "a.test".to_owned(), chain, verdict, stapled: Vec::new(), protocol: None };
        let (state, why) = presented.verification(None, &trust, 0);
        assert_eq!((state, why.as_str()), (Verification::Untrusted, words), "{:?}", presented.verdict);
    }
}

/// What follows from the end of a leaf that lives for so many days, after so many; the one before it began then, if
/// that was seen.
fn lapses(days: i64, age: i64, before: Option<i64>) -> Vec<Sample> {
    const DAY: i64 = 24 * 3600;
    let now = Timestamp::now();
    let leaf = readiness_lab::Leaf::good(&["a.test"]).ends_in((days - age) * DAY).begins_in(-age * DAY);
    let (pem, _) = readiness_lab::Authority::new("Root").unwrap().issue_pem(&leaf).unwrap();
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).take(1).collect::<Result<_, _>>().unwrap();
    let presented = Presented { asked: "a.test".to_owned(), chain, verdict: Ok(()), stapled: Vec::new(), protocol: None };
    let target = serde_saphyr::from_str("{ name: a, address: 'a.test:443' }").unwrap();
    let (trust, state) = (Trust::of_files([]).unwrap(), Arc::new(State::open(None)));
    if let Some(before) = before {
        state.last_rotation(NAME, "a 10.0.0.1", Some(now.as_second() - (age + before) * DAY), now);
    }
    let lookup = Lookup::made(None, Duration::from_secs(1)).unwrap();
    let collector = TlsCollector::new(&target, &trust, &lookup, Duration::from_secs(1), state).unwrap();
    let labels = ["a", "10.0.0.1"];
    let samples = presented.samples(labels, &trust, now.as_second());
    collector.lapses(labels, &presented, &samples, &Snapshot::default(), now)
}

/// Which of its ends are told.
fn told(days: i64, age: i64, before: Option<i64>) -> [Option<bool>; 2] {
    let lapses = lapses(days, age, before);
    [&DUE, &UNRENEWED].map(|family| lapses.iter().find(|sample| sample.family.name == family.0.name).map(|sample| sample.value > 0.0))
}

#[test]
fn a_certificate_of_days_is_not_late_while_it_is_young_and_counts_against_an_event_until_it_is_seen_to_be_renewed() {
    assert_eq!(told(6, 1, None), [None, Some(true)]);
    assert_eq!(told(6, 1, Some(4)), [None, None]);
    assert_eq!(told(6, 5, Some(4)), [Some(true), Some(true)], "it should have been renewed");
    assert_eq!(told(90, 1, Some(60)), [Some(true), Some(true)], "a week is enough for those");
    let why = |before: Option<i64>| lapses(6, 1, before).into_iter().find_map(|sample| sample.detail.filter(|_| sample.family.name == RENEWAL.0.name)).unwrap();
    let young = why(None);
    assert!(
        young.as_str().starts_with("it expires at 20") && young.as_str().contains(" UTC and lives for 6d by design, so its renewal is due at 20"),
        "{young}"
    );
    assert!(why(Some(4)).as_str().starts_with("it was renewed 4d after the one before it; it expires at 20"), "{}", why(Some(4)));
}

/// What is told of a chain that verifies, with the OCSP answer that comes with it, at a moment for which there are answers.
fn standing(leaf: &str, stapled: &[u8], later: i64) -> String {
    let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let trust = Trust::of_certificates(&[pem(include_str!("../../../tests/data/ocsp/root.pem"))]);
    let presented = Presented { asked: "a.test".to_owned(), chain: vec![pem(leaf)], verdict: Ok(()), stapled: stapled.to_vec(), protocol: None };
    let samples = presented.samples(["a", "10.0.0.1"], &trust, 1_795_779_700 + later);
    let sample = samples.into_iter().find(|sample| sample.family.name == VERIFICATION.0.name).unwrap();
    format!("{}: {}", sample.state().unwrap(), sample.detail.unwrap())
}

#[test]
fn what_a_server_says_of_its_own_certificate_counts_against_it() {
    let (plain, must) = (include_str!("../../../tests/data/ocsp/a.test.pem"), include_str!("../../../tests/data/ocsp/must.test.pem"));
    let (good, good_must) = (&include_bytes!("../../../tests/data/ocsp/good.der")[..], &include_bytes!("../../../tests/data/ocsp/good-must.der")[..]);
    let valid = "valid: the chain is valid for this name";
    assert_eq!([standing(plain, &[], 0), standing(plain, good, 0), standing(must, good_must, 0)], [valid; 3]);
    assert_eq!(
        standing(plain, include_bytes!("../../../tests/data/ocsp/revoked.der"), 0),
        "revoked: its authority revoked it at 2026-11-20 00:00 UTC, as the server itself says in the OCSP answer that it presents"
    );
    assert!(standing(plain, good, 8 * 86_400).starts_with("unstapled: the OCSP answer that the server presents with it counted until 2026-12-04 "));
    assert_eq!(standing(must, &[], 0), "unstapled: the certificate demands an OCSP answer with it (must-staple), and the server presents none");
    let forged = include_bytes!("../../../tests/data/ocsp/forged.der");
    assert_eq!(standing(plain, forged, 0), format!("{valid}; the OCSP answer with it is no proof: it is signed by nobody who may speak for the authority"));
    let another = "unstapled: the OCSP answer that the server presents with it is about another certificate, and browsers refuse the certificate then";
    assert_eq!([standing(plain, good_must, 0), standing(must, good, 0)], [another; 2]);
    let demanded =
        "unstapled: the certificate demands an OCSP answer with it (must-staple), and that of the server is no proof: it is no answer of an authority";
    assert_eq!(standing(must, &[48, 3, 10, 1, 3], 0), demanded);
}
